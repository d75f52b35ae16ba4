"""The rows that a fit trains on and the rows it watches."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metabalance.sampling.stored import StoredRows, StoredTable


class Part(ABC):
    """Encoded rows that go together.

    Attributes
    ----------
    x : Tensor or StoredRows of shape (n, …)
    codes : array of int, shape (n,)
        Class codes of the rows of ``x``.
    balance_by : int64 array of shape (n,), or None
        What sampling strategies balance; where it is None, the classes.
    """

    x: Tensor | StoredRows
    codes: NDArray[Any]
    balance_by: NDArray[np.int64] | None

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    @abstractmethod
    def counts(self) -> NDArray[np.int64]:
        """Rows of each class."""

    @property
    @abstractmethod
    def for_streams(self) -> tuple[Any, Tensor | None]:
        """The first arguments of streams over these rows."""

    @abstractmethod
    def watched(self, at_most: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """Rows on which recall is followed during training: all, or a sample of each class of large data.

        Recalls are taken within a class, so each class may be sampled on its own: up to ``at_most / K`` of
        each.
        """

    @abstractmethod
    def subset(self, rows: NDArray[np.intp]) -> "PartInMemory":
        """Return the given rows only."""

    @abstractmethod
    def with_rows_of(self, valid: "PartInMemory") -> "Part":
        """Return the part with those, which were held out of it, as well."""

    @abstractmethod
    def describe(self, add: Callable[[Any], None]) -> None:
        """Give everything that tells these rows from others to ``add``, as bytes."""


@dataclass(frozen=True)
class PartInMemory(Part):
    """Encoded rows on the device.

    Parameters
    ----------
    x : Tensor of shape (n, …)
    y : Tensor of int64, shape (n,) or (n, 2)
        What the loss is given: class codes, and which rows members hold out where they do.
    codes : int64 array of shape (n,)
    balance_by : int64 array of shape (n,), optional
    """

    x: Tensor
    y: Tensor
    codes: NDArray[np.int64]
    balance_by: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Rows of each class."""
        return np.bincount(self.codes)

    @property
    def for_streams(self) -> tuple[Tensor, Tensor]:
        """Rows and what the loss is given."""
        return self.x, self.y

    def watched(self, at_most: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """As of every part."""
        if len(self.codes) <= at_most:
            return np.arange(len(self.codes))
        classes = np.unique(self.codes)
        share = max(1, at_most // len(classes))
        rows = [np.flatnonzero(self.codes == code) for code in classes]
        return np.concatenate([r if len(r) <= share else rng.choice(r, share, replace=False) for r in rows])

    def subset(self, rows: NDArray[np.intp]) -> "PartInMemory":
        """Return the given rows only."""
        groups = None if self.balance_by is None else self.balance_by[rows]
        return PartInMemory(self.x[rows], self.y[rows], self.codes[rows], groups)

    def with_rows_of(self, valid: "PartInMemory") -> "PartInMemory":
        """Return these rows and those."""
        groups = [each.balance_by for each in (self, valid) if each.balance_by is not None]
        return PartInMemory(
            torch.cat([self.x, valid.x]),
            torch.cat([self.y, valid.y]),
            np.concatenate([self.codes, valid.codes]),
            np.concatenate(groups) if groups else None,
        )

    def describe(self, add: Callable[[Any], None]) -> None:
        """All their numbers."""
        for tensor in (self.x, self.y):
            array = tensor.contiguous().cpu().numpy()
            add(f"{array.dtype} {array.shape}".encode())
            add(array.data)
        if self.balance_by is not None:
            add(np.ascontiguousarray(self.balance_by).data)


@dataclass(frozen=True)
class StoredPart(Part):
    """The rows of a table in files that are drawn from.

    Parameters
    ----------
    table : StoredTable
    """

    table: StoredTable

    @property
    def x(self) -> StoredRows:  # type: ignore[override]
        """All rows of the table, those left out included."""
        return self.table.x

    @property
    def codes(self) -> NDArray[Any]:  # type: ignore[override]
        """Class codes of all rows of the table."""
        codes: NDArray[Any] = self.table.y.numpy()
        return codes

    @property
    def balance_by(self) -> None:  # type: ignore[override]
        """The classes are balanced."""
        return None

    def __len__(self) -> int:
        return len(self.table)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Rows of each class that are drawn from."""
        return self.table.drawn_counts

    @property
    def for_streams(self) -> tuple[StoredTable, None]:
        """The table."""
        return self.table, None

    def watched(self, at_most: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """As of every part."""
        counts = self.counts
        share = max(1, at_most // len(counts))
        starts = counts.cumsum() - counts
        places = np.concatenate(
            [
                start + (np.arange(count) if count <= share else rng.choice(count, share, replace=False))
                for start, count in zip(starts, counts, strict=True)
            ]
        )
        rows: NDArray[np.intp] = self.table.numbers_by_class(torch.from_numpy(places)).numpy()
        return rows

    def subset(self, rows: NDArray[np.intp]) -> PartInMemory:
        """Read the given rows, by their numbers in the whole table."""
        numbers = torch.from_numpy(rows)
        codes = self.table.y[numbers].long()
        return PartInMemory(self.x.index_select(0, numbers), codes.to(self.x.device), codes.numpy())

    def with_rows_of(self, valid: PartInMemory) -> "StoredPart":
        """Return all rows of the table."""
        return StoredPart(replace(self.table, left_out=self.table.left_out[:0]))

    def describe(self, add: Callable[[Any], None]) -> None:
        """The table's fingerprint, and what is left out."""
        add(self.table.fingerprint.encode())
        add(self.table.left_out.numpy().data)


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
    check_two_rows_each(np.bincount(codes), classes)
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


def check_two_rows_each(counts: NDArray[np.int64], classes: NDArray[Any]) -> None:
    """Raise ValueError if a class has a single row, of which nothing could be held out."""
    if (counts == 1).any():
        label = str(classes[int((counts == 1).argmax())])
        raise ValueError(
            f"class {label!r} has a single row in this training part (all rows, or those of a split), but "
            "two are needed, one to train on and one to hold out: collect more, merge or drop the class, or "
            "train with early_stopping=False"
        )
