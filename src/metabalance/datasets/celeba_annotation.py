"""The annotation files of CelebA, in their authors' format."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metabalance.datasets.files import listed, read_table

WEIGHT = "detector_weight"


def read_identities(file: Path) -> dict[str, int]:
    """Whom each image shows, by file name: lines such as ``000001.jpg 2880``.

    Raises
    ------
    ValueError
        If a line is something else, or an image occurs twice; the message names the line.
    """
    identities: dict[str, int] = {}
    for number, fields in _lines(file):
        if len(fields) != 2 or not _is_number(fields[1]):
            raise ValueError(f"{file}, line {number} is not an image and its identity: {_shown(fields)}")
        _check_new(fields[0], identities, file, number)
        identities[fields[0]] = int(fields[1])
    return identities


def read_attribute(file: Path, attribute: str) -> dict[str, bool]:
    """Whether each image has an attribute, by file name.

    The first line counts the images, the second names the attributes, and each other has an image with -1 or
    1 for every attribute.

    Raises
    ------
    ValueError
        If there is no such attribute, a line is something else, an image occurs twice, or the count is wrong;
        the message names the line.
    """
    lines = _lines(file)
    number, count = next(lines, (1, []))
    if len(count) != 1 or not _is_number(count[0]):
        raise ValueError(f"{file}, line {number} is not the number of images: {_shown(count)}")
    attributes = next(lines, (2, []))[1]
    if attribute not in attributes:
        raise ValueError(f"{file} has no attribute {attribute!r}; it has {', '.join(attributes) or 'none'}")
    column = 1 + attributes.index(attribute)
    has: dict[str, bool] = {}
    for number, fields in lines:
        if len(fields) != 1 + len(attributes) or not {"-1", "1"}.issuperset(fields[1:]):
            raise ValueError(
                f"{file}, line {number} is not an image with -1 or 1 for each of {len(attributes)} "
                f"attributes: {_shown(fields)}"
            )
        _check_new(fields[0], has, file, number)
        has[fields[0]] = fields[column] == "1"
    if len(has) != int(count[0]):
        raise ValueError(
            f"{file} has {len(has):,} images, not the {int(count[0]):,} of its first line: download it anew"
        )
    return has


def read_detector_weights(file: Path, names: list[str]) -> NDArray[np.float64]:
    """How sure the face detector was of these images: the columns ``image`` and ``detector_weight``.

    Raises
    ------
    ValueError
        If a column is missing, or an image of ``names`` has no weight.
    """
    table = read_table(file, parsed=())
    if not {"image", WEIGHT}.issubset(table.columns):
        raise ValueError(
            f"{file} must have the columns image and {WEIGHT}, it has {listed([*table.columns])}"
        )
    weights = pd.to_numeric(table[WEIGHT], errors="coerce")
    of_image = dict(zip(table["image"], weights, strict=True))
    found = np.array([of_image.get(name, np.nan) for name in names])
    without = [name for name, missing in zip(names, np.isnan(found), strict=True) if missing]
    if without:
        raise ValueError(f"{file} has no {WEIGHT} for {len(without):,} images: {listed(without)}")
    return found


def majority_group(identity: NDArray[np.int64], has: NDArray[np.bool_]) -> NDArray[np.int64]:
    """1 for the images of identities that have an attribute in more than half of their images, else 0."""
    codes = np.unique(identity, return_inverse=True)[1]
    share = np.bincount(codes, weights=has) / np.bincount(codes)
    return (share > 0.5)[codes].astype(np.int64)


def _lines(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of each line that is not blank."""
    # Bytes that are no text end up in a line that is refused by its number.
    with file.open(encoding="utf-8-sig", errors="replace") as opened:
        for number, line in enumerate(opened, 1):
            fields = line.split()
            if fields:
                yield number, fields


def _check_new(name: str, known: dict[str, int] | dict[str, bool], file: Path, number: int) -> None:
    if name in known:
        raise ValueError(f"{file}, line {number} has {name} for the second time: remove one of the two")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 18  # what an int64 holds


def _shown(fields: list[str]) -> str:
    line = " ".join(fields)
    return repr(line if len(line) <= 60 else line[:60] + "…")
