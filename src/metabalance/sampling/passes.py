"""The order in which one pass goes through the rows, for each strategy that works on row numbers."""

from typing import Protocol

import torch
from torch import Generator, Tensor


class Passes(Protocol):
    """Makes the row numbers of one pass after the other."""

    @property
    def size(self) -> int:
        """Rows in one pass."""

    def order(self, generator: Generator) -> Tensor:
        """Draw the row numbers of a new pass: int64 of shape (size,), on the CPU."""


class Shuffled:
    """Every row once, in a new order."""

    def __init__(self, rows: int) -> None:
        self.size = rows

    def order(self, generator: Generator) -> Tensor:
        """Draw a permutation of all rows."""
        return torch.randperm(self.size, generator=generator)


class Undersampled:
    """From each class as many rows as the smallest has, a new subset without replacement in every pass."""

    def __init__(self, y: Tensor) -> None:
        self._rows, counts = _group(y)
        self._counts: list[int] = counts.tolist()
        self._smallest = min(self._counts)
        self.size = self._smallest * len(self._counts)

    def order(self, generator: Generator) -> Tensor:
        """Draw the subsets and mix them."""
        chosen, start = [], 0
        for count in self._counts:
            chosen.append(start + _subset(count, self._smallest, generator))
            start += count
        mixed = torch.randperm(self.size, generator=generator)
        return self._rows[torch.cat(chosen)[mixed]]


class Oversampled:
    """A class uniformly, then a row of it uniformly, with replacement; a pass is as long as SMOTE's."""

    def __init__(self, y: Tensor) -> None:
        self._rows, self._counts = _group(y)
        self._starts = self._counts.cumsum(0) - self._counts
        self.size = len(self._counts) * int(self._counts.max())

    def order(self, generator: Generator) -> Tensor:
        """Draw classes, then rows (not `torch.multinomial`, which stops at 2**24 rows)."""
        classes = torch.randint(len(self._counts), (self.size,), generator=generator)
        # The remainder of a number below 2**62 is uniform to within 1e-11 for any class that fits in memory.
        within = torch.randint(2**62, (self.size,), generator=generator) % self._counts[classes]
        return self._rows[self._starts[classes] + within]


def _group(y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the row numbers sorted by class, and the rows per class."""
    return torch.argsort(y, stable=True), torch.unique(y, return_counts=True)[1]


def _subset(n: int, size: int, generator: Generator) -> Tensor:
    """Draw a uniform subset of range(n), in time that does not grow with n where the subset is small.

    Repeats of uniform draws are dropped until enough are left. All numbers are treated alike, so the distinct
    ones are a uniform subset whatever their number, and so is a random part of them.
    """
    if n == size:
        return torch.arange(n)
    if n < 4 * size:
        return torch.randperm(n, generator=generator)[:size]
    distinct: Tensor = torch.unique(torch.randint(n, (2 * size,), generator=generator))
    while len(distinct) < size:
        more = torch.randint(n, (size,), generator=generator)
        distinct = torch.unique(torch.cat([distinct, more]))
    kept = torch.randperm(len(distinct), generator=generator)[:size]
    return distinct.index_select(0, kept)
