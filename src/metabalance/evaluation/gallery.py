"""Embeddings of images and whose they are, checked and in the order in which they are compared."""

from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray

TIE = 1e-6
"""Cosine similarities closer than this count as equal, as rounding in float32 may part them."""


@dataclass(frozen=True)
class Gallery:
    """Images sorted by identity, so that those of one are neighbours.

    Attributes
    ----------
    directions : Tensor of float32, shape (n, d)
        Embeddings scaled to length 1: their products are cosine similarities.
    people : ndarray of int64, shape (n,)
        Codes of the identities, ascending.
    order : ndarray of int64, shape (n,)
        Row of each image in what the user gave.
    """

    directions: torch.Tensor
    people: NDArray[np.int64]
    order: NDArray[np.int64]

    def blocks(self, size: int) -> Iterator[tuple[slice, slice, torch.Tensor]]:
        """Yield all rows in blocks, the columns around them in which their identities lie, and who is who.

        Raises
        ------
        ValueError
            If ``size`` is no integer of at least 1.
        """
        if not is_integer(size) or size < 1:
            raise ValueError(f"block must be an integer of at least 1, got {size!r}")
        for start in range(0, len(self.people), size):
            rows = slice(start, min(start + size, len(self.people)))
            columns = slice(
                int(np.searchsorted(self.people, self.people[start])),
                int(np.searchsorted(self.people, self.people[rows.stop - 1], side="right")),
            )
            same = torch.from_numpy(self.people[rows, None] == self.people[columns])
            yield rows, columns, same.to(self.directions.device)


def make_gallery(embeddings: ArrayLike | torch.Tensor, identity: ArrayLike | torch.Tensor) -> Gallery:
    """Check the embeddings and their identities, and sort both.

    Raises
    ------
    ValueError
        If shapes do not fit, an embedding is zero or not finite, or an identity is missing.
    """
    directions = _as_directions(embeddings)
    people, _ = as_codes("identity", identity, len(directions))
    order = np.argsort(people, kind="stable")
    return Gallery(directions[torch.from_numpy(order).to(directions.device)], people[order], order)


def as_codes(
    name: str, labels: ArrayLike | torch.Tensor, n_images: int
) -> tuple[NDArray[np.int64], list[Any]]:
    """Return a code for each image, and the labels that the codes 0, 1, … stand for, sorted.

    Examples
    --------
    >>> as_codes("group", ["m", "f", "m"], n_images=3)
    (array([1, 0, 1]), ['f', 'm'])
    """
    values = labels.numpy(force=True) if isinstance(labels, torch.Tensor) else labels
    if np.shape(values) != (n_images,):
        raise ValueError(
            f"{name} must have one label for each of the {n_images} embeddings, got shape {np.shape(values)}"
        )
    series = pd.Series(values)  # unlike an array of strings, it keeps NaN and None what they are
    if series.hasnans:
        row = int(series.isna().to_numpy().argmax())
        raise ValueError(f"row {row} of {name} has no label: leave out the images without one")
    codes, uniques = pd.factorize(series, sort=True)
    return codes.astype(np.int64), uniques.tolist()


def is_integer(value: Any) -> bool:
    """Whether it is an integer, of Python or NumPy, and no bool."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def _as_directions(embeddings: ArrayLike | torch.Tensor) -> torch.Tensor:
    """The embeddings in float32 with length 1, checked."""
    if isinstance(embeddings, torch.Tensor):
        table = embeddings.detach().to(torch.float32)
    else:
        with np.errstate(over="ignore"):  # what is too large for float32 is reported below
            table = torch.from_numpy(np.array(embeddings, dtype=np.float32))
    if table.ndim != 2 or len(table) < 2 or table.shape[1] < 1:
        raise ValueError(
            f"embeddings must have shape (n, d), one row for each of n ≥ 2 images, got {tuple(table.shape)}"
        )
    largest = table.abs().amax(dim=1, keepdim=True)
    for problem, found in (("not finite", ~largest.isfinite()), ("zero", largest == 0)):
        if found.any():
            row = int(found.flatten().nonzero()[0])
            raise ValueError(
                f"row {row} of embeddings is {problem} in float32, so it has no direction: leave it out"
            )
    return torch.nn.functional.normalize(table / largest)  # divided first, since squares may overflow
