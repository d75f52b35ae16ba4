"""Table 5 from its kept runs; `paper.report` writes it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paper.faces.run import FOLDER, IMBALANCE
from paper.faces.scores import TOTAL
from paper.images.adaptation import ANEW
from paper.images.runs import count_diverged, percent, read_runs, without_length
from paper.images.units import load_config
from paper.layout import Table
from paper.statistics import estimate, paired_difference

FACE_SCALES = ("full", "cpu")
GROUPS = ("male", "female")
ABLATION = "no-adaptation"
PLACES = {"θ": "θ", ANEW: "θ, anew", "θ′, as trained": "θ′"}
FACE_PREAMBLE = (
    "Made by `python -m paper.report` from the files in paper/results, which hold recipe, seconds, versions\n"
    "and hardware of every run. In every run other people are to be identified, and women keep other\n"
    "images. Scales are those of paper/configs/faces/celeba.toml. At “cpu” the images are faces that a\n"
    "detector cut out of a part of CelebA, not the official alignment, of 56 × 56 pixels, and the network\n"
    "is narrow.\n\n"
    "An image is identified if the most similar of all other test images (cosine of the embeddings) is of\n"
    "the same person; rank 5: if one of the five most similar is. “Anew”: with BatchNorm's statistics taken\n"
    "from 100 batches like those of training (query batches where there are such) after it, instead of\n"
    "running means. θ′: after one step on support images, with statistics taken anew there. Gap: men's rate\n"
    "minus women's. Differences are of paired runs, with 95 % intervals.\n"
)
# row → the paper's rates in %: total, male, female
Published = Mapping[str, Sequence[float]]


def face_tables(root: Path, scale: str, published: Published) -> dict[str, list[Table]]:
    """Table 5 of one scale, and how far every row is ahead of no adaptation."""
    task = f"celeba-{scale}"
    runs = {row: read_runs(root, task, IMBALANCE, row) for row in load_config("rows", FOLDER)}
    runs = {row: of_row for row, of_row in runs.items() if of_row}
    if not runs:
        return {}
    title = next(iter(next(iter(runs.values())).values()))["data"]["title"]
    caption = f"Table 5, {title}, scale “{scale}”. Rank-1 identification"
    diverged = {row: count_diverged(root, task, IMBALANCE, row) for row in runs}
    tables = [_rates(runs, diverged, caption, published)]
    if ABLATION in runs:
        tables.append(_differences(runs, caption))
    return {"table5": tables}


def _rates(runs: Mapping[str, Any], diverged: Mapping[str, int], caption: str, published: Published) -> Table:
    body = []
    for row, of_row in runs.items():
        seconds = estimate([run["last"]["seconds"] for run in of_row.values()])
        count = f"{len(of_row)}" + (f" ({diverged[row]} diverged)" if diverged[row] else "")
        for place, scores in _at_places(of_row).items():
            first = [of_run["rank 1"] for of_run in scores.values()]
            shown = [estimate([of_run[name] for of_run in first]) for name in (TOTAL, *GROUPS)]
            shown.append(estimate([of_run[GROUPS[0]] - of_run[GROUPS[1]] for of_run in first]))
            shown.append(estimate([of_run["rank 5"][TOTAL] for of_run in scores.values()]))
            cells = [
                _title(row),
                PLACES[place],
                *(percent(each).replace("-", "−") for each in shown),
                f"{seconds.mean:.0f}",
                count,
            ]
            theirs = published.get(row, ()) if place == "θ" else ()
            body.append([*cells, " / ".join(f"{rate:.1f}" for rate in theirs)] if published else cells)
    heads = ["method", "at", TOTAL, *GROUPS, "gap", "rank 5", "seconds", "runs"]
    heads += ["paper: total / male / female"] if published else []
    return Table(f"{caption} in %, mean ± standard error.", heads, body)


def _differences(runs: Mapping[str, Any], caption: str) -> Table:
    """At θ′ against θ with statistics taken anew, which no adaptation has and θ′ has, too."""
    reference = _at_places(runs[ABLATION])
    body = []
    for row, of_row in runs.items():
        for place, scores in _at_places(of_row).items():
            beside = reference["θ" if place == "θ" else ANEW]
            if scores != beside:
                cells = [_apart(scores, beside, name) for name in (TOTAL, *GROUPS)]
                body.append([_title(row), PLACES[place], *cells])
    text = f"{caption} in points minus that of no adaptation at θ (statistics anew for “anew” and θ′)."
    return Table(text, ["method", "at", TOTAL, *GROUPS], body)


def _at_places(runs: Mapping[int, Mapping[str, Any]]) -> dict[str, dict[int, Any]]:
    """What the runs have at the end, by place and seed; a place where one diverged is left out."""
    found: dict[str, dict[int, Any]] = {}
    for seed, run in runs.items():
        places = {without_length(name): each for name, each in run["last"].items() if name.startswith("θ")}
        for place, scores in {"θ": run["last"], **places}.items():
            if place in PLACES and "failure" not in scores:
                found.setdefault(place, {})[seed] = {rank: scores[rank] for rank in ("rank 1", "rank 5")}
    return {place: found[place] for place in PLACES if len(found.get(place, ())) == len(runs)}


def _apart(scores: Mapping[int, Any], reference: Mapping[int, Any], name: str) -> str:
    ours, theirs = ({seed: run["rank 1"][name] for seed, run in each.items()} for each in (scores, reference))
    difference, half_width = paired_difference(ours, theirs)
    return f"{100 * difference:+.1f} ± {100 * half_width:.1f}".replace("-", "−")


def _title(row: str) -> str:
    title: str = load_config("rows", FOLDER)[row]["title"]
    return title
