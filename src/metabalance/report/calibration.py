"""The reliability diagram: whether a predicted probability can be taken at its word."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metabalance.evaluation.comparison import Comparison
from metabalance.evaluation.confidence import Confidence
from metabalance.report.ranking import NO_CURVES
from metabalance.report.style import (
    add_legend,
    curve_figure_size,
    figure_style,
    method_lines,
    ranked_methods,
    words_only,
)

WIDTH = 9.5  # inches, of two panels


def pooled(comparison: Comparison, method: str, before: bool = False) -> Confidence | None:
    """Take the test predictions of a method together; None where they were not kept.

    Unlike ranks, probabilities of different models are comparable: each claims to be one.

    Parameters
    ----------
    comparison : Comparison
    method : str
    before : bool
        Whether to take what the networks said before calibration.
    """
    folds = [result for result in comparison.results if result.method == method]
    if before:
        found = [fold.uncalibrated for fold in folds if fold.uncalibrated is not None]
    else:
        found = [Confidence.of(fold.y_true, fold.proba) for fold in folds if len(fold.proba)]
    return Confidence.pooled(found) if found else None


def calibration_figure(comparison: Comparison) -> Figure:
    """Draw the reliability diagram of the best methods (Guo et al. 2017).

    Parameters
    ----------
    comparison : Comparison
        With the predictions of its folds.

    Returns
    -------
    matplotlib.figure.Figure
        Accuracy against confidence in 15 equal bins for each of the best eight methods, with its expected
        calibration error in the legend, all test parts together; the area of a dot is the share of rows in
        the bin. Where there are calibrated networks, a second panel shows what these said before. Without
        predictions, a figure that says so.
    """
    after = {name: pooled(comparison, name) for name in method_lines(comparison)}
    before = {name: pooled(comparison, name, before=True) for name in after}
    if not any(after.values()):
        return words_only(NO_CURVES)
    panels = [("", after)]
    if any(before.values()):
        panels = [("Networks before calibration", before), ("As predicted", after)]
    width, height = curve_figure_size(comparison)
    with figure_style():
        figure = Figure(figsize=(width if len(panels) == 1 else WIDTH, height), layout="constrained")
        for number, (title, diagrams) in enumerate(panels, start=1):
            axes = figure.add_subplot(1, len(panels), number, title=title, ylabel="Accuracy")
            _draw(axes, comparison, diagrams)
        errors = {name: math.nan if each is None else each.error for name, each in after.items()}
        add_legend(figure, comparison, "ece", errors)
    return figure


def _draw(axes: Axes, comparison: Comparison, diagrams: Mapping[str, Confidence | None]) -> None:
    lowest = 1 / len(comparison.classes)
    axes.set(xlabel="Confidence (highest probability)", xlim=(lowest - 0.03, 1.03), ylim=(-0.03, 1.05))
    axes.plot([lowest, 1], [lowest, 1], color="#5F6368", lw=0.8, zorder=1)
    lines = method_lines(comparison)
    for order, (name, diagram) in enumerate(diagrams.items()):
        if diagram is None:
            continue
        line, above = lines[name], 3 - order / 100
        rows = np.array(diagram.rows)
        filled = rows > 0
        confidence = np.array(diagram.confidence)[filled] / rows[filled]
        accuracy = np.array(diagram.right)[filled] / rows[filled]
        axes.plot(confidence, accuracy, color=line.color, ls=line.dashes, lw=line.width * 0.7, zorder=above)
        area = 4 + 90 * rows[filled] / rows.sum()
        axes.scatter(confidence, accuracy, area, color=line.color, zorder=above)


@dataclass(frozen=True)
class CalibrationRow:
    """A network's Brier score and calibration error before and after calibration, as printed."""

    title: str
    brier_before: str
    brier: str
    error_before: str
    error: str


def calibration_rows(comparison: Comparison) -> list[CalibrationRow]:
    """Return a row for each method with calibrated networks, all test parts together, the best first."""
    rows = []
    for method in ranked_methods(comparison):
        before, after = (pooled(comparison, method.name, before=each) for each in (True, False))
        if before is not None and after is not None:
            numbers = (before.brier, after.brier, before.error, after.error)
            rows.append(CalibrationRow(method.title, *(f"{each:.4f}" for each in numbers)))
    return rows
