"""Tables of what was looked into besides the paper's: ways to θ′, and the settings of the tuned rows."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from paper.images.places import CORRECTED, TEST, best_place, places_of
from paper.images.runs import percent, read_runs
from paper.images.tuning import drawn_settings
from paper.images.units import load_config
from paper.layout import Table
from paper.statistics import estimate, paired_difference

STUDIED_TASKS = {
    "digits": "digits, BatchNorm",
    "digits-group": "digits, GroupNorm",
    "cifar10-cpu": "CIFAR-10, scale “cpu”, BatchNorm",
}
ANEW = "θ′ 0, 1 steps, all rows, running, over"
"""θ itself, with statistics from balanced batches."""

Runs = Mapping[int, Mapping[str, Any]]


def adaptation_tables(root: Path) -> list[Table]:
    """What θ′ reached in many ways is worth, and how far it is from θ, on every task that was studied."""
    tables = []
    for task, title in STUDIED_TASKS.items():
        runs = {name: read_runs(root, f"{task}-study", "severe", name) for name in _names(root, task)}
        runs = {name: of_step for name, of_step in runs.items() if of_step}
        if runs:
            tables.append(_ways(runs, title))
            tables.append(_differences(runs, title))
    return tables


def tuning_tables(root: Path) -> list[Table]:
    """The settings of each family that were tried on all classes, with what they have on them."""
    config = load_config("tuning")
    body = []
    for family, about in config.items():
        if not isinstance(about, dict):
            continue
        for name in drawn_settings(about["recipe"], about["settings"]):
            runs = read_runs(root, "cifar10-cpu-tuning", "severe", f"{family}/{name}")
            if set(config["seeds"]) <= set(runs):
                chosen = [runs[seed] for seed in config["seeds"]]
                _, place = best_place(chosen)
                found = [dict(places_of(run["last"]))[place] for run in chosen]
                each = [float(np.mean(recalls)) for recalls in found]
                shown = ", ".join(f"{100 * value:.1f}" for value in each)
                body.append([family, name.replace(",", ", "), place, percent(estimate(each)), shown])
    if not body:
        return []
    caption = (
        "Settings tried on all the majority classes of the tuning, CIFAR-10, severe imbalance, scale “cpu”. "
        "Balanced accuracy in % on the test images, which chose them: each family's best is too good."
    )
    return [Table(caption, ["family", "setting", "at", "balanced accuracy", "of each class"], body)]


def _names(root: Path, task: str) -> Iterator[str]:
    folders = (root / f"{task}-study" / "severe").glob("inner-lr-*")
    yield from sorted((path.name for path in folders), key=_step_of)


def _step_of(name: str) -> float:
    return float(name.removeprefix("inner-lr-"))


def _ways(runs: Mapping[str, Runs], title: str) -> Table:
    """Balanced accuracy at θ and at θ′ reached in many ways, a column for each inner step of training."""
    of_first = next(iter(runs.values()))
    first = next(iter(of_first.values()))
    ways = [way for way in first["last"] if way.startswith("θ′") and "rows" in way]

    def accuracy(name: str, way: str | None) -> str:
        records = [run["last"] if way is None else run["last"][way] for run in runs[name].values()]
        if any("failure" in record for record in records):
            return "diverged"
        cells = (percent(estimate([float(np.mean(r[key])) for r in records])) for key in (TEST, CORRECTED))
        return " / ".join(cells)

    body = [["θ", *(accuracy(name, None) for name in runs)]]
    body += [[way, *(accuracy(name, way) for name in runs)] for way in ways]
    caption = (
        f"θ or θ′, {title}, severe imbalance. Balanced test accuracy in %, and with the "
        "prior corrected. Rows: length and number of steps, training images the gradient is taken from, "
        "BatchNorm in that gradient (by its running statistics, or by batches of 20), and its statistics for "
        "predictions (those of training, or taken anew from natural or balanced batches). Columns: the inner "
        f"step that the network was trained with, {len(of_first)} runs each."
    )
    return Table(caption, ["way", *(f"γ = {_step_of(name):g}" for name in runs)], body)


def _differences(runs: Mapping[str, Runs], title: str) -> Table:
    """Paired differences between places, with 95 % intervals, a row for each inner step of training."""

    def at(name: str, way: str | None) -> dict[int, float]:
        records = {seed: run["last"] if way is None else run["last"][way] for seed, run in runs[name].items()}
        return {seed: float(np.mean(r[TEST])) for seed, r in records.items() if "failure" not in r}

    def cell(first: Mapping[int, float], second: Mapping[int, float]) -> str:
        mean, half = paired_difference(first, second)
        ahead = sum(first[seed] > second[seed] for seed in set(first) & set(second))
        text = f"{100 * mean:+.1f} ± {100 * half:.1f}".replace("-", "−")
        return f"{text} ({ahead} of {len(set(first) & set(second))})"

    without = at("inner-lr-0", ANEW) if "inner-lr-0" in runs else {}
    body = []
    for name in runs:
        step, anew = _step_of(name), at(name, ANEW)
        row = [f"{step:g}", cell(anew, at(name, None))]
        there = at(name, f"θ′ {step:g}, 1 steps, all rows, batch, over") if step else anew
        row += [cell(there, anew) if step else "", cell(there, without) if step and without else ""]
        body.append(row)
    caption = (
        f"Paired differences in balanced test accuracy, {title}, in points with 95 % intervals (Student's t "
        "over the majority classes), and in how many runs they are positive. “Anew”: BatchNorm's statistics "
        "from balanced batches; θ′ is one step of the network's own γ, as trained."
    )
    heads = ["γ", "θ anew − θ", "θ′ − θ anew", "θ′ − γ = 0, θ anew"]
    return Table(caption, heads, body)
