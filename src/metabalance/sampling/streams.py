"""Endless streams of batches, cut from the rows by indexing: one stream, and MetaBalance's two."""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metabalance.sampling.checks import RandomState, as_seed, check_count, check_saved
from metabalance.sampling.pools import load_data, make_pool
from metabalance.sampling.readers import PoolReader
from metabalance.sampling.remembered import Remembered
from metabalance.sampling.shares import check_common_seed, share_of
from metabalance.sampling.stored import StoredTable
from metabalance.sampling.strategies import SamplerLike

Batch = tuple[Tensor, Tensor]


class BatchStream:
    """Batches of one sampling strategy, without end.

    The rows of a pass (see ``pass_size``) come in random order, and a new pass begins where one is used up,
    in the middle of a batch if need be, so that all batches are full:

    - ``natural``: a pass is every row once.
    - ``under``: a pass is as many rows of each class as the smallest has, without replacement, chosen anew.
    - ``over``: blocks of one row of each class in random order, each drawn from the rows of its class with
      replacement, so that batches of a multiple of as many rows as there are classes are exactly balanced; a
      pass is as many rows as all classes would have at the size of the largest.
    - other strategies and sampler objects: the data are resampled once, here, and a pass is every row of the
      result once.

    Parameters
    ----------
    X : array or tensor, shape (n, …), or StoredTable
        Rows, or a `metabalance.sampling.stored.StoredTable`, which has its labels and device; ``y`` is None
        then. Any dtype that a tensor can hold and any shape for the index strategies; finite floats of shape
        (n, features) for those that look at X (see `resample`). Not copied where it is on the device already.
    y : array or tensor of int, shape (n,)
        Class ids, any integers, at least two classes.
    strategy : str or object with ``fit_resample``, default="natural"
        A name in `STRATEGIES` or the user's own sampler.
    batch_size : int
        Rows of one batch, at least 1.
    random_state : int, numpy.random.Generator or None, default=None
        The same int gives the same batches, on every device.
    device : str or torch.device, default="cpu"
        Where the rows are held and the batches are made.
    categorical : array of bool, shape (features,), optional
        Columns between which no rows may be generated.
    class_names : sequence of str, optional
        What messages call the classes 0, 1, …; their ids by default.
    balance_by : array or tensor of int, shape (n,), optional
        Groups that "under" and "over" balance in the place of classes, such as sex, region or camera; ``y``
        may then be integers of any shape (n, …). With "natural", "under" and "over" only.

    Attributes
    ----------
    batch_size : int
    pass_size : int
        Rows of one pass.
    reader : PoolReader
        What takes the rows.

    Raises
    ------
    ValueError, TypeError
        If the data, the strategy and the sizes do not fit together; the message says how to mend it.

    Examples
    --------
    >>> import numpy as np
    >>> X, y = np.arange(100.0).reshape(50, 2), np.repeat([0, 1], [46, 4])
    >>> stream = BatchStream(X, y, strategy="under", batch_size=8, random_state=0)
    >>> x, labels = stream.draw()
    >>> x.shape, labels.bincount()
    (torch.Size([8, 2]), tensor([4, 4]))
    >>> x, labels = stream.draw(meta_steps=3)
    >>> x.shape, labels.shape
    (torch.Size([3, 8, 2]), torch.Size([3, 8]))
    """

    def __init__(
        self,
        X: NDArray[Any] | Tensor | StoredTable,
        y: NDArray[Any] | Tensor | None,
        *,
        strategy: str | SamplerLike | Remembered = "natural",
        batch_size: int,
        random_state: RandomState = None,
        device: str | torch.device = "cpu",
        categorical: NDArray[np.bool_] | None = None,
        class_names: Sequence[str] | None = None,
        balance_by: NDArray[Any] | Tensor | None = None,
    ) -> None:
        self.batch_size = check_count("batch_size", batch_size)
        seed = as_seed(random_state)
        data = load_data(X, y, device, balance_by)
        pool = make_pool(data, strategy, seed=seed, categorical=categorical, class_names=class_names)
        self.reader = PoolReader(pool, seed=seed)

    @property
    def pass_size(self) -> int:
        """Rows of one pass."""
        return self.reader.pass_size

    def draw(self, meta_steps: int | None = None) -> Batch:
        """Return the next batch, or the next ``meta_steps`` batches stacked.

        Parameters
        ----------
        meta_steps : int, optional
            At least 1.

        Returns
        -------
        x : Tensor, shape (batch_size, …) or (meta_steps, batch_size, …)
            New memory, which the caller may change.
        y : Tensor of int64, shape (batch_size,) or (meta_steps, batch_size)
            With further dimensions where the ``y`` given has such.
        """
        if meta_steps is None:
            return self.reader.read(self.batch_size)
        return self.reader.read(check_count("meta_steps", meta_steps), self.batch_size)

    def __len__(self) -> int:
        """Batches that it takes to go through one pass."""
        return math.ceil(self.pass_size / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """Yield ``len(self)`` batches, going on from where the stream stands."""
        for _ in range(len(self)):
            yield self.draw()

    def state_dict(self) -> dict[str, Any]:
        """Return the place in the stream, as numbers, a name and one small tensor."""
        return {"batch_size": self.batch_size, **self.reader.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to the place of ``state``: the draws that follow are those that followed there.

        Raises
        ------
        ValueError
            If the state is of a stream with other data, strategy or batch size; this one is then unchanged.
        """
        check_saved(state, {"batch_size": self.batch_size})
        self.reader.load_state_dict(state)


class MetaBatchStream:
    """MetaBalance's pairs of batches: support to take the inner step on, query to judge it on.

    Both streams run independently over the same data; each is as in `BatchStream`. Strategies that work on
    row numbers share one copy of the rows, and two streams of the same strategy share its resampled rows.

    Parameters
    ----------
    X : array or tensor, shape (n, …), or StoredTable
        As in `BatchStream`.
    y : array or tensor of int, shape (n,)
        Class ids, any integers, at least two classes.
    support, query : str or object with ``fit_resample``, default="natural" and "under"
        Names in `STRATEGIES` or the user's own samplers.
    meta_steps : int, default=80
        Pairs per draw.
    support_batch_size, query_batch_size : int, default=24 and 16
    random_state : int, numpy.random.Generator or None, default=None
        The same int gives the same pairs, on every device.
    device : str or torch.device, default="cpu"
    categorical : array of bool, shape (features,), optional
        Columns between which no rows may be generated.
    class_names : sequence of str, optional
        What messages call the classes 0, 1, …; their ids by default.
    balance_by : array or tensor of int, shape (n,), optional
        As in `BatchStream`, for both streams.
    num_replicas, rank : int, default=1 and 0
        Processes that share out the pairs of every draw, and which of them this one is, from 0. All of them
        draw the same pairs and each returns its own part of them, as even as may be: together they are what
        a single stream would return, no pair occurs twice, and balance is as exact.

    Attributes
    ----------
    support, query : PoolReader
        The two streams; each has a ``pass_size``.
    rows_per_draw : int
        Rows in one draw of all processes, support and query together.

    Raises
    ------
    ValueError, TypeError
        As `BatchStream`.

    References
    ----------
    Bansal et al. (2021), MetaBalance: High-Performance Neural Networks for Class-Imbalanced Data,
    Algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> X, y = np.arange(100.0).reshape(50, 2), np.repeat([0, 1], [46, 4])
    >>> stream = MetaBatchStream(X, y, meta_steps=5, random_state=0)
    >>> (x, y_support), (z, y_query) = stream.draw()
    >>> x.shape, z.shape, stream.rows_per_draw
    (torch.Size([5, 24, 2]), torch.Size([5, 16, 2]), 200)
    """

    def __init__(
        self,
        X: NDArray[Any] | Tensor | StoredTable,
        y: NDArray[Any] | Tensor | None,
        *,
        support: str | SamplerLike | Remembered = "natural",
        query: str | SamplerLike | Remembered = "under",
        meta_steps: int = 80,
        support_batch_size: int = 24,
        query_batch_size: int = 16,
        random_state: RandomState = None,
        device: str | torch.device = "cpu",
        categorical: NDArray[np.bool_] | None = None,
        class_names: Sequence[str] | None = None,
        balance_by: NDArray[Any] | Tensor | None = None,
        num_replicas: int = 1,
        rank: int = 0,
    ) -> None:
        self.meta_steps = check_count("meta_steps", meta_steps)
        self.part = share_of(self.meta_steps, num_replicas, rank)
        check_common_seed(random_state, num_replicas)
        self.support_batch_size = check_count("support_batch_size", support_batch_size)
        self.query_batch_size = check_count("query_batch_size", query_batch_size)
        seed = as_seed(random_state)
        data = load_data(X, y, device, balance_by)
        make = partial(make_pool, data, seed=seed, categorical=categorical, class_names=class_names)
        support_pool = make(support)
        same = query is support or (isinstance(query, str) and query == support)
        query_pool = support_pool if same else make(query)
        # Two seeds, or else two streams of the same strategy would draw the same rows.
        support_seed, query_seed = np.random.SeedSequence(seed).generate_state(2).tolist()
        self.support = PoolReader(support_pool, seed=support_seed)
        self.query = PoolReader(query_pool, seed=query_seed)

    @property
    def rows_per_draw(self) -> int:
        """Rows in one draw of all processes, support and query together."""
        return self.meta_steps * (self.support_batch_size + self.query_batch_size)

    def draw(self) -> tuple[Batch, Batch]:
        """Return the next pairs.

        Returns
        -------
        support : tuple of Tensor
            x of shape (meta_steps, support_batch_size, …), y of shape (meta_steps, support_batch_size).
        query : tuple of Tensor
            z of shape (meta_steps, query_batch_size, …), t of shape (meta_steps, query_batch_size).

        With more than one process, meta_steps is the number of pairs of this one.
        """
        return (
            self.support.read(self.meta_steps, self.support_batch_size, part=self.part),
            self.query.read(self.meta_steps, self.query_batch_size, part=self.part),
        )

    def __len__(self) -> int:
        """Draws that it takes to go through one pass of the query stream."""
        return math.ceil(self.query.pass_size / (self.meta_steps * self.query_batch_size))

    def __iter__(self) -> Iterator[tuple[Batch, Batch]]:
        """Yield ``len(self)`` draws, going on from where the streams stand."""
        for _ in range(len(self)):
            yield self.draw()

    def state_dict(self) -> dict[str, Any]:
        """Return the place in both streams, as numbers, names and two small tensors."""
        return {**self._sizes, "support": self.support.state_dict(), "query": self.query.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to the place of ``state``: the draws that follow are those that followed there.

        Raises
        ------
        ValueError
            If the state is of a stream with other data, strategies or sizes; this stream is then unchanged.
        """
        check_saved(state, self._sizes, also=("support", "query"))
        self.query.check_state(state["query"])  # before the support stream moves
        self.support.load_state_dict(state["support"])
        self.query.load_state_dict(state["query"])

    @property
    def _sizes(self) -> dict[str, int]:
        return {
            "meta_steps": self.meta_steps,
            "support_batch_size": self.support_batch_size,
            "query_batch_size": self.query_batch_size,
        }
