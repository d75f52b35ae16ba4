"""The report as one HTML page that needs no network, no script and no other file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure

from metabalance.evaluation.comparison import Comparison
from metabalance.evaluation.metrics import METRICS
from metabalance.files import write_atomically
from metabalance.report.calibration import calibration_figure, calibration_rows
from metabalance.report.groups import group_tables
from metabalance.report.leaderboard import leaderboard_rows
from metabalance.report.ranking import precision_recall_figure, roc_figure
from metabalance.report.recall import recall_figure
from metabalance.report.saving import inline_svg
from metabalance.report.templates import fill
from metabalance.report.training import training_figure

MAX_CLASSES_LISTED = 20
QUOTED_SETTINGS = {
    "prior": "The test parts keep the class frequencies of the data.",
    "budget": "",
    "early_stopping": "",
}
CITATION = (
    "A. Bansal, M. Goldblum, V. Cherepanova, A. Schwarzschild, C. B. Bruss and T. Goldstein. "
    "MetaBalance: High-Performance Neural Networks for Class-Imbalanced Data. arXiv:2106.09643, 2021."
)


@dataclass(frozen=True)
class Picture:
    """A figure with the words around it; ``wide`` ones take the width of the page."""

    title: str
    caption: str
    draw: Callable[[Comparison], Figure]
    wide: bool


PICTURES = (
    Picture(
        "ROC curves",
        "Each curve is the mean of the curves of the test parts; scores of different models are not pooled. "
        "Of more than two classes, each is taken against the rest and the curves are averaged.",
        roc_figure,
        wide=False,
    ),
    Picture(
        "Precision-recall curves",
        "Made like the ROC curves. Where a class is rare, this is the picture that shows false alarms.",
        precision_recall_figure,
        wide=False,
    ),
    Picture(
        "Recall of every class",
        "Share of the rows of a class that are given its label. Row counts are those of the whole data.",
        recall_figure,
        wide=True,
    ),
    Picture(
        "Recall during training",
        "Held-out rows are the validation part of each training part. Where the minority's recall stays high "
        "on training rows and falls on held-out ones, the network memorises the minority. "
        "A line ends where fewer than half of the runs were still training.",
        training_figure,
        wide=True,
    ),
    Picture(
        "Calibration",
        "A method on the diagonal is right as often as it says. The area of a dot is the share of test rows; "
        "the test parts are taken together.",
        calibration_figure,
        wide=True,
    ),
)


def render_html(comparison: Comparison) -> str:
    """Return the report of a comparison as one self-contained HTML page.

    Parameters
    ----------
    comparison : Comparison
        Everything shown comes from it. Text in it is escaped, wherever it was taken from.

    Returns
    -------
    str
        The page; figures are inline SVG.

    Examples
    --------
    >>> comparison = Comparison(
    ...     "toy", 4, 2, ("no", "yes"), {"no": 3, "yes": 1}, methods=(), results=(),
    ...     skipped={"adasyn": "class yes has 1 row"}, settings={}, environment={}, seconds=0.1, command=None)
    >>> page = render_html(comparison)
    >>> "adasyn" in page, "<script" in page
    (True, False)
    """
    return fill(
        "report.html",
        comparison=comparison,
        classes=comparison.classes[:MAX_CLASSES_LISTED],
        ratio=_imbalance_ratio(comparison),
        quoted=_quoted_sentences(comparison),
        metrics=list(METRICS.values()),
        rows=leaderboard_rows(comparison),
        group_tables=group_tables(comparison),
        calibration_rows=calibration_rows(comparison),
        pictures=[(picture, Markup(inline_svg(picture.draw(comparison)))) for picture in PICTURES],
        settings=_other_settings(comparison),
        citation=CITATION,
    )


def write_report(comparison: Comparison, path: str | os.PathLike[str]) -> Path:
    """Write the report of a comparison as one HTML file.

    Parameters
    ----------
    comparison : Comparison
        What to report.
    path : path-like
        The file; its folder is made where needed.

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    ValueError
        If the file cannot be written.
    """
    return write_atomically(path, render_html(comparison).encode())


def _imbalance_ratio(comparison: Comparison) -> str:
    counts = comparison.class_counts.values()
    ratio = max(counts) / min(counts)
    return f"{ratio:.1f}" if ratio < 10 else f"{ratio:,.0f}"


def _quoted_sentences(comparison: Comparison) -> list[str]:
    sentences = [comparison.settings.get(key, default) for key, default in QUOTED_SETTINGS.items()]
    return [str(sentence) for sentence in sentences if sentence]


def _other_settings(comparison: Comparison) -> dict[str, str]:
    return {
        name: _plain(value)
        for name, value in comparison.settings.items()
        if name not in QUOTED_SETTINGS and value not in (None, "", {}, [])
    }


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
