"""Recall during training, on rows trained on and held out: the paper's Figure 2 as a diagnosis.

Where the minority's recall rises on the training rows and falls on the held-out ones, the network is
memorising the minority.
"""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from metabalance.evaluation.comparison import Comparison
from metabalance.report.curves import Array
from metabalance.report.style import figure_style, ranked_methods, shorten, words_only

MAX_PANELS = 12
_COLUMNS = 3
# The colours of methods mean methods; these two are none of them.
_GROUPS = {"minority": "#AA1155", "majority": "#5B6B7B"}
_PARTS = {"valid": ("solid", 1.8, "held-out"), "train": ("dotted", 1.5, "training")}


def mean_history(comparison: Comparison, method: str, key: str) -> Array:
    """Average one entry of a method's histories over its runs, epoch by epoch.

    Returns
    -------
    ndarray of shape (n_epochs,)
        The mean over the runs that reached the epoch; it ends where fewer than half of them did, so that
        a few long runs do not pose as the method.
    """
    runs = [
        [epoch.get(key, math.nan) for epoch in result.history]
        for result in comparison.results
        if result.method == method and result.history
    ]
    if not runs:
        return np.empty(0)
    lengths = sorted(map(len, runs), reverse=True)
    n_epochs = lengths[(len(runs) - 1) // 2]
    means = []
    for epoch in range(n_epochs):
        values = [run[epoch] for run in runs if len(run) > epoch and not math.isnan(run[epoch])]
        means.append(sum(values) / len(values) if values else math.nan)
    return np.array(means)


def training_figure(comparison: Comparison) -> Figure:
    """Draw the recall of majority and minority during training, a panel for each network.

    Parameters
    ----------
    comparison : Comparison
        With the histories of its folds.

    Returns
    -------
    matplotlib.figure.Figure
        Means over splits and seeds for the best twelve networks. Without histories, a figure that says so.
    """
    networks = _networks(comparison)
    if not networks:
        return words_only("No training curves: no network was run.")
    shown = networks[:MAX_PANELS]
    columns = min(_COLUMNS, len(shown))
    rows = math.ceil(len(shown) / columns)
    with figure_style():
        figure = Figure(figsize=(3.0 * columns + 0.3, 1.85 * rows + 0.75), layout="constrained")
        panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
        for axes, name in zip(panels, shown, strict=False):
            _draw(axes, comparison, name)
        for axes in panels[len(shown) :]:
            axes.set_visible(False)
        left_out = len(networks) - len(shown)
        note = f" (the best {len(shown)} of {len(networks)} networks by rank)" if left_out else ""
        figure.supxlabel(f"Epoch{note}", fontsize=9)
        figure.supylabel("Recall", fontsize=9)
        handles = [
            Line2D([], [], color=color, ls=dashes, lw=width, label=f"{group}, {part}")
            for group, color in _GROUPS.items()
            for dashes, width, part in _PARTS.values()
        ]
        figure.legend(handles=handles, loc="outside upper left", ncols=4 if columns > 1 else 2)
    return figure


def _networks(comparison: Comparison) -> list[str]:
    trained = {result.method for result in comparison.results if result.history}
    return [method.name for method in ranked_methods(comparison) if method.name in trained]


def _draw(axes: Axes, comparison: Comparison, name: str) -> None:
    titles = {method.name: method.title for method in comparison.methods}
    for group, color in _GROUPS.items():
        for part, (dashes, width, _) in _PARTS.items():
            recall = mean_history(comparison, name, f"{part}_{group}_recall")
            marker = "o" if len(recall) == 1 else ""
            epochs = np.arange(1, len(recall) + 1)
            axes.plot(epochs, recall, color=color, ls=dashes, lw=width, marker=marker, markersize=4)
    axes.set_ylim(-0.03, 1.03)
    axes.set_title(shorten(titles[name], 40), fontsize=8.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
