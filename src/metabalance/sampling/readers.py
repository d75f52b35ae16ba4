"""Reading a pool pass after pass, from a place that can be saved and returned to."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Generator, Tensor

from metabalance.sampling.checks import check_saved
from metabalance.sampling.pools import Pool


class PoolReader:
    """Takes rows off a pool, one pass after the other.

    The state is the generator as it was when the pass began, and how far the pass has been read: a few
    kilobytes however long the pass is.

    Parameters
    ----------
    pool : Pool
    seed : int
        Of the order of the rows, which is always drawn on the CPU.
    """

    def __init__(self, pool: Pool, *, seed: int) -> None:
        self._pool = pool
        self._generator = Generator().manual_seed(seed)
        self._begin_pass()

    @property
    def pass_size(self) -> int:
        """Rows of one pass."""
        return self._pool.passes.size

    def read(self, *shape: int) -> tuple[Tensor, Tensor]:
        """Return the next rows and labels, in this leading shape."""
        rows = self._take(torch.Size(shape).numel()).to(self._pool.x.device)
        x, y = self._pool.x.index_select(0, rows), self._pool.y.index_select(0, rows)
        return x.reshape(*shape, *x.shape[1:]), y.reshape(shape)

    def state_dict(self) -> dict[str, Any]:
        """Return what the pool is and the place in it."""
        return {**self._identity, "generator": self._generator_at_pass.clone(), "position": self._position}

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Raise ValueError if the state is not of a reader of the same pool."""
        check_saved(state, self._identity, also=("generator", "position"))
        position = state["position"]
        if isinstance(position, bool) or not isinstance(position, int) or not 0 <= position <= self.pass_size:
            raise ValueError(
                f"the state's position is {position!r}, which is no place in a pass of {self.pass_size}"
            )
        if not isinstance(state["generator"], Tensor) or state["generator"].dtype != torch.uint8:
            raise ValueError("the state's generator is damaged: save and load the whole state_dict")

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to the place of ``state``; raises ValueError, and stays, if it is of another pool."""
        self.check_state(state)
        self._generator.set_state(state["generator"].cpu())
        self._begin_pass()
        self._position = int(state["position"])

    @property
    def _identity(self) -> dict[str, Any]:
        pool = self._pool
        return {
            "strategy": pool.strategy,
            "rows": len(pool.y),
            "pass_size": pool.passes.size,
            "pool_checksum": pool.fingerprint,
        }

    def _begin_pass(self) -> None:
        self._generator_at_pass = self._generator.get_state()
        self._order = self._pool.passes.order(self._generator)
        self._position = 0

    def _take(self, count: int) -> Tensor:
        """Return the next row numbers, over as many passes as it takes."""
        taken = torch.empty(count, dtype=torch.int64)  # fails at once where it cannot fit in memory
        filled = 0
        while True:
            piece = self._order[self._position : self._position + count - filled]
            taken[filled : filled + len(piece)] = piece
            self._position += len(piece)
            filled += len(piece)
            if filled == count:
                return taken
            self._begin_pass()
