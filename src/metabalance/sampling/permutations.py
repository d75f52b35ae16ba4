"""Random orders of very many rows that take no memory: each place is computed when it is read.

An order is a Feistel network over a square of numbers at least as large as the range [1]_: a permutation,
whatever its round function is, that needs no memory. Numbers outside the range are sent through it again.
Each place is even, and each pair of places nearly; not all of the n! orders of a small range can come.

References
----------
.. [1] Black, Rogaway. Ciphers with Arbitrary Finite Domains. CT-RSA 2002.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

ROUNDS = 8
AT_ONCE = 8192  # places that are computed together, of which the next batches are read

Numbers = NDArray[np.uint64]


class Permutation:
    """A permutation of the numbers below ``n``, as a function of places.

    Parameters
    ----------
    n : int
        At least 1.
    generator : torch.Generator
        Decides which permutation.

    Examples
    --------
    >>> import torch
    >>> shuffle = Permutation(6, torch.Generator().manual_seed(0))
    >>> sorted(shuffle(torch.arange(6)).tolist())
    [0, 1, 2, 3, 4, 5]
    """

    def __init__(self, n: int, generator: Generator) -> None:
        self._permutations = Permutations([n], generator)

    def __call__(self, places: Tensor) -> Tensor:
        """Return the numbers at these places, int64 of any shape, from 0."""
        return self._permutations(0, places)


class Permutations:
    """A permutation of each of several ranges.

    Parameters
    ----------
    sizes : sequence of int
        How many numbers each of them has, at least 1.
    generator : torch.Generator
        Decides which permutations.

    Examples
    --------
    >>> import torch
    >>> shuffle = Permutations([2, 3], torch.Generator().manual_seed(0))
    >>> numbers = shuffle(torch.tensor([0, 0, 1, 1, 1]), torch.tensor([0, 1, 0, 1, 2]))
    >>> sorted(numbers[:2].tolist()), sorted(numbers[2:].tolist())
    ([0, 1], [0, 1, 2])
    """

    def __init__(self, sizes: Sequence[int], generator: Generator) -> None:
        self._sizes: Numbers = np.array(sizes, dtype=np.uint64)
        # The smallest squares that hold them.
        self._sides: Numbers = np.array([math.isqrt(n - 1) + 1 for n in sizes], dtype=np.uint64)
        drawn = torch.randint(2**62, (len(sizes), ROUNDS), generator=generator)
        self._keys: Numbers = drawn.numpy().astype(np.uint64)

    def __call__(self, which: int | Tensor, places: Tensor) -> Tensor:
        """Return the numbers at places, int64 of their shape, of one permutation or of one for each place."""
        own = which if isinstance(which, int) else which.numpy()
        sizes, sides, keys = self._sizes[own], self._sides[own], self._keys[own]
        numbers = _once(places.numpy().astype(np.uint64), sides, np.moveaxis(keys, -1, 0))
        outside = numbers >= sizes
        while outside.any():
            if not isinstance(own, int):
                sides, keys = self._sides[own[outside]], self._keys[own[outside]]
            numbers[outside] = _once(numbers[outside], sides, np.moveaxis(keys, -1, 0))
            outside = numbers >= sizes
        return torch.from_numpy(numbers.astype(np.int64))


def _once(numbers: Numbers, sides: Any, keys: Any) -> Numbers:
    """Send numbers through the network; the keys are those of one round after the other."""
    left, right = np.divmod(numbers, sides)
    for key in keys:
        left, right = right, (left + _scrambled(right + key)) % sides
    result: Numbers = left * sides + right
    return result


def _scrambled(numbers: Numbers) -> Numbers:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014), half of whose bits change with any one."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    # Half of the bits are kept, or the sum with a number of the other half could overflow.
    return (numbers ^ (numbers >> np.uint64(31))) >> np.uint64(32)


class ComputedOrder:
    """Row numbers in an order that is computed piece by piece, to be read like a tensor.

    Parameters
    ----------
    length : int
    numbers_at : callable
        Returns the row numbers at places, int64 of shape (n,).
    """

    def __init__(self, length: int, numbers_at: Callable[[Tensor], Tensor]) -> None:
        self._length = length
        self._numbers_at = numbers_at
        self._device = torch.device("cpu")
        self._start, self._piece = 0, torch.empty(0, dtype=torch.int64)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, places: slice) -> Tensor:
        """Return the numbers at consecutive places (the slice's step is 1), int64."""
        start, stop, _ = places.indices(self._length)
        if not self._start <= start <= stop <= self._start + len(self._piece):
            end = max(stop, min(start + AT_ONCE, self._length))
            self._start, self._piece = start, self._numbers_at(torch.arange(start, end)).to(self._device)
        return self._piece[start - self._start : stop - self._start]

    def to(self, device: Any) -> "ComputedOrder":
        """Have the numbers sent to a device from now on."""
        self._device = torch.device(device)
        self._start, self._piece = 0, torch.empty(0, dtype=torch.int64, device=self._device)
        return self
