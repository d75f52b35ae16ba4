"""Metrics of each group of rows, such as women and men, and the gap between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from metabalance.evaluation.metrics import METRICS, score_predictions

if TYPE_CHECKING:
    from metabalance.evaluation.comparison import FoldResult

GAP = "gap"


def score_groups(y: Any, proba: Any, groups: Any) -> dict[str, dict[str, float]]:
    """Compute every metric of ``METRICS`` among the rows of each group that occurs.

    Parameters
    ----------
    y, proba
        As for `metabalance.evaluation.metrics.score_predictions`, with the same errors.
    groups : array of str, shape (n,)

    Returns
    -------
    dict of dict
        Metrics by group.

    Examples
    --------
    >>> from metabalance.evaluation.by_group import score_groups
    >>> proba = [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]]
    >>> found = score_groups([0, 1, 0, 1], proba, ["f", "f", "m", "m"])
    >>> {group: metrics["balanced_accuracy"] for group, metrics in found.items()}
    {'f': 1.0, 'm': 0.5}
    """
    codes, probabilities, names = np.asarray(y), np.asarray(proba), np.asarray(groups, dtype=object)
    return {
        group: score_predictions(codes[names == group], probabilities[names == group])
        for group in dict.fromkeys(sorted(names.tolist()))
    }


def group_frame(results: Sequence[FoldResult], metric: str) -> pd.DataFrame:
    """Average a metric of every group over the splits, as `Comparison.group_frame` says."""
    if metric not in METRICS:
        raise ValueError(f"metric must be one of {', '.join(METRICS)}, got {metric!r}")
    table = pd.DataFrame(
        [
            {"method": result.method, "split": result.split, "group": group, "value": metrics[metric]}
            for result in results
            for group, metrics in result.by_group.items()
        ],
        columns=["method", "split", "group", "value"],
    )
    if table.empty:
        raise ValueError("there are no groups in this comparison: give compare report_by=")
    groups = list(dict.fromkeys(sorted(table["group"])))
    by_split = table.groupby(["method", "split", "group"])["value"].mean().unstack("group")[groups]
    means, errors = by_split.groupby("method").mean(), by_split.groupby("method").sem()
    frame = pd.DataFrame(index=means.index)
    for group in groups:
        frame[group], frame[f"{group}_se"] = means[group], errors[group]
    # Between the groups that are the farthest apart on the average: gaps within splits are never negative,
    # and so grow with chance.
    for method, of_groups in means.dropna(how="all").iterrows():
        differences = by_split.loc[method, of_groups.idxmax()] - by_split.loc[method, of_groups.idxmin()]
        frame.loc[method, [GAP, f"{GAP}_se"]] = [differences.mean(), differences.sem()]
    return frame
