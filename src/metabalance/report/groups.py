"""The metrics of every group as a page shows them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from metabalance.evaluation.by_group import ERROR, GAP, MEAN
from metabalance.evaluation.comparison import Comparison
from metabalance.evaluation.metrics import METRICS
from metabalance.report.leaderboard import NO_NUMBER
from metabalance.report.style import ranked_methods

SHOWN_METRICS = ("balanced_accuracy", "roc_auc")


@dataclass(frozen=True)
class GroupTable:
    """A metric by method and group: titles of the columns, and for each method its title and cells.

    A cell is a mean and its standard error as printed; the latter is empty where there is one value.
    """

    metric: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


def group_tables(comparison: Comparison) -> list[GroupTable]:
    """Return a table for balanced accuracy and one for ROC-AUC; none without groups, or without a number."""
    if not comparison.has_groups:
        return []
    frames = {metric: comparison.group_frame(metric) for metric in SHOWN_METRICS}
    return [
        _table(comparison, name, frame)
        for name, frame in frames.items()
        if frame[MEAN].notna().any(axis=None)
    ]


def _table(comparison: Comparison, metric: str, frame: pd.DataFrame) -> GroupTable:
    groups = list(frame[MEAN].columns)
    places = [((MEAN, group), (ERROR, group)) for group in groups] + [((GAP, MEAN), (GAP, ERROR))]
    rows = tuple(
        (
            method.title,
            tuple(
                (_number(frame.loc[method.name, mean], NO_NUMBER), _number(frame.loc[method.name, error]))
                for mean, error in places
            ),
        )
        for method in ranked_methods(comparison)
    )
    return GroupTable(METRICS[metric].label, (*groups, "Gap"), rows)


def _number(value: float, absent: str = "") -> str:
    return absent if math.isnan(value) else f"{value:.3f}"
