"""Data sets that need no download: real data shipped with scikit-learn, made imbalanced by a fixed recipe."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits

from metabalance.datasets.imbalance import thin_class
from metabalance.datasets.splitters import OneMajoritySplit


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set, and how it is to be split.

    Attributes
    ----------
    name, title : str
        The name to load it by, and one for humans.
    X : DataFrame or ndarray, shape (n, n_features)
        Features.
    y : ndarray, shape (n,)
        Labels.
    cv : OneMajoritySplit or None
        The splits that belong to it; None for ordinary stratified folds.
    description : str
        What it is, where it comes from, under which licence.
    """

    name: str
    title: str
    X: Any
    y: np.ndarray[Any, Any]
    cv: OneMajoritySplit | None
    description: str

    def training_part(self) -> tuple[Any, np.ndarray[Any, Any]]:
        """Return X and y to fit a single model on: all rows, or the training rows of the first split.

        Examples
        --------
        >>> from metabalance.datasets import load_builtin
        >>> X, y = load_builtin("digits-severe").training_part()
        >>> np.bincount(y)
        array([89,  5,  5,  5,  5,  5,  5,  5,  5,  5])
        """
        if self.cv is None:
            return self.X, self.y
        rows, _ = next(iter(self.cv.split(self.X, self.y)))
        return self.X[rows], self.y[rows]


def load_builtin(name: str) -> Dataset:
    """Load a built-in data set by its name, one of ``BUILTIN``.

    Raises
    ------
    ValueError
        No data set has this name.

    Examples
    --------
    >>> from metabalance.datasets import load_builtin
    >>> data = load_builtin("breast-cancer-rare")
    >>> data.X.shape, int((data.y == "malignant").sum())
    ((376, 30), 19)
    """
    if name not in _LOADERS:
        close = get_close_matches(name, BUILTIN, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"no built-in data set is called {name!r}: there are {', '.join(BUILTIN)}{hint}")
    return _LOADERS[name]()


def _digits_severe() -> Dataset:
    pixels, digits = load_digits(return_X_y=True)
    return Dataset(
        name="digits-severe",
        title="Handwritten digits, one majority class",
        X=pixels.astype(np.float32),
        y=digits,
        cv=OneMajoritySplit(),
        description=(
            "1797 images of handwritten digits, 8 × 8 pixels of 0 to 16, in ten classes. In each split one "
            "digit keeps all its training rows and every other digit 5, while testing is on balanced data: "
            "the severe recipe of the MetaBalance paper in small. Origin: UCI, Optical Recognition of "
            "Handwritten Digits (Alpaydin and Kaynak, 1998; CC BY 4.0), as shipped with scikit-learn."
        ),
    )


def _breast_cancer_rare() -> Dataset:
    bunch = load_breast_cancer(as_frame=True)
    labels = np.asarray(bunch.target_names)[bunch.target.to_numpy()]
    kept = thin_class(labels, "malignant", 0.05, random_state=0)
    return Dataset(
        name="breast-cancer-rare",
        title="Breast cancer, 5 % malignant",
        X=bunch.data.iloc[kept].reset_index(drop=True),
        y=labels[kept],
        cv=None,
        description=(
            "30 measurements of cell nuclei from breast tumours: all 357 benign ones and 19 of the 212 "
            "malignant ones, drawn with a fixed seed so that they make up 5 %. Origin: UCI, Breast Cancer "
            "Wisconsin (Diagnostic) (Wolberg, Mangasarian, Street and Street, 1993; CC BY 4.0), as shipped "
            "with scikit-learn."
        ),
    )


_LOADERS: Mapping[str, Callable[[], Dataset]] = MappingProxyType(
    {"digits-severe": _digits_severe, "breast-cancer-rare": _breast_cancer_rare}
)

BUILTIN: tuple[str, ...] = tuple(_LOADERS)
