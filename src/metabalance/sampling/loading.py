"""MetaBalance's batches from a data set that does not fit in memory: rows are fetched as they are drawn."""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from metabalance.sampling.checks import RandomState, as_labels
from metabalance.sampling.remembered import chooses_rows
from metabalance.sampling.streams import MetaBatchStream

Pair = tuple[Any, Tensor]


class MetaDataLoader:
    """MetaBalance's pairs of batches from a map-style data set, fetched by the workers of a DataLoader.

    A `MetaBatchStream` draws the numbers of the rows, the workers of a `torch.utils.data.DataLoader` fetch
    them some draws ahead, so that only these are in memory.

    Parameters
    ----------
    dataset : torch.utils.data.Dataset
        With ``__len__`` and ``__getitem__``; items are inputs, or pairs (inputs, label) whose label is passed
        over. Inputs are what torch's ``default_collate`` makes batches of: tensors, arrays, tuples, dicts.
    y : array or tensor of int, shape (n,)
        Class ids of all items, which strategies need before any item is fetched.
    support, query : str, default="natural" and "under"
        "natural", "under" or "over": strategies that choose rows by their number.
    meta_steps : int, default=80
        Pairs per draw.
    support_batch_size, query_batch_size : int, default=24 and 16
    random_state : int, numpy.random.Generator or None, default=None
        The same int gives the same batches, whatever the number of workers.
    **loader_options
        Of the DataLoader: ``num_workers``, ``pin_memory``, ``prefetch_factor``, ``collate_fn``, …

    Raises
    ------
    ValueError, TypeError
        If a strategy looks at the rows, ``dataset`` and ``y`` differ in length, or as `MetaBatchStream`.

    Examples
    --------
    >>> import torch
    >>> from torch.utils.data import TensorDataset
    >>> from metabalance.sampling import MetaDataLoader
    >>> x, y = torch.arange(50.0).reshape(50, 1), (torch.arange(50) >= 46).long()
    >>> loader = MetaDataLoader(TensorDataset(x), y, meta_steps=5, random_state=0)
    >>> (x_support, y_support), (z, t) = next(iter(loader))
    >>> x_support[0].shape, z[0].shape, t.sum(1).tolist()
    (torch.Size([5, 24, 1]), torch.Size([5, 16, 1]), [8, 8, 8, 8, 8])
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        y: NDArray[Any] | Tensor,
        *,
        support: str = "natural",
        query: str = "under",
        meta_steps: int = 80,
        support_batch_size: int = 24,
        query_batch_size: int = 16,
        random_state: RandomState = None,
        **loader_options: Any,
    ) -> None:
        for name, strategy in (("support", support), ("query", query)):
            if not chooses_rows(strategy):
                raise ValueError(
                    f"{name}={strategy!r} looks at all rows, which are not in memory here: use 'natural', "
                    "'under' or 'over', or a MetaBatchStream over an array"
                )
        labels = as_labels(y)
        size = len(dataset)  # type: ignore[arg-type]
        if size != len(labels):
            raise ValueError(f"the data set has {size} items but y has {len(labels)} labels")
        for name in ("batch_size", "shuffle", "sampler", "batch_sampler", "drop_last", "in_order"):
            if name in loader_options:
                raise ValueError(f"{name} is decided by the streams: leave it out")
        self.stream = MetaBatchStream(
            np.arange(size),
            labels,
            support=support,
            query=query,
            meta_steps=meta_steps,
            support_batch_size=support_batch_size,
            query_batch_size=query_batch_size,
            random_state=random_state,
        )
        self._dataset = dataset
        self._options = {"collate_fn": default_collate, **loader_options}
        self._state = self.stream.state_dict()

    def __len__(self) -> int:
        """Draws that it takes to go through one pass of the query stream."""
        return len(self.stream)

    def __iter__(self) -> Iterator[tuple[Pair, Pair]]:
        """Yield ``len(self)`` draws, going on from the last one taken; one loop at a time.

        Yields
        ------
        support, query : pairs (inputs, labels)
            As `MetaBatchStream.draw` returns them: every tensor with (meta_steps, batch size) in front.
        """
        self.stream.load_state_dict(self._state)  # where an earlier loop was left, its workers were ahead
        ahead: deque[tuple[Tensor, Tensor, dict[str, Any]]] = deque()

        def numbers() -> Iterator[list[int]]:
            for _ in range(len(self)):
                (rows, labels), (query_rows, query_labels) = self.stream.draw()
                ahead.append((labels, query_labels, self.stream.state_dict()))
                yield torch.cat([rows.flatten(), query_rows.flatten()]).tolist()

        for items in DataLoader(self._dataset, batch_sampler=numbers(), **self._options):
            inputs = _inputs_of(items)
            labels, query_labels, self._state = ahead.popleft()
            border = labels.numel()
            yield (
                (_in_shape(inputs, slice(border), labels.shape), labels),
                (_in_shape(inputs, slice(border, None), query_labels.shape), query_labels),
            )

    def state_dict(self) -> dict[str, Any]:
        """Return the place behind the last draw taken, whatever the workers have fetched since."""
        return self._state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a saved place; the next loop begins there."""
        self.stream.load_state_dict(state)
        self._state = dict(state)


def _inputs_of(items: Any) -> Any:
    """Collated items without their labels; several inputs as a tuple, a model's arguments."""
    if isinstance(items, list | tuple):
        return items[0] if len(items) == 2 else tuple(items)
    return items


def _in_shape(inputs: Any, part: slice, shape: torch.Size) -> Any:
    """A part of the rows of every tensor, with its first dimension in this shape."""
    if isinstance(inputs, Tensor):
        return inputs[part].reshape(*shape, *inputs.shape[1:])
    if isinstance(inputs, Mapping):
        return {name: _in_shape(each, part, shape) for name, each in inputs.items()}
    if isinstance(inputs, list | tuple):
        return tuple(_in_shape(each, part, shape) for each in inputs)
    raise TypeError(f"items must collate to tensors, or tuples or dicts of them, got {type(inputs).__name__}")
