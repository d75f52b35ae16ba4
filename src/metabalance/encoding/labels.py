"""Labels of any kind in, class codes out."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d


def encode_labels(y: Any) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the sorted distinct labels and the code of each row's label among them.

    Parameters
    ----------
    y : array-like of shape (n_rows,)
        Numbers, strings or booleans; no missing values.

    Returns
    -------
    classes : array of shape (n_classes,)
    codes : int64 array of shape (n_rows,)

    Raises
    ------
    ValueError
        If labels are missing, continuous, not one column, or all the same.
    TypeError
        If labels are of different types.

    Examples
    --------
    >>> from metabalance.encoding.labels import encode_labels
    >>> classes, codes = encode_labels(["no", "yes", "no"])
    >>> classes.tolist(), codes.tolist()
    (['no', 'yes'], [0, 1, 0])
    """
    labels = column_or_1d(_as_array(y), warn=True)
    missing = pd.isna(labels)
    if missing.any():
        raise ValueError(
            f"y contains NaN: {int(missing.sum())} of {len(labels)} labels are missing, the first "
            f"in row {int(missing.argmax())}: drop those rows or label them"
        )
    texts = [isinstance(label, str) for label in labels.tolist()] if labels.dtype == object else []
    if any(texts) and not all(texts):
        kinds = ", ".join(sorted({type(label).__name__ for label in labels.tolist()}))
        raise TypeError(f"the labels mix types ({kinds}): turn them all into strings or numbers")
    if isinstance(y, list | tuple):
        labels = column_or_1d(np.asarray(y))
    if labels.dtype.kind in "mM":
        raise TypeError(f"the labels have dtype {labels.dtype}: turn them into strings or numbers")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise ValueError("y contains infinity: labels must be finite")
    if labels.dtype == object:  # numbers and booleans, as in a column of pandas that once held something else
        labels = pd.Series(labels).infer_objects().to_numpy()
    check_classification_targets(labels)
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"a classifier needs at least 2 classes, got 1 class: every label is {classes.tolist()[0]!r}"
            if len(classes)
            else "y is empty: there is nothing to learn from"
        )
    return classes, codes.astype(np.int64)


def encode_known_labels(y: Any, classes: NDArray[Any]) -> NDArray[np.int64]:
    """Return the code of each row's label among those of an earlier `encode_labels`.

    Raises
    ------
    ValueError
        If a label is not among them, or y is not one column.

    Examples
    --------
    >>> from metabalance.encoding.labels import encode_known_labels, encode_labels
    >>> classes, _ = encode_labels(["no", "yes", "no"])
    >>> encode_known_labels(["yes", "yes"], classes).tolist()
    [1, 1]
    """
    labels = column_or_1d(_as_array(y), warn=True)
    codes: NDArray[np.int64] = pd.Index(classes).get_indexer(labels).astype(np.int64)
    if (codes < 0).any():
        unknown = labels.tolist()[int((codes < 0).argmax())]
        raise ValueError(
            f"y holds the label {unknown!r}, which was not there in fit; known are "
            f"{', '.join(map(repr, classes.tolist()))}: drop or rename it"
        )
    return codes


def _as_array(y: Any) -> Any:
    """The labels as an array in which nothing has been converted yet.

    NumPy turns a list with texts and a missing label, or with texts and numbers, into texts alone.
    """
    if isinstance(y, pd.Series | pd.DataFrame | pd.Index | pd.api.extensions.ExtensionArray):
        return y.to_numpy()
    if isinstance(y, list | tuple) and not any(isinstance(label, list | tuple | np.ndarray) for label in y):
        return np.fromiter(y, dtype=object, count=len(y))
    return y


def positive_code(counts: NDArray[Any]) -> int:
    """Return the code of the class that "positive" means, of two: the rarer one, of equals the second one."""
    return 0 if counts[0] < counts[1] else 1
