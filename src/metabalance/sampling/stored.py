"""Rows in files, read as if they were tensors in memory, and what is drawn from them.

Small numbers, such as class codes, are mapped into memory. Rows are read instead: a map brings what lies
around each row into the process's memory, too, until the whole table is there, and taking that back costs
more than reading.
"""

import os
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ROWS_AT_ONCE = 65_536
CUT_SHORT = "it has been cut short while it was read"


class StoredRows:
    """Rows of one shape and type, one after the other in a file, with what a tensor has to draw from it.

    Parameters
    ----------
    path : path-like
        Numbers in the machine's own order, and nothing else.
    dtype : NumPy dtype
        Of the numbers in the file.
    shape : sequence of int
        (n, …), of all rows.
    device : str or torch.device, default="cpu"
        Where rows go that are read.

    Raises
    ------
    ValueError
        If the file is not of that size, or missing.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        dtype: Any,
        shape: Sequence[int],
        device: torch.device | str = "cpu",
    ) -> None:
        self.path = Path(path)
        self.shape = torch.Size(shape)
        self.device = torch.device(device)
        self._dtype = np.dtype(dtype)
        self._row_bytes = self._dtype.itemsize * self.shape[1:].numel()
        try:
            self._file = os.open(self.path, os.O_RDONLY)
        except FileNotFoundError as error:
            raise self._damaged("it is missing") from error
        weakref.finalize(self, os.close, self._file)
        found, wanted = os.fstat(self._file).st_size, self._row_bytes * self.shape[0]
        if found != wanted:
            raise self._damaged(f"it holds {found:,} bytes where {wanted:,} were written")

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """Dimensions, that of the rows included."""
        return len(self.shape)

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """Return rows by their numbers; ``dim`` is 0."""
        file, size = self._file, self._row_bytes
        found = b"".join([os.pread(file, size, start) for start in (index.cpu().long() * size).tolist()])
        if len(found) != len(index) * size:
            raise self._damaged(CUT_SHORT)
        rows = np.frombuffer(bytearray(found), dtype=self._dtype).reshape(len(index), *self.shape[1:])
        return torch.from_numpy(rows).to(self.device)

    def __getitem__(self, rows: Any) -> Tensor:
        """Return the rows of a slice, or with these numbers."""
        if not isinstance(rows, slice):
            return self.index_select(0, torch.as_tensor(rows))
        start, stop, step = rows.indices(len(self))
        if step != 1:
            return self.index_select(0, torch.arange(start, stop, step))
        rows = np.empty((max(0, stop - start), *self.shape[1:]), dtype=self._dtype)
        unread, place = memoryview(rows).cast("B") if rows.size else memoryview(b""), start * self._row_bytes
        while len(unread):  # the system reads two gigabytes at most at a time
            count = os.preadv(self._file, [unread], place)
            if not count:
                raise self._damaged(CUT_SHORT)
            unread, place = unread[count:], place + count
        return torch.from_numpy(rows).to(self.device)

    def _damaged(self, reason: str) -> ValueError:
        return ValueError(f"{str(self.path)!r} is damaged, {reason}: delete its folder, and it is made again")


def mapped_numbers(path: str | os.PathLike[str], dtype: Any, count: int) -> Tensor:
    """Return the whole numbers in a file as a tensor of shape (count,), which is mapped, not read.

    Raises
    ------
    ValueError
        If the file is not of that size, or missing.
    """
    StoredRows(path, dtype, (count,))  # checks
    return torch.from_numpy(np.memmap(path, dtype, "c"))  # writable copies: torch warns of others


class Remaining:
    """The numbers 0, 1, … without some of them, as a function of places among those that remain.

    Parameters
    ----------
    left_out : Tensor of int64, shape (m,)
        Sorted, no number twice.

    Examples
    --------
    >>> import torch
    >>> Remaining(torch.tensor([2, 5]))(torch.arange(5)).tolist()
    [0, 1, 3, 4, 6]
    """

    def __init__(self, left_out: Tensor) -> None:
        self._before = left_out - torch.arange(len(left_out))  # numbers that remain below each

    def __call__(self, places: Tensor) -> Tensor:
        """Return the numbers at these places, int64."""
        return places + torch.searchsorted(self._before, places, right=True)


def check_budget(strategy: str, rows: int, made: int, width: int, budget: int) -> None:
    """Raise ValueError if rows, and those that a strategy makes of them, take more bytes than are allowed."""
    wanted = 4 * width * (rows + made)
    if wanted > budget:
        raise ValueError(
            f"{strategy} looks at all {rows:,} rows at once, which with the rows that it makes take up to "
            f"{wanted / 1e6:,.1f} MB of memory, more than the budget of {budget / 1e6:,.1f}: use natural, "
            "over or under, or raise memory_budget (of metabalance.LargeTable)"
        )


@dataclass(frozen=True)
class StoredTable:
    """Encoded rows in files, of which some are drawn from: what streams take in the place of X and y.

    Parameters
    ----------
    x : StoredRows of shape (n, features)
    y : Tensor of shape (n,)
        Class codes from 0, whole numbers of any size.
    by_class : Tensor of shape (n,)
        Row numbers, class after class, ascending in each; whole numbers of any size.
    counts : array of int64, shape (n_classes,)
        Rows of each class in all.
    left_out : Tensor of int64, shape (m,)
        Places in ``by_class``, sorted, of rows that are not drawn.
    memory_budget : int
        Bytes that a strategy's pool may have that looks at the rows.
    fingerprint : str
        What tells the rows from others.
    """

    x: StoredRows
    y: Tensor
    by_class: Tensor
    counts: NDArray[np.int64]
    left_out: Tensor
    memory_budget: int
    fingerprint: str

    def __len__(self) -> int:
        return len(self.y) - len(self.left_out)

    @property
    def drawn_counts(self) -> NDArray[np.int64]:
        """Rows of each class that are drawn from."""
        ends = torch.from_numpy(self.counts.cumsum())
        classes = torch.searchsorted(ends, self.left_out, right=True)
        missing = torch.bincount(classes, minlength=len(self.counts))
        drawn: NDArray[np.int64] = self.counts - missing.numpy()
        return drawn

    def numbers_by_class(self, places: Tensor) -> Tensor:
        """Return the row numbers at places among those that are drawn from, class after class."""
        return self.by_class.index_select(0, Remaining(self.left_out)(places)).long()

    def left_out_rows(self) -> Tensor:
        """Return the numbers of the rows that are not drawn, sorted."""
        return self.by_class.index_select(0, self.left_out).long().sort().values

    def in_memory(self, strategy: str) -> tuple[Tensor, Tensor]:
        """Return all rows that are drawn from and their codes, for a strategy that looks at them.

        Raises
        ------
        ValueError
            If they and the rows that the strategy may make of them are more than the budget.
        """
        drawn = self.drawn_counts
        made = len(drawn) * int(drawn.max())  # as many of each class as of the largest
        check_budget(strategy, len(self), made, self.x.shape[1:].numel(), self.memory_budget)
        kept = torch.ones(len(self.y), dtype=torch.bool)
        kept[self.left_out_rows()] = False
        pieces = [slice(start, start + ROWS_AT_ONCE) for start in range(0, len(self.y), ROWS_AT_ONCE)]
        x = torch.cat([self.x[piece][kept[piece].to(self.x.device)] for piece in pieces])
        return x, self.y[kept].long().to(self.x.device)
