"""Which rows each member of an ensemble holds out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metabalance.training.data import by_group, check_two_rows_each


@dataclass(frozen=True)
class Holdouts:
    """What members hold out.

    Parameters
    ----------
    group : array of int, shape (n,)
        Rows of a group are held out by the same members.
    held : array of bool, shape (groups, members)
    """

    group: NDArray[np.int64]
    held: NDArray[np.bool_]

    def weights(self) -> Tensor:
        """What a row of a group counts for each member (see `metabalance.nn.MemberLoss`), float32."""
        trained_on = ~self.held[self.group]
        return torch.from_numpy(~self.held / trained_on.mean(axis=0)).float()


def cross_fitted_holdouts(
    codes: NDArray[np.int64],
    n_members: int,
    fraction: float,
    rng: np.random.Generator,
    classes: NDArray[Any],
    groups: NDArray[np.int64] | None = None,
) -> Holdouts:
    """Share the rows out among the members: what some hold out, others train on.

    Rows are dealt into as many folds as ``fraction`` says, class by class, and every member holds one fold
    out; members beyond the first round hold out folds dealt anew. With fewer members than folds, rows of the
    last folds are held out by none, but of each class at least one row is by some.

    Parameters
    ----------
    codes : array of int, shape (n,)
    n_members : int
        At least 2.
    fraction : float in (0, 1)
        Share of the rows that a member holds out: one of 2, 3, 4, … folds, whose number is 1 / fraction,
        rounded.
    rng : numpy.random.Generator
    classes : array of shape (n_classes,)
        The labels behind the codes, for messages.
    groups : array of int, shape (n,), optional
        What each class is dealt evenly from.

    Raises
    ------
    ValueError
        If a class has a single row.

    Examples
    --------
    >>> import numpy as np
    >>> codes = np.repeat([0, 1], [8, 4])
    >>> found = cross_fitted_holdouts(codes, 4, 0.25, np.random.default_rng(0), np.array([0, 1]))
    >>> found.held[found.group].sum(axis=0)
    array([3, 3, 3, 3])
    """
    check_two_rows_each(np.bincount(codes), classes)
    folds = max(2, round(1 / fraction))
    held = np.zeros((len(codes), n_members), dtype=bool)
    for start in range(0, n_members, folds):
        fold = _deal(codes, groups, folds, min(folds, n_members), rng)
        for member in range(start, min(start + folds, n_members)):
            held[:, member] = fold == member - start
    patterns, group = np.unique(held, axis=0, return_inverse=True)
    return Holdouts(group.reshape(-1).astype(np.int64), patterns)


def _deal(
    codes: NDArray[np.int64],
    groups: NDArray[np.int64] | None,
    folds: int,
    held: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """The fold of each row; folds have equally many rows of each class, or differ by one.

    Each class has a row in one of the first ``held`` folds at least, those that a member holds out.
    """
    fold = np.empty(len(codes), dtype=np.int64)
    for code in np.unique(codes):
        rows = by_group(np.flatnonzero(codes == code), groups, rng)
        fold[rows] = (np.arange(len(rows)) + rng.integers(held)) % folds
    return fold
