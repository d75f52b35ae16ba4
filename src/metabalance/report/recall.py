"""Recall of every class: who pays for whose gain."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from metabalance.evaluation.comparison import Comparison
from metabalance.report.style import PLAIN, figure_style, method_lines, ranked_methods, shorten, words_only

MOST_CLASSES_AS_BARS = 4
MOST_CLASSES_WITH_NUMBERS = 14
_BLUES = LinearSegmentedColormap.from_list("recall", ["#FFFFFF", "#0B5394"])


def recall_figure(comparison: Comparison) -> Figure:
    """Draw the recall of every class for every method.

    Parameters
    ----------
    comparison : Comparison
        Recalls are read from its folds and averaged as in ``recall_frame``.

    Returns
    -------
    matplotlib.figure.Figure
        Bars, with a panel for each class, up to four classes; a heat map for more.
    """
    recall = comparison.recall_frame
    if recall.empty:
        return words_only("No recalls: no method was run.")
    titles = [shorten(method.title, 48) for method in ranked_methods(comparison)]
    with figure_style():
        if len(comparison.classes) <= MOST_CLASSES_AS_BARS:
            return _bars(comparison, recall, titles)
        return _heat_map(comparison, recall, titles)


def _bars(comparison: Comparison, recall: pd.DataFrame, titles: list[str]) -> Figure:
    lines = method_lines(comparison)
    colors = [lines[name].color if name in lines else PLAIN for name in recall.index]
    places = np.arange(len(recall))
    figure = Figure(figsize=(9.0, 0.75 + 0.27 * len(recall)), layout="constrained")
    panels = figure.subplots(1, len(comparison.classes), sharey=True, squeeze=False)[0]
    for axes, label in zip(panels, comparison.classes, strict=True):
        axes.barh(places, recall[label].fillna(0.0), height=0.66, color=colors)
        for place, value in zip(places, recall[label], strict=True):
            axes.text(max(value, 0.0) + 0.02 if value == value else 0.02, place, _number(value), va="center")
        axes.set(xlim=(0, 1.18), xticks=(0, 0.25, 0.5, 0.75, 1), title=_class_title(comparison, label))
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
    panels[0].set_yticks(places, titles)
    panels[0].invert_yaxis()
    return figure


def _heat_map(comparison: Comparison, recall: pd.DataFrame, titles: list[str]) -> Figure:
    n_classes = len(comparison.classes)
    numbered = n_classes <= MOST_CLASSES_WITH_NUMBERS
    values = np.ma.masked_invalid(recall.to_numpy(dtype=float))
    figure = Figure(figsize=(9.0, 1.5 + 0.27 * len(recall)), layout="constrained")
    axes = figure.add_subplot()
    axes.set_facecolor("#ECEDEF")
    mesh = axes.pcolormesh(values, cmap=_BLUES, vmin=0, vmax=1, edgecolors="white", linewidth=0.8)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_yticks(np.arange(len(recall)) + 0.5, titles)
    every = int(np.ceil(n_classes / 30))
    labels = [shorten(label, 16) for label in comparison.classes[::every]]
    slanted = n_classes * max(map(len, labels)) > 60
    axes.set_xticks(
        np.arange(0, n_classes, every) + 0.5,
        labels,
        rotation=40 if slanted else 0,
        ha="right" if slanted else "center",
        rotation_mode="anchor",
    )
    axes.invert_yaxis()
    if numbered:
        for (row, column), value in np.ndenumerate(recall.to_numpy(dtype=float)):
            color = "white" if value > 0.65 else "#202124"
            axes.text(column + 0.5, row + 0.5, _number(value), ha="center", va="center", color=color)
    figure.colorbar(mesh, ax=axes, shrink=0.9, pad=0.01, label="Recall").outline.set_visible(False)
    return figure


def _class_title(comparison: Comparison, label: str) -> str:
    return f"{shorten(label, 24)} ({comparison.class_counts[label]:,} rows)"


def _number(value: float) -> str:
    return "n/a" if np.isnan(value) else f"{value:.2f}"
