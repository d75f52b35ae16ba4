"""ROC and precision-recall curves: how well a class is ranked above the rest."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

from metabalance.evaluation.comparison import Comparison
from metabalance.report.curves import GRID, Array, mean_precision_recall_curve, mean_roc_curve
from metabalance.report.style import add_legend, curve_figure_size, figure_style, method_lines, words_only

NO_CURVES = "No curves: the predictions were not kept, or no test part holds two classes."


def roc_figure(comparison: Comparison) -> Figure:
    """Draw the ROC curves of the best methods, averaged over splits.

    Parameters
    ----------
    comparison : Comparison
        With the predictions of its folds.

    Returns
    -------
    matplotlib.figure.Figure
        One curve for each of the best eight methods, with its ROC-AUC in the legend; of more than two
        classes, the mean of the one-vs-rest curves. Without predictions, a figure that says so.
    """
    return _curves_figure(
        comparison, mean_roc_curve, "roc_auc", x_label="False positive rate", y_label="True positive rate"
    )


def precision_recall_figure(comparison: Comparison) -> Figure:
    """Draw the precision-recall curves of the best methods, averaged over splits.

    Parameters
    ----------
    comparison : Comparison
        With the predictions of its folds.

    Returns
    -------
    matplotlib.figure.Figure
        One curve for each of the best eight methods, with its average precision in the legend; of more than
        two classes, the mean of the one-vs-rest curves. Without predictions, a figure that says so.
    """
    return _curves_figure(
        comparison, mean_precision_recall_curve, "average_precision", x_label="Recall", y_label="Precision"
    )


def _curves_figure(
    comparison: Comparison,
    curve_of: Callable[[Comparison, str], Array],
    metric: str,
    *,
    x_label: str,
    y_label: str,
) -> Figure:
    lines = method_lines(comparison)
    curves = {name: curve_of(comparison, name) for name in lines}
    if all(np.isnan(curve).all() for curve in curves.values()):
        return words_only(NO_CURVES)
    with figure_style():
        figure = Figure(figsize=curve_figure_size(comparison), layout="constrained")
        axes = figure.add_subplot(xlabel=x_label, ylabel=y_label, xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
        for order, (name, curve) in enumerate(curves.items()):
            line = lines[name]
            axes.plot(GRID, curve, color=line.color, ls=line.dashes, lw=line.width, zorder=3 - order / 100)
        add_legend(figure, comparison, metric)
    return figure
