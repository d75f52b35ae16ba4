"""The scores of a row of a table, from the runs that are kept."""

from pathlib import Path

import numpy as np

from paper.methods import methods_for, rows
from paper.store import read_scores


def scores_of(root: Path, task: str, protocol: str, row: str) -> dict[int, float]:
    """Return seed → ROC-AUC on the test rows, for the runs that are done.

    A row that is the best of a family takes, under the sound protocol, in each run the member that is best by
    that run's validation rows; elsewhere there are none, and it is the member with the best mean on the test
    rows, as one reads it off the paper's Table 2. That is optimistic by its nature.
    """
    about = rows()[row]
    which = about.get("score", "meta")
    found = {}
    for method in methods_for(row):
        runs = read_scores(root, task, protocol, method)
        found[method] = {seed: scores.get(which, scores.get("plain")) for seed, scores in runs.items()}
    if "among" not in about:
        (only,) = found.values()
        return {seed: scores["test_auc"] for seed, scores in only.items()}
    complete = {method: runs for method, runs in found.items() if runs}
    if len(complete) < len(found):
        return {}
    seeds = sorted(set.intersection(*(set(runs) for runs in complete.values())))
    if protocol == "sound":
        best = {seed: max(complete.values(), key=lambda runs: runs[seed]["valid_auc"]) for seed in seeds}
        return {seed: best[seed][seed]["test_auc"] for seed in seeds}
    top = max(complete.values(), key=lambda runs: float(np.mean([runs[seed]["test_auc"] for seed in seeds])))
    return {seed: top[seed]["test_auc"] for seed in seeds}


def choices_of(root: Path, task: str, protocol: str, family: str) -> dict[str, int]:
    """Return how often each member of a family is the best by a run's validation rows, most often first."""
    row = next(name for name, about in rows().items() if about.get("among") == family)
    runs = {method: read_scores(root, task, protocol, method) for method in methods_for(row)}
    seeds = sorted(set.intersection(*(set(of_method) for of_method in runs.values())))
    counts: dict[str, int] = {}
    for seed in seeds:
        best = max(runs, key=lambda method: next(iter(runs[method][seed].values()))["valid_auc"])
        name = best.partition("/")[2]
        counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
