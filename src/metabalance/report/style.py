"""How every figure of the report looks, and which colour and line a method has in all of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import matplotlib.style
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from metabalance.evaluation.comparison import Comparison, MethodInfo
from metabalance.evaluation.metrics import METRICS

# Okabe and Ito's colours, which stay apart for colour-blind readers; two greys replace their yellow, which
# is hard to see on white.
PALETTE: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#222222", "#8A8A8A")
MAX_CURVES: Final = len(PALETTE)
PLAIN: Final = "#B4B9BF"

_RC: Final = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "axes.titlelocation": "left",
    "axes.edgecolor": "#9AA0A6",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#E6E8EB",
    "grid.linewidth": 0.7,
    "xtick.color": "#5F6368",
    "ytick.color": "#5F6368",
    "xtick.labelcolor": "#3C4043",
    "ytick.labelcolor": "#3C4043",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.handlelength": 2.8,
    "text.parse_math": False,  # a "$" in a label is a dollar
    "svg.fonttype": "none",  # text stays text: it can be searched, and the reader's fonts have its glyphs
    "svg.hashsalt": "metabalance",  # the same figure is the same file
}


@dataclass(frozen=True)
class Line:
    """Colour, dashes and width that stand for one method."""

    color: str
    dashes: str
    width: float


_FAMILY_LINES: Final = {"metabalance": ("solid", 2.4), "network": ("dashed", 1.6), "rival": ("dotted", 1.8)}


@contextmanager
def figure_style() -> Iterator[None]:
    """Use the report's matplotlib settings inside a ``with`` block, whatever the user's own are."""
    with matplotlib.style.context(_RC, after_reset=True):
        yield


def ranked_methods(comparison: Comparison) -> list[MethodInfo]:
    """Return the methods that have results, the best rank first."""
    by_name = {method.name: method for method in comparison.methods}
    return [by_name[name] for name in comparison.frame.index]


def method_lines(comparison: Comparison) -> dict[str, Line]:
    """Return the line of each of the methods that get one: the best eight by rank.

    The colour says which method it is, the dashes of which family: solid for MetaBalance, dashed for other
    networks, dotted for rivals.
    """
    return {
        method.name: Line(color, *_FAMILY_LINES[method.family])
        for method, color in zip(ranked_methods(comparison), PALETTE, strict=False)
    }


def add_legend(
    figure: Figure, comparison: Comparison, metric: str, values: Mapping[str, float] | None = None
) -> None:
    """Put a legend under the axes: the line, a value of ``metric`` and the name of each method.

    The value is the mean over the folds, where no others are given.
    """
    means = comparison.frame[metric] if values is None else values
    lines = method_lines(comparison)
    titles = {method.name: method.title for method in comparison.methods}
    handles = [
        Line2D(
            [], [], color=line.color, ls=line.dashes, lw=line.width, label=_entry(means[name], titles[name])
        )
        for name, line in lines.items()
    ]
    heading = METRICS[metric].label
    if len(lines) < len(titles):
        heading += f" (the best {len(lines)} of {len(titles)} methods by rank)"
    figure.legend(handles=handles, title=heading, loc="outside lower left", alignment="left")


def _entry(mean: float, title: str) -> str:
    return f"{'n/a' if math.isnan(mean) else format(mean, '.3f')}  {shorten(title, 52)}"


def curve_figure_size(comparison: Comparison) -> tuple[float, float]:
    """Return the size of a figure with one pair of axes and :func:`add_legend` below, in inches."""
    return 5.0, 4.6 + 0.18 * len(method_lines(comparison))


def shorten(text: str, length: int) -> str:
    """Cut a label at ``length`` characters.

    Examples
    --------
    >>> shorten("balanced random forest", 12)
    'balanced ra…'
    """
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def words_only(sentence: str) -> Figure:
    """Return a figure that says why there is nothing to draw."""
    with figure_style():
        figure = Figure(figsize=(6.4, 0.6))
        figure.text(0.02, 0.5, sentence, va="center", color="#5F6368", style="italic")
    return figure
