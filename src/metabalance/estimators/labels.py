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
    >>> from metabalance.estimators.labels import encode_labels
    >>> classes, codes = encode_labels(["no", "yes", "no"])
    >>> classes.tolist(), codes.tolist()
    (['no', 'yes'], [0, 1, 0])
    """
    if isinstance(y, pd.Series | pd.DataFrame):
        y = y.to_numpy()
    labels = column_or_1d(y, warn=True)
    missing = pd.isna(labels)
    if missing.any():
        raise ValueError(
            f"y contains NaN: {int(missing.sum())} of {len(labels)} labels are missing, the first "
            f"in row {int(missing.argmax())}: drop those rows or label them"
        )
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise ValueError("y contains infinity: labels must be finite")
    kinds = {type(label).__name__ for label in labels.tolist()} if labels.dtype == object else set()
    if len(kinds) > 1:
        raise TypeError(
            f"the labels mix types ({', '.join(sorted(kinds))}): turn them all into strings or numbers"
        )
    check_classification_targets(labels)
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"a classifier needs at least 2 classes, got 1 class: every label is {classes.tolist()[0]!r}"
            if len(classes)
            else "y is empty: there is nothing to learn from"
        )
    return classes, codes.astype(np.int64)
