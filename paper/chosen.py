"""The scores of a row of a table, from the runs that are kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from paper.methods import families, methods_for, rows
from paper.store import read_runs

Scores = Mapping[str, Any]


def scores_of(root: Path, task: str, protocol: str, row: str, what: str = "test_auc") -> dict[int, float]:
    """Return seed → ROC-AUC on the test rows, for the runs that are done and did not diverge.

    ``what`` may also be "last_test_auc" or "oracle_auc" (see `paper.curves.Curve.summary`).

    A row that is the best of a family takes, under the sound protocol, in each run the member that is best by
    that run's validation rows; elsewhere there are none, and it is the member with the best mean on the test
    rows, as one reads it off the paper's Table 2. That is optimistic by its nature.
    """
    about = rows()[row]
    which = about.get("score", "meta")
    found = {method: _scores(root, task, protocol, method, which) for method in methods_for(row)}
    if "among" not in about:
        (only,) = found.values()
        return {seed: scores[what] for seed, scores in only.items()}
    seeds = _common_seeds(found)
    if protocol == "sound":
        best = {seed: _best_by_validation(found, seed) for seed in seeds}
        return {seed: found[method][seed][what] for seed, method in best.items()}
    if not seeds:
        return {}
    top = max(found.values(), key=lambda runs: float(np.mean([runs[seed]["test_auc"] for seed in seeds])))
    return {seed: top[seed][what] for seed in seeds}


def diverged(root: Path, task: str, protocol: str, row: str) -> int:
    """Return how many runs behind a row diverged; those of all members where it is the best of a family."""
    return sum(
        "failure" in run
        for method in methods_for(row)
        for run in read_runs(root, task, protocol, method).values()
    )


def chosen_on_test_rows(row: str, protocol: str) -> bool:
    """Whether a row is the best of several by their test scores, so that its own is flattered."""
    return "among" in rows()[row] and protocol != "sound"


def choices_of(root: Path, task: str, family: str) -> dict[str, int]:
    """Return how often each member of a family is the best by a run's validation rows, most often first."""
    kind, members = families()[family]
    which = "meta" if kind == "meta" else "plain"
    found = {name: _scores(root, task, "sound", f"{family}/{name}", which) for name in members}
    counts: dict[str, int] = {}
    for seed in _common_seeds(found):
        best = _best_by_validation(found, seed)
        counts[best] = counts.get(best, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def _scores(root: Path, task: str, protocol: str, method: str, which: str) -> dict[int, Scores]:
    """Seed → scores of one kind; what has no θ and θ′ has "plain" ones, whatever is asked."""
    runs = read_runs(root, task, protocol, method)
    return {
        seed: run["scores"].get(which) or run["scores"]["plain"]
        for seed, run in runs.items()
        if "failure" not in run
    }


def _common_seeds(found: Mapping[str, Mapping[int, Scores]]) -> list[int]:
    """Seeds that every member has; a member that diverged in a run takes that run from all."""
    return sorted(set.intersection(*(set(runs) for runs in found.values())))


def _best_by_validation(found: Mapping[str, Mapping[int, Scores]], seed: int) -> str:
    return max(found, key=lambda name: float(found[name][seed]["valid_auc"]))
