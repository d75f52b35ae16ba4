"""The rows that a fit trains on and the rows it watches."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Part:
    """Encoded rows on the device.

    Parameters
    ----------
    x : Tensor of shape (n, …)
    y : Tensor of int64, shape (n,) or (n, 2)
        What the loss is given: class codes, and which rows members hold out where they do.
    codes : int64 array of shape (n,)
        Class codes.
    balance_by : int64 array of shape (n,), optional
        What sampling strategies balance; where it is absent, ``y``.
    """

    x: Tensor
    y: Tensor
    codes: NDArray[np.int64]
    balance_by: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.codes)

    def subset(self, rows: NDArray[np.intp]) -> "Part":
        """Return the given rows only."""
        groups = None if self.balance_by is None else self.balance_by[rows]
        return Part(self.x[rows], self.y[rows], self.codes[rows], groups)


def stratified_holdout(
    codes: NDArray[np.int64],
    fraction: float,
    rng: np.random.Generator,
    classes: NDArray[Any],
    groups: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Split rows into training and validation, each class by the same fraction and never wholly to one side.

    Every class keeps at least one row on each side, however rare it is, which scikit-learn's stratified
    splitters do not promise: without it a validation score of a rare class would be undefined.

    Parameters
    ----------
    codes : array of int, shape (n,)
    fraction : float in (0, 1)
        Share of each class that goes to validation, rounded, at least one row.
    rng : numpy.random.Generator
    classes : array of shape (n_classes,)
        The labels behind the codes, for messages.
    groups : array of int, shape (n,), optional
        What each class is held out evenly from.

    Returns
    -------
    train, valid : arrays of int
        Sorted row numbers; together all rows.

    Raises
    ------
    ValueError
        If a class has a single row.
    """
    check_two_rows_each(codes, classes)
    valid = []
    for code, count in zip(*np.unique(codes, return_counts=True), strict=True):
        size = min(max(1, round(fraction * count)), count - 1)
        rows = np.flatnonzero(codes == code)
        if groups is None:
            valid.append(rng.choice(rows, size=size, replace=False))
        else:  # at even distances, one group after the other
            places = (np.arange(size) + rng.random()) * count / size
            valid.append(by_group(rows, groups, rng)[places.astype(np.intp)])
    held_out = np.sort(np.concatenate(valid))
    if groups is not None:
        held_out = _leaving_each_group_a_row(held_out, codes, groups)
    return np.setdiff1d(np.arange(len(codes)), held_out), held_out


def _leaving_each_group_a_row(
    held_out: NDArray[np.intp], codes: NDArray[np.int64], groups: NDArray[np.int64]
) -> NDArray[np.intp]:
    """Swap rows of a class, where that is possible, so that no group is wholly held out."""
    held = np.zeros(len(codes), dtype=bool)
    held[held_out] = True
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        left = np.bincount(groups[~held], minlength=groups.max() + 1)
        if left[group]:
            continue
        for row in rows:
            others = np.flatnonzero(~held & (codes == codes[row]) & (left[groups] > 1))
            if len(others):
                held[row], held[others[0]] = False, True
                break
    return np.flatnonzero(held)


def by_group(
    rows: NDArray[np.intp], groups: NDArray[np.int64] | None, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Shuffle row numbers, and sort them by group where there are groups."""
    shuffled = rng.permutation(rows)
    return shuffled if groups is None else shuffled[np.argsort(groups[shuffled], kind="stable")]


def check_two_rows_each(codes: NDArray[np.int64], classes: NDArray[Any]) -> None:
    """Raise ValueError if a class has a single row, of which nothing could be held out."""
    counts = np.bincount(codes)
    if (counts == 1).any():
        label = str(classes[int((counts == 1).argmax())])
        raise ValueError(
            f"class {label!r} has a single row in this training part (all rows, or those of a split), but "
            "two are needed, one to train on and one to hold out: collect more, merge or drop the class, or "
            "train with early_stopping=False"
        )


def watched_rows(codes: NDArray[np.int64], at_most: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Rows on which recall is followed during training: all, or a sample of each class of large data.

    Recalls are taken within a class, so each class may be sampled on its own: up to ``at_most / K`` of each.
    """
    if len(codes) <= at_most:
        return np.arange(len(codes))
    classes = np.unique(codes)
    share = max(1, at_most // len(classes))
    rows = [np.flatnonzero(codes == code) for code in classes]
    return np.concatenate([r if len(r) <= share else rng.choice(r, share, replace=False) for r in rows])
