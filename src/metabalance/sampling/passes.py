"""The order in which the passes go through the rows, for each strategy that works on row numbers.

Orders are drawn for `AT_ONCE` rows or so at a time: where passes are short, as with few rows of the rare
class, several are drawn together, so that a batch costs the same on small data as on large.
"""

from typing import Protocol

import numpy as np
import torch
from torch import Generator, Tensor

AT_ONCE = 8192


class Passes(Protocol):
    """Makes the row numbers of one pass after the other."""

    @property
    def size(self) -> int:
        """Rows in one pass."""

    def order(self, generator: Generator) -> Tensor:
        """Draw the row numbers that come next: int64, always equally many, on the CPU."""


class Shuffled:
    """Every row once, in a new order."""

    def __init__(self, rows: int) -> None:
        self.size = rows

    def order(self, generator: Generator) -> Tensor:
        """Draw a permutation of all rows for every pass."""
        return _shuffles(_passes_at_once(self.size), self.size, generator).flatten()


class Undersampled:
    """From each class as many rows as the smallest has, a new subset without replacement in every pass."""

    def __init__(self, y: Tensor) -> None:
        self._rows, counts = _group(y)
        self._counts: list[int] = counts.tolist()
        self._smallest = min(self._counts)
        self.size = self._smallest * len(self._counts)

    def order(self, generator: Generator) -> Tensor:
        """Draw the subsets of every pass and mix them."""
        passes = _passes_at_once(self.size)
        chosen, start = [], 0
        for count in self._counts:
            chosen.append(start + _subsets(passes, count, self._smallest, generator))
            start += count
        mixed = _shuffles(passes, self.size, generator)
        return self._rows[torch.cat(chosen, dim=1).gather(1, mixed).flatten()]


class Oversampled:
    """Blocks of a row of each class in random order, drawn from it with replacement; as long as SMOTE's.

    Batches of a multiple of as many rows as there are classes have all of them equally often.
    """

    def __init__(self, y: Tensor) -> None:
        self._rows, self._counts = _group(y)
        self._starts = self._counts.cumsum(0) - self._counts
        self.size = len(self._counts) * int(self._counts.max())

    def order(self, generator: Generator) -> Tensor:
        """Draw the order of each block, then rows.

        Every block is like every other, so this need not end where a pass does.
        """
        n_classes = len(self._counts)
        classes = _shuffles(_passes_at_once(n_classes), n_classes, generator).flatten()
        # The remainder of a number below 2**62 is uniform to within 1e-11 for any class that fits in memory.
        within = torch.randint(2**62, (len(classes),), generator=generator) % self._counts[classes]
        return self._rows[self._starts[classes] + within]


def _group(y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the row numbers sorted by class, and the rows per class."""
    labels = y.numpy()
    counts = np.unique(labels, return_counts=True)[1]
    # From 0 and in the fewest bytes that hold them: NumPy sorts small integers in linear time.
    lowest, highest = int(labels.min()), int(labels.max())
    small = (labels - lowest).astype(np.min_scalar_type(highest - lowest))
    return torch.from_numpy(np.argsort(small, kind="stable")), torch.from_numpy(counts)


def _passes_at_once(size: int) -> int:
    return max(1, AT_ONCE // size)


def _shuffles(times: int, n: int, generator: Generator) -> Tensor:
    """Draw permutations of range(n), shape (times, n)."""
    if times == 1:
        return torch.randperm(n, generator=generator)[None]
    keys = torch.rand(times, n, generator=generator, dtype=torch.float64)
    return torch.from_numpy(np.argsort(keys.numpy(), axis=1))  # NumPy sorts several times as fast as torch


def _subsets(times: int, n: int, size: int, generator: Generator) -> Tensor:
    """Draw uniform subsets of range(n), shape (times, size), without repeats within each.

    A shuffled range is cut into as many subsets as it holds.
    """
    cuts = n // size
    if times <= cuts:
        return _subset(n, times * size, generator).reshape(times, size)
    shuffled = _shuffles(-(-times // cuts), n, generator)
    return shuffled[:, : cuts * size].reshape(-1, size)[:times]


def _subset(n: int, size: int, generator: Generator) -> Tensor:
    """Draw a uniform subset of range(n), in time that does not grow with n where the subset is small.

    Repeats of uniform draws are dropped until enough are left. All numbers are treated alike, so the distinct
    ones are a uniform subset whatever their number, and so is a random part of them.
    """
    if n < 4 * size:
        return torch.randperm(n, generator=generator)[:size]
    drawn = torch.randint(n, (2 * size,), generator=generator)
    while len(distinct := _distinct(drawn)) < size:
        drawn = torch.cat([distinct, torch.randint(n, (size,), generator=generator)])
    kept = torch.randperm(len(distinct), generator=generator)[:size]
    return distinct.index_select(0, kept)


def _distinct(numbers: Tensor) -> Tensor:
    distinct: Tensor = torch.unique_consecutive(torch.from_numpy(np.sort(numbers.numpy())))
    return distinct
