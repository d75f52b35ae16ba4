"""The order in which the passes go through the rows, for each strategy that works on row numbers.

Orders are drawn for `AT_ONCE` rows or so at a time: where passes are short, as with few rows of the rare
class, several are drawn together, so that a batch costs the same on small data as on large. The order of a
very long pass is computed piece by piece and takes no memory.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from torch import Generator, Tensor

from metabalance.sampling.permutations import AT_ONCE, ComputedOrder, Permutation, Permutations

LONG = 2**22  # rows of a pass, beyond which its order is not kept in memory

Numbers = Callable[[Tensor], Tensor]
"""Returns the row numbers at some places of all rows, or of all rows class after class."""


class Passes(Protocol):
    """Makes the row numbers of one pass after the other."""

    @property
    def size(self) -> int:
        """Rows in one pass."""

    def order(self, generator: Generator) -> Tensor | ComputedOrder:
        """Draw the row numbers that come next: int64, always equally many, on the CPU."""


class Shuffled:
    """Every row once, in a new order.

    Parameters
    ----------
    rows : int
    numbers : callable, optional
        Returns the numbers of rows at places from 0 to ``rows``; by default these are the numbers.
    """

    def __init__(self, rows: int, numbers: Numbers | None = None) -> None:
        self.size = rows
        self._numbers = numbers

    def order(self, generator: Generator) -> Tensor | ComputedOrder:
        """Draw a permutation of all rows for every pass."""
        if self.size > LONG:
            shuffled = Permutation(self.size, generator)
            numbers = self._numbers
            return ComputedOrder(
                self.size, shuffled if numbers is None else lambda places: numbers(shuffled(places))
            )
        order = _shuffles(_passes_at_once(self.size), self.size, generator).flatten()
        return order if self._numbers is None else self._numbers(order)


class Undersampled:
    """From each class as many rows as the smallest has, a new subset without replacement in every pass.

    Parameters
    ----------
    numbers : callable
        Returns row numbers, class after class.
    counts : Tensor of int64, shape (n_classes,)
        Rows of each class.
    """

    def __init__(self, numbers: Numbers, counts: Tensor) -> None:
        self._numbers = numbers
        self._counts: list[int] = counts.tolist()
        self._starts: list[int] = (counts.cumsum(0) - counts).tolist()
        self._smallest = min(self._counts)
        self.size = self._smallest * len(self._counts)

    def order(self, generator: Generator) -> Tensor | ComputedOrder:
        """Draw the subsets of every pass and mix them."""
        if self.size > LONG:
            return self._computed(generator)
        passes = _passes_at_once(self.size)
        chosen = [
            start + _subsets(passes, count, self._smallest, generator)
            for start, count in zip(self._starts, self._counts, strict=True)
        ]
        mixed = _shuffles(passes, self.size, generator)
        return self._numbers(torch.cat(chosen, dim=1).gather(1, mixed).flatten())

    def _computed(self, generator: Generator) -> ComputedOrder:
        """The subset of a class is the beginning of a permutation of it."""
        subsets = Permutations(self._counts, generator)
        starts = torch.tensor(self._starts)
        mixed = Permutation(self.size, generator)

        def numbers_at(places: Tensor) -> Tensor:
            drawn = mixed(places)
            classes, within = drawn // self._smallest, drawn % self._smallest
            return self._numbers(starts[classes] + subsets(classes, within))

        return ComputedOrder(self.size, numbers_at)


class Oversampled:
    """Blocks of a row of each class in random order, drawn from it with replacement; as long as SMOTE's.

    Batches of a multiple of as many rows as there are classes have all of them equally often.

    Parameters
    ----------
    numbers, counts
        As of `Undersampled`.
    """

    def __init__(self, numbers: Numbers, counts: Tensor) -> None:
        self._numbers = numbers
        self._counts = counts
        self._starts = counts.cumsum(0) - counts
        self.size = len(counts) * int(counts.max())

    def order(self, generator: Generator) -> Tensor:
        """Draw the order of each block, then rows.

        Every block is like every other, so this need not end where a pass does.
        """
        n_classes = len(self._counts)
        classes = _shuffles(_passes_at_once(n_classes), n_classes, generator).flatten()
        # The remainder of a number below 2**62 is uniform to within 1e-11 for any class that fits in memory.
        within = torch.randint(2**62, (len(classes),), generator=generator) % self._counts[classes]
        return self._numbers(self._starts[classes] + within)


def by_class(y: Tensor) -> tuple[Numbers, Tensor]:
    """Return the row numbers class after class, as a function of places, and the rows per class."""
    labels = y.numpy()
    counts = np.unique(labels, return_counts=True)[1]
    # From 0 and in the fewest bytes that hold them: NumPy sorts small integers in linear time.
    lowest, highest = int(labels.min()), int(labels.max())
    small = (labels - lowest).astype(np.min_scalar_type(highest - lowest))
    rows = torch.from_numpy(np.argsort(small, kind="stable"))
    return rows.__getitem__, torch.from_numpy(counts)


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
