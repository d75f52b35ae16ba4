"""Figures as files, and as SVG inside a page."""

from __future__ import annotations

import io
import os
import re
import warnings
from pathlib import Path

from matplotlib.figure import Figure

from metabalance.files import write_atomically
from metabalance.report.style import figure_style

FORMATS = ("png", "svg")


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure as PNG or SVG, by the ending of ``path``; the same figure gives the same file.

    Returns
    -------
    pathlib.Path
        The file written; its folder is made where needed.

    Raises
    ------
    ValueError
        If the ending is another, or the file cannot be written.
    """
    ending = Path(path).suffix.lower().removeprefix(".")
    if ending not in FORMATS:
        raise ValueError(f"cannot save a figure as {str(path)!r}; end the name with .png or .svg")
    return write_atomically(path, _render(figure, ending))


def inline_svg(figure: Figure) -> str:
    """Return a figure as an ``<svg>`` element for an HTML page."""
    drawing = _render(figure, "svg").decode()
    # An HTML page has one namespace of ids: matplotlib's names of groups would repeat in it, and nothing
    # refers to them. Ids that are referred to are hashes of what they define.
    return re.sub(r' id="[a-z0-9.]+_\d+"', "", drawing[drawing.index("<svg") :])


def _render(figure: Figure, ending: str) -> bytes:
    content = io.BytesIO()
    # No date and no version: they would make two files of one figure.
    metadata = {"svg": dict.fromkeys(("Creator", "Date", "Format", "Type")), "png": {"Software": None}}[
        ending
    ]
    with figure_style(), warnings.catch_warnings():
        # matplotlib's own font lacks many scripts; the fonts of whoever reads the SVG have them.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font", category=UserWarning)
        figure.savefig(content, format=ending, dpi=150, metadata=metadata)
    return content.getvalue()
