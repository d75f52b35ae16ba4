"""The report of a search as one HTML page that needs no network, no script and no other file."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from metabalance.evaluation.environment import describe_environment
from metabalance.files import write_atomically
from metabalance.report.leaderboard import NO_NUMBER
from metabalance.report.page import CITATION
from metabalance.report.saving import inline_svg
from metabalance.report.strategies import strategies_figure
from metabalance.report.templates import fill
from metabalance.search import MSMetaBalanceClassifier
from metabalance.search.candidates import describe


@dataclass(frozen=True)
class CandidateRow:
    """A line of the table; ``finished`` is false where a candidate was discarded early or failed."""

    support: str
    query: str
    settings: tuple[str, ...]
    score: str
    error: str
    epochs: int
    finished: bool
    failure: str


def render_search_html(
    search: MSMetaBalanceClassifier, *, dataset: str = "data", command: str | None = None
) -> str:
    """Return the report of a fitted search as one self-contained HTML page.

    Parameters
    ----------
    search : MSMetaBalanceClassifier
    dataset : str
        What the data are called.
    command : str, optional
        The command line to quote.

    Returns
    -------
    str
        The page; the figure is inline SVG, and text is escaped wherever it was taken from.
    """
    settings = [name for name in search.standings_.columns if name not in _COLUMNS]
    return fill(
        "search.html",
        search=search,
        dataset=dataset,
        command=command,
        winner=describe(search.best_params_),
        metric="ROC-AUC" if search.scoring is None else str(search.scoring),
        settings=settings,
        rows=_rows(search, settings),
        figure=Markup(inline_svg(strategies_figure(search))),
        environment=describe_environment(),
        citation=CITATION,
    )


def write_search_report(search: MSMetaBalanceClassifier, path: str | os.PathLike[str], **about: Any) -> Path:
    """Write the report of a search as one HTML file; arguments as in `render_search_html`.

    Raises
    ------
    ValueError
        If the file cannot be written.
    """
    return write_atomically(path, render_search_html(search, **about).encode())


_COLUMNS = ("support", "query", "score", "error", "epochs", "finished", "failure")


def _rows(search: MSMetaBalanceClassifier, settings: list[str]) -> list[CandidateRow]:
    return [
        CandidateRow(
            support=row["support"],
            query=row["query"],
            settings=tuple(str(row[name]) for name in settings),
            score=_number(row["score"]),
            error=_number(row["error"]),
            epochs=row["epochs"],
            finished=row["finished"],
            failure=row["failure"],
        )
        for row in search.standings_.to_dict("records")
    ]


def _number(value: float) -> str:
    return NO_NUMBER if math.isnan(value) else f"{value:.4f}"
