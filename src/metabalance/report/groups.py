"""The metrics of every group as a page shows them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from metabalance.evaluation.by_group import GAP
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
    """Return a table for balanced accuracy and one for ROC-AUC; none where there are no groups."""
    return [_table(comparison, metric) for metric in SHOWN_METRICS] if comparison.has_groups else []


def _table(comparison: Comparison, metric: str) -> GroupTable:
    frame = comparison.group_frame(metric)
    columns = tuple(name for name in frame.columns if f"{name}_se" in frame.columns)
    rows = tuple(
        (
            method.title,
            tuple(
                (
                    _number(frame.loc[method.name, name], NO_NUMBER),
                    _number(frame.loc[method.name, f"{name}_se"]),
                )
                for name in columns
            ),
        )
        for method in ranked_methods(comparison)
    )
    titles = tuple("Gap" if name == GAP else name for name in columns)
    return GroupTable(METRICS[metric].label, titles, rows)


def _number(value: float, absent: str = "") -> str:
    return absent if math.isnan(value) else f"{value:.3f}"
