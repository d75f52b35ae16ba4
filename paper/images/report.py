"""Tables of the image task from its kept runs; `paper.report` writes them."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from paper.images.adaptation import ANEW
from paper.images.pairs import MATCHED, at_place, matched, paired_table
from paper.images.places import TEST
from paper.images.runs import AtPlace, at_places, count_diverged, percent, read_runs
from paper.images.units import load_config
from paper.layout import Table
from paper.statistics import Estimate, estimate

AS_TRAINED = "θ′, as trained"
PRIOR_CORRECTED = "θ, prior corrected"
OURS = "tuned-metabalance"
FEWEST_RUNS = 2  # that have a standard error
IMAGE_TABLES = ("table3", "table8", "section6", "adaptation", "tuning")
SCALES = ("full", "short", "cpu")
IMAGE_PREAMBLE = (
    "Made by `python -m paper.report` from the files in paper/results, which hold recipe, seconds, versions\n"
    "and hardware of every run. Every run has another majority class. The images are CIFAR-10's,\n"
    "recompressed as JPEG (quality 75) before this project got them, so that pixels differ slightly from\n"
    "the originals; those for testing are neither thinned nor augmented. Scales are those of\n"
    "paper/configs/images/cifar10.toml.\n\n"
    "Statistics anew are those of BatchNorm over 100 batches like those of training (query batches where\n"
    "there are such) after training, instead of running means. “At θ′” is after one step on support images\n"
    "by batches of 20, with statistics taken anew there, too (adaptation.md). Tuned rows were chosen on\n"
    "other majority classes (`python -m paper.run tuning`). “Ours − it” is the lead of tuned MetaBalance\n"
    "in combined standard errors.\n"
)
STRENGTHS = ("0.5", "1", "1.5", "2", "3")


def image_tables(root: Path, scale: str) -> dict[str, list[Table]]:
    """Tables 3 and 8, section 6, and what was tried besides, of one scale."""
    task = f"cifar10-{scale}"
    made: dict[str, list[Table | None]] = {}
    for imbalance in ("severe", "moderate"):
        runs = {row: read_runs(root, task, imbalance, row) for row in load_config("rows")}
        runs = {row: of_row for row, of_row in runs.items() if of_row}
        if runs:
            diverged = {row: count_diverged(root, task, imbalance, row) for row in runs}
            made.setdefault("table3", []).append(_accuracies(runs, diverged, scale, imbalance))
            errors = _errors(runs, scale, imbalance)
            if errors.rows:
                made.setdefault("table8", []).append(errors)
            made.setdefault("section6", []).append(_strengths(runs, scale, imbalance))
            made.setdefault("section6", []).append(_matched(runs, scale, imbalance))
            made["section6"].append(paired_table(runs, _caption("Section 6", runs, scale, imbalance)))
    return {name: [table for table in tables if table is not None] for name, tables in made.items()}


def place_of(row: str) -> str:
    """Where a row predicts: at θ unless it says otherwise."""
    place: str = load_config("rows")[row].get("place", "θ")
    return place


def _accuracies(runs: Mapping[str, Any], diverged: Mapping[str, int], scale: str, imbalance: str) -> Table:
    places = {row: at_places(of_row) for row, of_row in runs.items()}
    ours = estimate(places[OURS][place_of(OURS)].balanced.values()) if OURS in runs else None
    body = []
    for row, of_row in runs.items():
        here = places[row][place_of(row)]
        found = estimate(here.balanced.values())
        seconds = estimate([run["last"]["seconds"] for run in of_row.values()])
        body.append(
            [
                _title(row),
                percent(found),
                percent(here.of_majority),
                percent(here.of_others),
                _at(places[row], PRIOR_CORRECTED),
                _at(places[row], ANEW),
                _at(places[row], AS_TRAINED),
                "" if row == OURS else _apart(ours, found),
                f"{seconds.mean:.0f}",
                f"{found.runs}" + (f" ({diverged[row]} diverged)" if diverged[row] else ""),
            ]
        )
    heads = [
        "method",
        "balanced accuracy",
        "majority",
        "others",
        "prior corrected",
        "statistics anew",
        "at θ′",
    ]
    heads += ["ours − it, in s. e.", "seconds", "runs"]
    caption = f"{_caption('Table 3', runs, scale, imbalance)} Test accuracy in %, mean ± standard error."
    return Table(caption, heads, body)


def _errors(runs: Mapping[str, Any], scale: str, imbalance: str) -> Table:
    body = []
    for row, of_row in runs.items():
        here = at_places(of_row)[place_of(row)]
        errors = (estimate(here.balanced.values()), here.of_majority, here.of_others)
        if len(here.balanced) < FEWEST_RUNS:
            continue  # one run has no spread
        body.append([_title(row), *(f"{100 * each.error:.2f}" for each in errors)])
    heads = ["method", "balanced accuracy", "majority", "others"]
    return Table(f"{_caption('Table 8', runs, scale, imbalance)} Standard errors in %.", heads, body)


def _strengths(runs: Mapping[str, Any], scale: str, imbalance: str) -> Table:
    body = []
    for row, of_row in runs.items():
        by_strength = [
            estimate([float(np.mean(run["last"]["test, by strength"][tau])) for run in of_row.values()])
            for tau in STRENGTHS
        ]
        plain = estimate([float(np.mean(run["last"][TEST])) for run in of_row.values()])
        body.append([_title(row), *map(percent, (plain, *by_strength))])
    caption = (
        f"{_caption('Section 6, prior correction', runs, scale, imbalance)} Balanced test accuracy in % at θ "
        "where probabilities are divided by the training frequencies to the power τ; 0 is uncorrected."
    )
    return Table(caption, ["method", "τ = 0", *STRENGTHS], body)


def _matched(runs: Mapping[str, Any], scale: str, imbalance: str) -> Table:
    body = []
    for row, of_row in runs.items():
        cells = []
        for place in ("θ", AS_TRAINED):
            there = at_place(of_row, place)
            whole = len(there) == len(of_row)
            cells += [
                percent(estimate(matched(there, wanted).values())) if whole else "" for wanted in MATCHED
            ]
        body.append([_title(row), *cells])
    caption = (
        f"{_caption('Section 6, matched thresholds', runs, scale, imbalance)} Mean recall in % of the other "
        "classes where the majority's threshold is moved so that its recall is the one above. The labels of "
        "the test images are looked at for that: it compares networks, and is no result of one."
    )
    heads = [f"{where}, {100 * float(wanted):.0f} %" for where in ("θ", "θ′") for wanted in MATCHED]
    return Table(caption, ["method", *heads], body)


def _title(row: str) -> str:
    title: str = load_config("rows")[row]["title"]
    return title if place_of(row) == "θ" else f"{title}, at {place_of(row)}"


def _caption(what: str, runs: Mapping[str, Any], scale: str, imbalance: str) -> str:
    title = next(iter(next(iter(runs.values())).values()))["data"]["title"].replace(", test", "")
    return f"{what}, {title}, {imbalance} imbalance, scale “{scale}”."


def _at(places: Mapping[str, AtPlace], place: str) -> str:
    return percent(estimate(places[place].balanced.values())) if place in places else ""


def _apart(ours: Estimate | None, theirs: Estimate) -> str:
    if ours is None or not ours.error + theirs.error > 0:
        return ""
    return f"{(ours.mean - theirs.mean) / math.hypot(ours.error, theirs.error):+.1f}".replace("-", "−")
