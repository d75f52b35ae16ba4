"""The splits of a cross-validation, checked: no row is trained and tested on in the same split."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from metabalance.estimators.parameters import is_whole_number

Codes = NDArray[np.int64]
Split = tuple[NDArray[np.intp], NDArray[np.intp]]


@runtime_checkable
class Splitter(Protocol):
    """Anything with scikit-learn's ``split``."""

    def split(self, X: Any, y: Any) -> Iterable[Split]:
        """Yield training and test rows."""


def make_splits(cv: Any, X: Any, codes: Codes, labels: list[str], random_state: int) -> list[Split]:
    """Return checked (train, test) row numbers for a number of folds, a splitter or ready-made pairs."""
    if is_whole_number(cv):
        counts = np.bincount(codes)
        rarest, label = int(counts.min()), labels[int(counts.argmin())]
        if rarest < 2:
            raise ValueError(
                f"class {label!r} has a single row, which cannot be both trained and tested on: collect "
                "more, merge or drop the class"
            )
        if not 2 <= cv <= rarest:
            raise ValueError(
                f"cv={cv}: the number of folds must be at least 2 and at most the {rarest} rows of the "
                f"rarest class {label!r}; use fewer folds, or merge or drop that class"
            )
        cv = StratifiedKFold(int(cv), shuffle=True, random_state=random_state)
    pairs: Any = cv
    if isinstance(cv, str | Mapping | type) or not isinstance(cv, Splitter | Iterable):
        raise TypeError(f"cv must be a number of folds, a splitter or (train, test) pairs, got {cv!r}")
    if isinstance(cv, Splitter):
        pairs = cv.split(X, codes)
    splits = [_checked_pair(pair, number, len(codes)) for number, pair in enumerate(pairs)]
    if not splits:
        raise ValueError("cv has no splits")
    return splits


def _checked_pair(pair: Any, number: int, n_rows: int) -> Split:
    try:
        train, test = pair
    except (TypeError, ValueError) as error:
        raise TypeError(f"split {number} of cv must be a (train, test) pair, got {pair!r:.80}") from error
    train, test = (_checked_rows(part, f"split {number} of cv", n_rows) for part in (train, test))
    shared = np.intersect1d(train, test)
    if len(shared):
        raise ValueError(
            f"split {number} of cv trains and tests on the same {len(shared)} rows, row {shared[0]} for one: "
            "scores would be those of training"
        )
    return train, test


def _checked_rows(rows: Any, where: str, n_rows: int) -> NDArray[np.intp]:
    numbers = np.asarray(rows)
    if numbers.dtype == bool and numbers.shape == (n_rows,):
        numbers = np.flatnonzero(numbers)
    if numbers.ndim != 1 or len(numbers) == 0 or numbers.dtype.kind not in "iu":
        raise ValueError(
            f"{where} needs row numbers, at least one in each part, got dtype {numbers.dtype} and shape "
            f"{numbers.shape}"
        )
    if numbers.min() < 0 or numbers.max() >= n_rows:
        raise ValueError(
            f"{where} names rows from {numbers.min()} to {numbers.max()}, but there are {n_rows}"
        )
    return numbers.astype(np.intp)


def check_every_class(splits: Sequence[Split], codes: NDArray[np.int64], labels: list[str]) -> None:
    """Raise unless every part of every split holds every class, without which scores would be undefined."""
    for number, parts in enumerate(splits):
        for name, rows in zip(("training", "test"), parts, strict=True):
            counts = np.bincount(codes[rows], minlength=len(labels))
            if not counts.all():
                raise ValueError(
                    f"the {name} part of split {number} of cv has no row of class "
                    f"{labels[int(counts.argmin())]!r}: use stratified folds"
                )
