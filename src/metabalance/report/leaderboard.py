"""The leaderboard as a page shows it: what stands in each cell, and which cells are marked."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from metabalance.evaluation.comparison import Comparison, MethodInfo
from metabalance.evaluation.metrics import METRICS
from metabalance.report.style import Line, method_lines, ranked_methods

NO_NUMBER = "–"


@dataclass(frozen=True)
class Cell:
    """One metric of one method.

    Parameters
    ----------
    mean, error : str
        As printed; ``error`` is empty where there is only one value.
    best : bool
        Whether no method has a better mean.
    close : bool
        Whether it is not the best, but within one standard error of the best one's mean.
    """

    mean: str
    error: str
    best: bool
    close: bool


@dataclass(frozen=True)
class Row:
    """One method: who it is, what it scored and what it cost."""

    method: MethodInfo
    line: Line | None
    rank: str
    cells: tuple[Cell, ...]
    fit_seconds: str
    rows_drawn: str


def leaderboard_rows(comparison: Comparison) -> list[Row]:
    """Return the rows of the leaderboard, the best rank first, with a cell for each of ``METRICS``."""
    frame = comparison.frame
    lines = method_lines(comparison)
    columns = {name: _cells(frame, name) for name in METRICS}
    return [
        Row(
            method=method,
            line=lines.get(method.name),
            rank=f"{frame['rank'].iloc[place]:.1f}",
            cells=tuple(columns[name][place] for name in METRICS),
            fit_seconds=seconds_text(frame["fit_seconds"].iloc[place]),
            rows_drawn=_count(frame["rows_drawn"].iloc[place]),
        )
        for place, method in enumerate(ranked_methods(comparison))
    ]


def seconds_text(seconds: float) -> str:
    """Write a duration with about three digits.

    Examples
    --------
    >>> [seconds_text(seconds) for seconds in (0.0123, 4.56, 78.9, 3723)]
    ['0.01 s', '4.6 s', '79 s', '62 min']
    """
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"


def _cells(frame: pd.DataFrame, metric: str) -> list[Cell]:
    means, errors = frame[metric].tolist(), frame[f"{metric}_se"].tolist()
    sign = 1.0 if METRICS[metric].greater_is_better else -1.0
    ranked = [(sign * mean, error) for mean, error in zip(means, errors, strict=True) if not math.isnan(mean)]
    best, error_of_best = max(ranked, default=(math.nan, math.nan))
    return [
        Cell(
            mean=NO_NUMBER if math.isnan(mean) else f"{mean:.3f}",
            error="" if math.isnan(error) else f"{error:.3f}",
            best=sign * mean == best,
            close=sign * mean != best and best - sign * mean <= error_of_best,
        )
        for mean, error in zip(means, errors, strict=True)
    ]


def _count(rows: int) -> str:
    return NO_NUMBER if pd.isna(rows) else f"{rows:,}"
