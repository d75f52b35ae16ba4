"""Metrics of each group of rows, such as women and men, and the gap between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from metabalance.evaluation.metrics import METRICS, score_predictions

if TYPE_CHECKING:
    from metabalance.evaluation.comparison import FoldResult

MEAN, ERROR, GAP = "mean", "se", "gap"


def score_groups(
    y: Any, proba: Any, groups: Any, names: Sequence[str], predicted: Any = None
) -> dict[str, dict[str, float]]:
    """Compute every metric of ``METRICS`` among the rows of each group that occurs.

    Parameters
    ----------
    y, proba, predicted
        As for `metabalance.evaluation.metrics.score_predictions`, with the same errors.
    groups : array of int, shape (n,)
        Codes into ``names``.
    names : sequence of str

    Returns
    -------
    dict of dict
        Metrics by group, in the order of the names.

    Examples
    --------
    >>> from metabalance.evaluation.by_group import score_groups
    >>> proba = [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]]
    >>> found = score_groups([0, 1, 0, 1], proba, [0, 0, 1, 1], ["f", "m"])
    >>> {group: metrics["balanced_accuracy"] for group, metrics in found.items()}
    {'f': 1.0, 'm': 0.5}
    """
    codes, probabilities, of_row = np.asarray(y), np.asarray(proba), np.asarray(groups)
    decided = probabilities.argmax(axis=1) if predicted is None else np.asarray(predicted)
    return {
        name: score_predictions(codes[of_row == code], probabilities[of_row == code], decided[of_row == code])
        for code, name in enumerate(names)
        if (of_row == code).any()
    }


def group_frame(results: Sequence[FoldResult], metric: str) -> pd.DataFrame:
    """Average a metric of every group over the splits, as `Comparison.group_frame` says."""
    if metric not in METRICS:
        raise ValueError(f"metric must be one of {', '.join(METRICS)}, got {metric!r}")
    rows = [
        (result.method, result.split, group, metrics[metric])
        for result in results
        for group, metrics in result.by_group.items()
    ]
    if not rows:
        raise ValueError("there are no groups in this comparison: give compare report_by=")
    table = pd.DataFrame(rows, columns=["method", "split", "group", "value"])
    groups = list(dict.fromkeys(table["group"]))
    by_split = table.groupby(["method", "split", "group"])["value"].mean().unstack("group")[groups]
    means, errors = by_split.groupby("method").mean(), by_split.groupby("method").sem()
    gap = pd.DataFrame(np.nan, index=means.index, columns=[MEAN, ERROR])
    for method, of_groups in means.dropna().iterrows():  # a group without a value leaves the gap unknown
        # Of the means: gaps within splits are never negative, and so grow with chance.
        best, worst = of_groups.idxmax(), of_groups.idxmin()
        differences = by_split.loc[method, best] - by_split.loc[method, worst]
        gap.loc[method] = [of_groups[best] - of_groups[worst], differences.sem()]
    return pd.concat({MEAN: means, ERROR: errors, GAP: gap}, axis=1)
