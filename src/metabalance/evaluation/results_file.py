"""Strict, versioned JSON on disk: what a comparison's numbers are kept in."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from metabalance.files import write_atomically

FILE_FORMAT = "metabalance-comparison"
FILE_VERSION = 1


def write_results_file(path: str | os.PathLike[str], content: Mapping[str, Any]) -> Path:
    """Write ``content`` behind a header that names format and version.

    NaN becomes null and an infinity its name, because strict JSON has neither.

    Raises
    ------
    TypeError
        If ``content`` holds something that JSON cannot.
    ValueError
        If the file cannot be written.
    """
    document = {"format": FILE_FORMAT, "version": FILE_VERSION, **content}
    try:
        text = json.dumps(strict(document), allow_nan=False, separators=(",", ":"))
    except TypeError as error:
        raise TypeError(f"{error}; settings may hold numbers, strings, lists and mappings of them") from error
    return write_atomically(path, text.encode())


def read_results_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what :func:`write_results_file` wrote, without its header.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is something else, or of a version this library does not read.
    """
    try:
        document = json.loads(Path(path).read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is not a JSON file ({error}); give one that to_json wrote") from error
    if not isinstance(document, dict) or document.pop("format", None) != FILE_FORMAT:
        raise ValueError(f"{path} is not a metabalance comparison; give a file that to_json wrote")
    version = document.pop("version", None)
    if version != FILE_VERSION:
        raise ValueError(
            f"{path} has format version {version!r} and this library reads version {FILE_VERSION}; "
            "read it with the metabalance release that wrote it, or run the comparison again"
        )
    return document


def numbers_from_json(stored: Mapping[str, float | str | None]) -> dict[str, float]:
    """Undo what strict JSON made of floats: null is NaN, and the names of infinities are infinities.

    Examples
    --------
    >>> numbers_from_json({"loss": "inf", "score": None, "recall": 0.5})
    {'loss': inf, 'score': nan, 'recall': 0.5}
    """
    return {
        name: math.nan if value is None else float(value) if isinstance(value, str) else value
        for name, value in stored.items()
    }


def strict(value: Any) -> Any:
    """Return plain types that strict JSON has: NaN is None, and an infinity its name."""
    match value:
        case float():
            if math.isnan(value):
                return None
            return value if math.isfinite(value) else str(value)
        case list() | tuple():
            return [strict(item) for item in value]
        case Mapping():
            return {str(key): strict(item) for key, item in value.items()}
        case np.generic():
            return strict(value.item())
        case _:
            return value
