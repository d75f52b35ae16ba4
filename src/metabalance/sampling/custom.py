"""What a sampler of the user's may return."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

NUMBERS = "biufc"


def check_resampled(
    returned: Any, X: NDArray[Any], labels: NDArray[np.int64], name: str
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the rows, numbers in the dtype of those given, and their labels.

    Parameters
    ----------
    returned : any
        By ``fit_resample``.
    X, labels : arrays of shape (n, …) and (n,)
        What it was given.
    name : str
        Of the sampler, for messages.

    Raises
    ------
    ValueError
        If shapes do not fit, a label is none of those given, or a number is not finite.
    TypeError
        If it is no pair of arrays, or one of a dtype that cannot stand for what was given.
    """
    X_new, y_new = _as_arrays(returned, name)
    if X_new.ndim != X.ndim or X_new.shape[1:] != X.shape[1:] or y_new.shape != X_new.shape[:1]:
        wanted = ", ".join(map(str, ("n", *X.shape[1:])))
        raise ValueError(
            f"{name} returned rows of shape {X_new.shape} and labels of shape {y_new.shape}, but ({wanted}) "
            "and (n,) are needed: a sampler may not change the columns"
        )
    if X.dtype.kind in NUMBERS:
        if not np.can_cast(X_new.dtype, X.dtype, casting="same_kind"):
            raise TypeError(
                f"{name} returned rows of dtype {X_new.dtype}, which {X.dtype} cannot hold: return rows of "
                "the dtype that it was given, or give it another one, such as X.astype('float32')"
            )
        with np.errstate(over="ignore"):  # numbers that become infinite are refused below
            X_new = X_new.astype(X.dtype, copy=False)
    if y_new.dtype.kind not in "iub":
        raise TypeError(
            f"{name} returned labels of dtype {y_new.dtype}, but class ids are integers: return those that "
            "it was given, y_new.astype(int)"
        )
    unknown = np.setdiff1d(y_new, labels)
    if len(unknown):
        raise ValueError(
            f"{name} returned the label {unknown[0]}, but the labels that it was given are "
            f"{np.unique(labels).tolist()}: a sampler may not make classes up"
        )
    spoilt = finite_columns(X) & ~finite_columns(X_new)
    if spoilt.any():
        place = ", ".join(map(str, np.argwhere(spoilt)[0].tolist()))
        raise ValueError(
            f"{name} returned NaN or infinity in column {place}, where what it was given is finite: return "
            "finite numbers"
        )
    return X_new, y_new.astype(np.int64, copy=False)


def finite_columns(X: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether all numbers in each column are finite, shape (…) for X of shape (n, …)."""
    if len(X) == 0 or X.dtype.kind not in "fc":
        return np.ones(X.shape[1:], dtype=bool)
    # NaN and infinity show in a column's extremes, and these need no table of their own.
    finite: NDArray[np.bool_] = np.isfinite(X.min(axis=0)) & np.isfinite(X.max(axis=0))
    return finite


def _as_arrays(returned: Any, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    if not isinstance(returned, tuple | list) or len(returned) != 2:
        length = f" of length {len(returned)}" if isinstance(returned, tuple | list) else ""
        raise TypeError(
            f"{name} returned {type(returned).__name__}{length}, but a pair is needed: the rows and their "
            "labels"
        )
    try:
        return np.asarray(returned[0]), np.asarray(returned[1])
    except Exception as error:  # of any kind: the objects are the user's
        kinds = " and ".join(type(part).__name__ for part in returned)
        raise TypeError(f"{name} returned {kinds}, but two arrays are needed: {error}") from error
