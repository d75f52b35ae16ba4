"""Checks of what the user passes, each with the value found and the remedy."""

import operator
from collections.abc import Mapping
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

RandomState = int | np.random.Generator | None

_LARGEST_SEED = 2**32 - 1  # what numpy's legacy generator, and so imbalanced-learn, accepts


def as_labels(y: NDArray[Any] | Tensor) -> NDArray[np.int64]:
    """Return class ids as int64, or say what is wrong with them.

    Parameters
    ----------
    y : array or tensor of int or bool, shape (n,)
        Any integers; they need not start at 0 nor be contiguous.

    Returns
    -------
    array of int64, shape (n,)

    Raises
    ------
    ValueError
        If there are no rows, one class only, NaN labels or more than one dimension.
    TypeError
        If the labels are not integers.
    """
    labels = y.detach().cpu().numpy() if isinstance(y, Tensor) else np.asarray(y)
    if labels.ndim != 1:
        raise ValueError(
            f"y has shape {labels.shape}, but one label per row is needed, shape (n,): try y.ravel()"
        )
    if labels.size == 0:
        raise ValueError("y holds no labels: pass at least one row of each of two classes")
    if labels.dtype.kind == "f" and np.isnan(labels).any():
        raise ValueError(
            f"labels are NaN in {np.isnan(labels).sum()} of {labels.size} rows: drop these rows or label them"
        )
    if labels.dtype.kind not in "iub":
        raise TypeError(
            f"labels have dtype {labels.dtype}, but class ids must be integers: drop missing labels and "
            "encode the others, for example with sklearn.preprocessing.LabelEncoder"
        )
    if labels.min() == labels.max():
        raise ValueError(
            f"all {labels.size} labels are {labels[0]}: at least two classes are needed, check the target"
        )
    return labels.astype(np.int64, copy=False)


def check_same_length(X: NDArray[Any] | Tensor, y: NDArray[Any] | Tensor) -> None:
    """Raise ValueError unless X and y have as many rows as each other."""
    if X.ndim == 0 or len(X) != len(y):
        raise ValueError(
            f"X has shape {tuple(X.shape)} but y has {len(y)} labels: one label per row is needed"
        )


def check_count(name: str, value: int) -> int:
    """Return value as an int, or raise if it is no integer of at least 1."""
    count = _as_int(value, f"{name} must be an integer")
    if count < 1:
        raise ValueError(f"{name} must be at least 1, got {count}")
    return count


def as_seed(random_state: RandomState) -> int:
    """Turn a random state into one integer seed.

    Parameters
    ----------
    random_state : int in [0, 2**32), numpy.random.Generator or None
        An int is its own seed; a generator is drawn from once; None takes fresh entropy.

    Raises
    ------
    ValueError
        If an int is out of range.
    TypeError
        If it is anything else.
    """
    if random_state is None:
        random_state = np.random.default_rng()
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(_LARGEST_SEED, endpoint=True))
    seed = _as_int(random_state, "random_state must be an int, a numpy.random.Generator or None")
    if not 0 <= seed <= _LARGEST_SEED:
        raise ValueError(f"random_state must be between 0 and {_LARGEST_SEED}, got {seed}")
    return seed


def _as_int(value: SupportsIndex, rule: str) -> int:
    try:
        return operator.index(value)
    except TypeError as error:
        raise TypeError(f"{rule}, got {value!r} of type {type(value).__name__}") from error


def check_saved(state: Mapping[str, Any], expected: Mapping[str, Any], also: tuple[str, ...] = ()) -> None:
    """Raise ValueError unless a saved state has the expected values, and the other keys as well."""
    missing = [key for key in (*expected, *also) if key not in state]
    if missing:
        raise ValueError(f"this is no saved state of such a stream: it lacks {', '.join(missing)}")
    for key, value in expected.items():
        if state[key] != value:
            raise ValueError(
                f"the saved stream has {key} {state[key]!r}, but this one has {value!r}: build it with the "
                "same data, strategy, sizes and random_state as the saved one"
            )
