"""The reliability diagram: whether a predicted probability can be taken at its word."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from metabalance.evaluation.comparison import Comparison
from metabalance.report.curves import Array
from metabalance.report.ranking import NO_CURVES
from metabalance.report.style import add_legend, curve_figure_size, figure_style, method_lines, words_only

N_BINS = 15


@dataclass(frozen=True)
class Reliability:
    """Means in the bins of confidence that hold rows, three arrays of shape (n_filled_bins,).

    Parameters
    ----------
    confidence : ndarray
        Mean probability of the predicted class.
    accuracy : ndarray
        Share of rows where it is the true class.
    share : ndarray
        Share of all rows.
    """

    confidence: Array
    accuracy: Array
    share: Array


def reliability(comparison: Comparison, method: str) -> Reliability:
    """Bin the test predictions of a method by the probability of the predicted class (Guo et al. 2017).

    The test parts are taken together: unlike ranks, probabilities of different models are comparable, each
    claims to be one.
    """
    folds = [result for result in comparison.results if result.method == method and len(result.proba)]
    if not folds:
        empty = np.empty(0)
        return Reliability(empty, empty, empty)
    confidence = np.concatenate([fold.proba.max(axis=1) for fold in folds]).astype(np.float64)
    correct = np.concatenate([fold.proba.argmax(axis=1) == fold.y_true for fold in folds])
    # Bins are open to the left, as in the expected calibration error.
    bins = np.clip(np.ceil(confidence * N_BINS).astype(int) - 1, 0, N_BINS - 1)
    rows = np.bincount(bins, minlength=N_BINS)
    filled = rows > 0
    return Reliability(
        confidence=np.bincount(bins, confidence, N_BINS)[filled] / rows[filled],
        accuracy=np.bincount(bins, correct, N_BINS)[filled] / rows[filled],
        share=rows[filled] / rows.sum(),
    )


def calibration_figure(comparison: Comparison) -> Figure:
    """Draw the reliability diagram of the best methods.

    Parameters
    ----------
    comparison : Comparison
        With the predictions of its folds.

    Returns
    -------
    matplotlib.figure.Figure
        Accuracy against confidence in 15 equal bins for each of the best eight methods, with its expected
        calibration error in the legend; the area of a dot is the share of rows in the bin. Without
        predictions, a figure that says so.
    """
    lines = method_lines(comparison)
    diagrams = {name: reliability(comparison, name) for name in lines}
    if all(diagram.share.size == 0 for diagram in diagrams.values()):
        return words_only(NO_CURVES)
    lowest = 1 / len(comparison.classes)
    with figure_style():
        figure = Figure(figsize=curve_figure_size(comparison), layout="constrained")
        axes = figure.add_subplot(
            xlabel="Confidence (probability of the predicted class)",
            ylabel="Accuracy",
            xlim=(lowest - 0.03, 1.03),
            ylim=(-0.03, 1.05),
        )
        axes.plot([lowest, 1], [lowest, 1], color="#5F6368", lw=0.8, zorder=1)
        for order, (name, diagram) in enumerate(diagrams.items()):
            line = lines[name]
            above = 3 - order / 100
            axes.plot(
                diagram.confidence,
                diagram.accuracy,
                color=line.color,
                ls=line.dashes,
                lw=line.width * 0.7,
                zorder=above,
            )
            axes.scatter(
                diagram.confidence, diagram.accuracy, 4 + 90 * diagram.share, color=line.color, zorder=above
            )
        add_legend(figure, comparison, "ece")
    return figure
