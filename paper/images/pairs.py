"""Paired differences between rows: what a part of the method is worth, also at equal majority recall."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from paper.images.places import TEST
from paper.images.runs import without_length
from paper.images.units import load_config
from paper.layout import Table
from paper.statistics import paired_difference

MATCHED_RECALLS = "others' test recall, by the majority's"
MATCHED = ("0.5", "0.7", "0.9")

Runs = Mapping[int, Mapping[str, Any]]


def paired_table(runs: Mapping[str, Runs], caption: str) -> Table | None:
    """Return the differences that ``pairs.toml`` lists, of the rows that there are runs of."""
    body = []
    for pair in load_config("pairs")["pair"]:
        (one, its_place), (other, other_place) = pair["one"], pair["other"]
        if one in runs and other in runs:
            first, second = at_place(runs[one], its_place), at_place(runs[other], other_place)
            cells = [_difference(_balanced(first), _balanced(second))]
            cells += [_difference(matched(first, wanted), matched(second, wanted)) for wanted in MATCHED]
            if any(cells):
                body.append([pair["title"], *cells])
    if not body:
        return None
    caption += (
        " Paired differences in points with 95 % intervals (Student's t over the majority classes): balanced "
        "accuracy, and mean recall of the other classes where the majority's threshold is moved so that its "
        "recall is the one above (which looks at the labels of the test images)."
    )
    heads = ["difference", "balanced accuracy", *(f"at {100 * float(each):.0f} %" for each in MATCHED)]
    return Table(caption, heads, body)


def at_place(runs: Runs, place: str) -> dict[int, Mapping[str, Any]]:
    """Return seed → the scores of a run at a place, for those that did not diverge there."""
    found = {}
    for seed, run in runs.items():
        records = {"θ": run["last"]} | {
            without_length(name): scores for name, scores in run["last"].items() if name.startswith("θ")
        }
        if place in records and "failure" not in records[place]:
            found[seed] = records[place]
    return found


def matched(records: Mapping[int, Mapping[str, Any]], wanted: str) -> dict[int, float]:
    """Return seed → mean recall of the other classes at that recall of the majority."""
    return {seed: scores[MATCHED_RECALLS][wanted] for seed, scores in records.items()}


def _balanced(records: Mapping[int, Mapping[str, Any]]) -> dict[int, float]:
    return {seed: float(np.mean(scores[TEST])) for seed, scores in records.items()}


def _difference(first: Mapping[int, float], second: Mapping[int, float]) -> str:
    if not set(first) & set(second):
        return ""
    mean, half = paired_difference(first, second)
    interval = "" if math.isnan(half) else f" ± {100 * half:.1f}"
    return f"{100 * mean:+.1f}{interval}".replace("-", "−")
