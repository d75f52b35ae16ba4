"""The rows that a stream draws from, as tensors on the device."""

import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metabalance.sampling.checks import as_labels, check_same_length
from metabalance.sampling.passes import Numbers, Oversampled, Passes, Shuffled, Undersampled, by_class
from metabalance.sampling.remembered import Remembered
from metabalance.sampling.resampling import resample
from metabalance.sampling.stored import Remaining, StoredRows, StoredTable
from metabalance.sampling.strategies import SamplerLike, resolve_strategy


@dataclass(frozen=True)
class Data:
    """Checked data before any sampling.

    Parameters
    ----------
    x, y : Tensor
        Rows of shape (n, …) and what is known of each, class ids of shape (n,) or any other integers of shape
        (n, …), on the device.
    labels : array of int64, shape (n,)
        The groups that strategies balance: the class ids, unless others are given.
    are_classes : bool
        Whether ``y`` is the labels, so that rows made up for a label have a ``y``.
    """

    x: Tensor
    y: Tensor
    labels: NDArray[np.int64]
    are_classes: bool


@dataclass(frozen=True)
class Pool:
    """What a strategy made of the data.

    Parameters
    ----------
    strategy : str
        Name.
    x, y : Tensor
        Rows of shape (m, …) and class ids, int64 of shape (m,) (or what `Data` has), on the device; of a
        `StoredTable`, rows that come to the device as they are read, and smaller integers on the CPU.
    passes : Passes
        Which of these rows a pass takes, and in which order.
    fingerprint : int
        Checksum of the resampled rows, by which a resumed stream knows that it has the same pool; 0 where the
        rows are the data themselves.
    """

    strategy: str
    x: Tensor | StoredRows
    y: Tensor
    passes: Passes
    fingerprint: int

    def rows(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Return rows by their numbers, and what is known of each."""
        y = self.y.index_select(0, numbers)
        return self.x.index_select(0, numbers), y.to(self.x.device, torch.int64)


def _as_groups(balance_by: NDArray[Any] | Tensor) -> NDArray[np.int64]:
    try:
        return as_labels(balance_by)
    except (TypeError, ValueError) as error:
        raise type(error)(
            "balance_by must hold the number of each row's group, as numpy.unique(groups, axis=0, "
            f"return_inverse=True)[1] gives it for groups of any kind; of it as labels: {error}"
        ) from error


def load_data(
    X: NDArray[Any] | Tensor | StoredTable,
    y: NDArray[Any] | Tensor | None,
    device: str | torch.device,
    balance_by: NDArray[Any] | Tensor | None = None,
) -> Data | StoredTable:
    """Check rows and labels and put them on the device, without a copy where they are there already.

    Raises
    ------
    ValueError
        If there are no rows, one class only, NaN labels, or X and y differ in length.
    TypeError
        If the labels are not integers or X cannot be a tensor.
    """
    if isinstance(X, StoredTable):
        if y is not None or balance_by is not None:
            raise ValueError("a stored table has its labels, and balances these: leave out y and balance_by")
        return X
    if y is None:
        raise TypeError("y is None: give the class of each row")
    x = _as_tensor(X)
    labels = as_labels(y) if balance_by is None else _as_groups(balance_by)
    check_same_length(x, labels)
    if balance_by is None:
        return Data(x.to(device), _as_tensor(labels).to(device), labels, are_classes=True)
    known = _as_tensor(y)
    check_same_length(known, labels)
    return Data(x.to(device), known.to(device), labels, are_classes=False)


def make_pool(
    data: Data | StoredTable,
    strategy: str | SamplerLike | Remembered,
    *,
    seed: int,
    categorical: NDArray[np.bool_] | None,
    class_names: Sequence[str] | None = None,
) -> Pool:
    """Apply a strategy: the index strategies share the data's tensors, all others make new rows, once."""
    resolved = resolve_strategy(strategy.strategy if isinstance(strategy, Remembered) else strategy)
    if resolved.kind == "index":
        return Pool(resolved.name, data.x, data.y, _index_passes(resolved.name, data), fingerprint=0)
    if isinstance(data, StoredTable):
        x, codes = data.in_memory(resolved.name)
        data = Data(x, codes, codes.cpu().numpy(), are_classes=True)
    if not data.are_classes:
        raise ValueError(
            f"{resolved.name} makes rows for class ids y only: balance_by goes with natural, over and under"
        )
    resampled = (
        strategy.resample if isinstance(strategy, Remembered) else partial(resample, strategy=strategy)
    )
    X, y = resampled(
        _as_array(data.x, resolved.name),
        data.labels,
        random_state=seed,
        categorical=categorical,
        class_names=class_names,
    )
    fingerprint = zlib.crc32(np.ascontiguousarray(y).data, zlib.crc32(np.ascontiguousarray(X).data))
    device = data.x.device
    return Pool(
        resolved.name, _as_tensor(X).to(device), _as_tensor(y).to(device), Shuffled(len(y)), fingerprint
    )


def _index_passes(name: str, data: Data | StoredTable) -> Passes:
    numbers: Numbers
    if isinstance(data, StoredTable):
        if name == "natural":
            return Shuffled(len(data), Remaining(data.left_out_rows()))
        numbers, counts = data.numbers_by_class, _as_tensor(data.drawn_counts)
    elif name == "natural":
        return Shuffled(len(data.labels))
    else:
        numbers, counts = by_class(_as_tensor(data.labels))
    return Oversampled(numbers, counts) if name == "over" else Undersampled(numbers, counts)


def _as_tensor(X: NDArray[Any] | Tensor) -> Tensor:
    if isinstance(X, Tensor):
        return X.detach()
    array = np.asarray(X)
    if array.dtype.kind not in "biufc":
        raise TypeError(
            f"X has dtype {array.dtype}, which a tensor cannot hold: encode texts and categories as numbers"
        )
    native = array.astype(array.dtype.newbyteorder("="), order="C", copy=False)
    with warnings.catch_warnings():
        # Memory-mapped and pandas arrays are read-only; a stream never writes to its rows.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(native)


def _as_array(x: Tensor, strategy: str) -> NDArray[Any]:
    if x.dtype == torch.bfloat16:
        raise TypeError(f"{strategy} works through NumPy, which has no bfloat16: pass X.float()")
    return x.cpu().numpy()
