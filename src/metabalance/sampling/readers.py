"""Reading the rows of a pool in the order of its passes, from a place that can be saved and returned to."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Generator, Tensor

from metabalance.sampling.checks import check_saved
from metabalance.sampling.pools import Pool


class PoolReader:
    """Takes rows off a pool, one pass after the other.

    The state is the generator as it was when the present order was drawn, and how far that has been read: a
    few kilobytes however long it is.

    Parameters
    ----------
    pool : Pool
    seed : int
        Of the order of the rows, which is always drawn on the CPU.
    """

    def __init__(self, pool: Pool, *, seed: int) -> None:
        self._pool = pool
        self._generator = Generator().manual_seed(seed)
        self._draw_order()

    @property
    def pass_size(self) -> int:
        """Rows of one pass."""
        return self._pool.passes.size

    def read(self, *shape: int, part: slice = slice(None)) -> tuple[Tensor, Tensor]:
        """Return the next rows and labels, in this leading shape; only a part of the first dimension of it.

        The place moves on as if all had been read.
        """
        places = self._take(torch.Size(shape).numel()).view(shape)[part]
        rows = places.flatten()
        x, y = self._pool.rows(rows)
        return x.reshape(*places.shape, *x.shape[1:]), y.reshape(*places.shape, *y.shape[1:])

    def again(self, seed: int) -> "PoolReader":
        """Return another reader of the same rows, from its own beginning and in an order of its own."""
        return PoolReader(self._pool, seed=seed)

    @property
    def strategy(self) -> str:
        """The name of the sampling strategy."""
        return self._pool.strategy

    def state_dict(self) -> dict[str, Any]:
        """Return what the pool is and the place in it."""
        return {**self._identity, "generator": self._generator_at_order.clone(), "position": self._position}

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Raise ValueError if the state is not of a reader of the same pool."""
        check_saved(state, self._identity, also=("generator", "position"))
        position = state["position"]
        rows = len(self._order)
        if isinstance(position, bool) or not isinstance(position, int) or not 0 <= position <= rows:
            raise ValueError(f"the state's position is {position!r}, which is no place in {rows} rows")
        if not isinstance(state["generator"], Tensor) or state["generator"].dtype != torch.uint8:
            raise ValueError("the state's generator is damaged: save and load the whole state_dict")

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to the place of ``state``; raises ValueError, and stays, if it is of another pool."""
        self.check_state(state)
        self._generator.set_state(state["generator"].cpu())
        self._draw_order()
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

    def _draw_order(self) -> None:
        self._generator_at_order = self._generator.get_state()
        # Sent to where labels are once, so that batches need no transfer of their own.
        self._order = self._pool.passes.order(self._generator).to(self._pool.y.device)
        self._position = 0

    def _take(self, count: int) -> Tensor:
        """Return the next row numbers, over as many orders as it takes."""
        if self._position + count <= len(self._order):
            self._position += count
            return self._order[self._position - count : self._position]
        # Made first: it fails at once where it cannot fit in memory.
        taken = torch.empty(count, dtype=torch.int64, device=self._pool.y.device)
        filled = 0
        while True:
            piece = self._order[self._position : self._position + count - filled]
            taken[filled : filled + len(piece)] = piece
            self._position += len(piece)
            filled += len(piece)
            if filled == count:
                return taken
            self._draw_order()
