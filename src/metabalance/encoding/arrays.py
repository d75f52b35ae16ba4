"""The encoder of images and sequences: standardised by what the training rows hold."""

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np
from sklearn.exceptions import NotFittedError

from metabalance.encoding.reading import LARGEST

_ROWS_AT_ONCE = 1024  # bounds the float64 copies: the arrays themselves may be gigabytes

Array = np.ndarray[Any, Any]


class ArrayEncoder:
    """Standardise arrays of three or more dimensions to float32.

    Each value becomes (x − mean) / standard deviation of the training rows (0 where that deviation is 0):
    per channel for images of shape (n, channels, height, width), over everything otherwise.

    Attributes
    ----------
    shape_in_ : tuple of int
        Shape of one row, which ``transform`` expects again.
    dtype_in_ : str
        The dtype of the values in ``fit``.
    n_features_in_, n_outputs_ : int
        Values in one row.
    feature_names_in_, categorical_outputs_ : None
        There are neither names nor categories; present so that both encoders read alike.

    Examples
    --------
    >>> import numpy as np
    >>> from metabalance.encoding.arrays import ArrayEncoder
    >>> images = np.arange(16, dtype=np.uint8).reshape(4, 2, 2)
    >>> encoded = ArrayEncoder().fit(images).transform(images)
    >>> encoded.shape, encoded.dtype.name, float(encoded.std().round(4))
    ((4, 2, 2), 'float32', 1.0)
    """

    shape_in_: tuple[int, ...]
    dtype_in_: str
    n_features_in_: int
    n_outputs_: int
    feature_names_in_: None
    categorical_outputs_: None

    def __init__(self) -> None:
        self._mean: Array | None = None
        self._deviation: Array | None = None

    def fit(self, X: Any, *, kinds_from: Any = None) -> Self:
        """Learn mean and standard deviation from ``X``, numbers of shape (n, ...) with at least 3 dimensions.

        ``kinds_from`` is as in `TableEncoder`; arrays are all of one kind, so it is not looked at.

        Raises
        ------
        ValueError
            Fewer than three dimensions, no values, NaN or infinite values.
        TypeError
            Values that are not real numbers.
        """
        array = _as_numbers(X)
        if array.ndim < 3:
            raise ValueError(
                f"expected an array of at least 3 dimensions, got shape {array.shape}: use TableEncoder"
            )
        if array.size == 0:
            raise ValueError(f"X of shape {array.shape} holds no values: fit needs at least one row")
        _check_finite(array)
        axes = (0, 2, 3) if array.ndim == 4 else tuple(range(array.ndim))
        mean = array.mean(axis=axes, dtype=np.float64, keepdims=True)
        squares = sum(np.square(block - mean).sum(axis=axes, keepdims=True) for block in _blocks(array))
        # Rounding may leave a constant a tiny deviation from its own mean.
        constant = array.min(axis=axes, keepdims=True) == array.max(axis=axes, keepdims=True)
        deviation = np.where(constant, 0.0, np.sqrt(squares * (mean.size / array.size)))
        self._restore(array.shape[1:], str(array.dtype), mean[0], deviation[0])
        return self

    def transform(self, X: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Standardise ``X`` of shape (n, *shape_in_) to float32 of the same shape; n may be 0.

        Raises
        ------
        ValueError
            Rows of another shape than in ``fit``, NaN or infinite values.
        """
        if self._mean is None or self._deviation is None:
            raise NotFittedError("This ArrayEncoder is not fitted yet: call fit with the training rows first")
        array = _as_numbers(X)
        if array.shape[1:] != self.shape_in_:
            raise ValueError(
                f"X has rows of shape {array.shape[1:]}, but ArrayEncoder was fitted on rows of shape "
                f"{self.shape_in_}: resize or pad to that shape"
            )
        _check_finite(array)
        scale = np.where(self._deviation > 0.0, self._deviation, np.inf)
        out = np.empty(array.shape, dtype=np.float32)
        for source, target in zip(_blocks(array), _blocks(out), strict=True):
            target[...] = (source - self._mean) / scale
        return out

    def to_state(self) -> dict[str, Any]:
        """Everything ``from_state`` needs, as plain JSON types."""
        if self._mean is None or self._deviation is None:
            raise NotFittedError("This ArrayEncoder is not fitted yet: there is no state to save")
        return {
            "encoder": "array",
            "shape": list(self.shape_in_),
            "dtype": self.dtype_in_,
            "mean": self._mean.tolist(),
            "deviation": self._deviation.tolist(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild the encoder that ``to_state`` described; it transforms bit for bit alike."""
        encoder = cls()
        mean, deviation = np.array(state["mean"]), np.array(state["deviation"])
        encoder._restore(tuple(state["shape"]), str(state["dtype"]), mean, deviation)
        return encoder

    def _restore(self, shape: tuple[int, ...], dtype: str, mean: Array, deviation: Array) -> None:
        self.shape_in_ = shape
        self.dtype_in_ = dtype
        self.n_features_in_ = self.n_outputs_ = int(np.prod(shape))
        self.feature_names_in_ = None
        self.categorical_outputs_ = None
        self._mean, self._deviation = mean, deviation


def _as_numbers(X: Any) -> Array:
    array = np.asarray(X)
    if array.dtype.kind not in "buif":
        raise TypeError(f"images and sequences must hold real numbers, but X has dtype {array.dtype}")
    return array


def _check_finite(array: Array) -> None:
    if array.dtype.kind != "f":
        return
    broken = sum(int(np.count_nonzero(~(np.abs(block) <= LARGEST))) for block in _blocks(array))
    if broken:
        raise ValueError(
            f"X holds {broken} values that are NaN, infinity or too large for float32: drop those rows or "
            "replace the values (numpy.nan_to_num); they are imputed in tables only"
        )


def _blocks(array: Array) -> Iterator[Array]:
    return (array[start : start + _ROWS_AT_ONCE] for start in range(0, len(array), _ROWS_AT_ONCE))
