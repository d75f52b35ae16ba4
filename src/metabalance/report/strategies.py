"""The heat map of a search: the mean score of every pair of strategies, as in the paper's Table 2."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from metabalance.report.style import figure_style, shorten
from metabalance.search import MSMetaBalanceClassifier
from metabalance.search.candidates import title

_BLUES = LinearSegmentedColormap.from_list("score", ["#E8F1F9", "#0B5394"])
_BEST = "#D55E00"
_EARLY = "#E3E5E8"


def strategies_figure(search: MSMetaBalanceClassifier) -> Figure:
    """Draw a cell for each pair of strategies that was tried, coloured by its score.

    Parameters
    ----------
    search : MSMetaBalanceClassifier
        Fitted. Where a pair was tried with several further settings, the best of them is shown.

    Returns
    -------
    matplotlib.figure.Figure
        Support strategies are rows, query strategies columns. A cell holds the mean score over the folds and
        its standard error. Pairs without a score of the last round are grey and hatched and say how many
        epochs they had; the best pair has an orange frame.
    """
    pairs = search.standings_.drop_duplicates(["support", "query"])
    supports = [name for name in map(title, search.support_samplers) if name not in search.left_out_]
    queries = [name for name in map(title, search.query_samplers) if name not in search.left_out_]
    finished = pairs.loc[pairs["finished"], "score"]
    shade = Normalize(finished.min(), max(finished.max(), np.nextafter(finished.min(), math.inf)))
    with figure_style():
        figure = Figure(figsize=(2.2 + 1.05 * len(queries), 1.2 + 0.62 * len(supports)), layout="constrained")
        axes = figure.add_subplot()
        for pair in pairs.to_dict("records"):
            corner = (queries.index(pair["query"]), supports.index(pair["support"]))
            _draw_cell(axes, corner, pair, float(shade(pair["score"])) if pair["finished"] else None)
        best = pairs.iloc[0]
        corner = (queries.index(best["query"]), supports.index(best["support"]))
        frame = Rectangle(corner, 1, 1, fill=False, edgecolor=_BEST, linewidth=3, zorder=3, clip_on=False)
        axes.add_patch(frame)
        axes.set(xlim=(0, len(queries)), ylim=(len(supports), 0))
        metric = "ROC-AUC" if search.scoring is None else shorten(str(search.scoring), 40)
        axes.set(xlabel="Query strategy", ylabel="Support strategy", title=f"Mean of the folds: {metric}")
        axes.set_xticks(np.arange(len(queries)) + 0.5, [shorten(name, 18) for name in queries])
        axes.set_yticks(np.arange(len(supports)) + 0.5, [shorten(name, 24) for name in supports])
        axes.tick_params(length=0, labelsize=8)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
    return figure


def _draw_cell(axes: Axes, corner: tuple[int, int], pair: Mapping[str, Any], level: float | None) -> None:
    face, hatch = (_EARLY, "////") if level is None else (_BLUES(level), None)
    axes.add_patch(Rectangle(corner, 1, 1, facecolor=face, edgecolor="white", hatch=hatch, linewidth=1.5))
    color = "white" if level is not None and level > 0.7 else "#202124"
    middle = (corner[0] + 0.5, corner[1] + 0.5)
    axes.text(*middle, _words(pair), ha="center", va="center", fontsize=7.5, color=color)


def _words(pair: Mapping[str, Any]) -> str:
    if pair["failure"]:
        return "failed"
    error = "" if math.isnan(pair["error"]) else f"\n± {pair['error']:.4f}"
    early = "" if pair["finished"] else f"\n{pair['epochs']} epochs"
    return f"{pair['score']:.4f}{error}{early}"
