"""Random orders of very many rows that take no memory: each place is computed when it is read.

An order is a Feistel network over a square of numbers at least as large as the range [1]_: a permutation,
whatever its round function is, that needs no memory. Numbers outside the range are sent through it again.
Each place is even, and each pair of places nearly; not all of the n! orders of a small range can come.

References
----------
.. [1] Black, Rogaway. Ciphers with Arbitrary Finite Domains. CT-RSA 2002.
"""

import math
from collections.abc import Callable
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
        Decides which permutation; `ROUNDS` numbers are drawn.

    Examples
    --------
    >>> import torch
    >>> shuffle = Permutation(6, torch.Generator().manual_seed(0))
    >>> sorted(shuffle(torch.arange(6)).tolist())
    [0, 1, 2, 3, 4, 5]
    """

    def __init__(self, n: int, generator: Generator) -> None:
        self.n = n
        self._side = np.uint64(math.isqrt(n - 1) + 1)  # the smallest square that holds n
        drawn = torch.randint(2**62, (ROUNDS,), generator=generator)
        self._keys: Numbers = drawn.numpy().astype(np.uint64)

    def __call__(self, places: Tensor) -> Tensor:
        """Return the numbers at these places, int64 of any shape, from 0."""
        numbers = self._once(places.numpy().astype(np.uint64))
        outside = numbers >= self.n
        while outside.any():
            numbers[outside] = self._once(numbers[outside])
            outside = numbers >= self.n
        return torch.from_numpy(numbers.astype(np.int64))

    def _once(self, numbers: Numbers) -> Numbers:
        left, right = np.divmod(numbers, self._side)
        for key in self._keys:
            left, right = right, (left + _scrambled(right + key)) % self._side
        result: Numbers = left * self._side + right
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
