"""Recipes that make balanced data imbalanced: which rows to keep, by index, seeded, in exact numbers."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

Indices = np.ndarray[Any, np.dtype[np.int64]]
RandomState = int | np.random.Generator | None


def one_majority(y: Any, majority: Any, minority_count: int, random_state: RandomState = None) -> Indices:
    """Keep all rows of one class and ``minority_count`` random rows of every other.

    The severe imbalance of Bansal et al. (2021), Section 5.

    Parameters
    ----------
    y : array-like, shape (n,)
        Class labels.
    majority : label
        The class that stays whole.
    minority_count : int
        Rows to keep of each other class, at least 1.
    random_state : int, numpy.random.Generator or None
        Source of the choice.

    Returns
    -------
    indices : ndarray of int64
        Rows to keep, ascending.

    Raises
    ------
    ValueError
        ``majority`` does not occur, or a class has fewer than ``minority_count`` rows.

    Examples
    --------
    >>> from metabalance.datasets import one_majority
    >>> y = ["a"] * 4 + ["b"] * 4
    >>> [y[i] for i in one_majority(y, "a", 1, random_state=0)]
    ['a', 'a', 'a', 'a', 'b']
    """
    rng = np.random.default_rng(random_state)
    labels = _checked_labels(y)
    minority_count = _checked_count("minority_count", minority_count)
    kept = [_rows_of(labels, majority)]
    for label in np.unique(labels):
        if label == majority:
            continue
        rows = np.flatnonzero(labels == label)
        if len(rows) < minority_count:
            raise ValueError(
                f"class {_shown(label)} has {len(rows)} rows, fewer than minority_count={minority_count}: "
                "lower minority_count or give more rows"
            )
        kept.append(rng.choice(rows, minority_count, replace=False))
    return np.sort(np.concatenate(kept))


def thin_class(y: Any, label: Any, fraction: float, random_state: RandomState = None) -> Indices:
    """Drop random rows of one class until it makes up ``fraction`` of what is left.

    Parameters
    ----------
    y : array-like, shape (n,)
        Class labels.
    label : label
        The class to thin out.
    fraction : float
        Its share in the result, between 0 and 1; met as closely as whole rows allow.
    random_state : int, numpy.random.Generator or None
        Source of the choice.

    Returns
    -------
    indices : ndarray of int64
        Rows to keep, ascending.

    Raises
    ------
    ValueError
        ``label`` does not occur or is the only class, it is rarer than ``fraction`` already, or no row of it
        would be left.

    Examples
    --------
    >>> from metabalance.datasets import thin_class
    >>> y = ["sick"] * 50 + ["well"] * 90
    >>> kept = [y[i] for i in thin_class(y, "sick", 0.1, random_state=0)]
    >>> kept.count("sick"), kept.count("well")
    (10, 90)
    """
    rng = np.random.default_rng(random_state)
    labels = _checked_labels(y)
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"fraction={fraction!r} must lie between 0 and 1, both excluded")
    rows = _rows_of(labels, label)
    others = np.flatnonzero(labels != label)
    if len(others) == 0:
        raise ValueError(f"class {_shown(label)} is the only one: it cannot become a share of {fraction:g}")
    count = round(fraction * len(others) / (1.0 - fraction))
    if count > len(rows):
        raise ValueError(
            f"class {_shown(label)} makes up {len(rows) / len(labels):.3g} of the rows, less than "
            f"fraction={fraction:g}: lower fraction"
        )
    if count == 0:
        raise ValueError(
            f"fraction={fraction:g} leaves no row of class {_shown(label)} beside {len(others)} others: "
            "raise fraction"
        )
    return np.sort(np.concatenate([rng.choice(rows, count, replace=False), others]))


class OneMajoritySplit:
    """Cross-validation with one majority class in training and a test part left as it is.

    Every split first puts a stratified ``test_size`` of the rows aside for testing. From the rest it keeps
    one majority class whole and ``minority_count`` rows of every other class for training; the remaining rows
    are not used. The majority is another class in each split, in the order of the sorted labels, starting
    over when there are more splits than classes. This is the severe recipe of Bansal et al. (2021), Section
    5, in small: training data with one majority, testing on balanced data.

    Parameters
    ----------
    n_splits : int, default=5
        Number of splits.
    minority_count : int, default=5
        Training rows of each class other than the majority.
    test_size : float, default=0.5
        Share of all rows used for testing, between 0 and 1.
    random_state : int, numpy.random.Generator or None, default=0
        With an integer every call of ``split`` gives the same rows.

    Examples
    --------
    >>> import numpy as np
    >>> from metabalance.datasets import OneMajoritySplit
    >>> y = np.repeat([0, 1], 40)
    >>> for train, test in OneMajoritySplit(n_splits=2).split(np.zeros((80, 1)), y):
    ...     print(np.bincount(y[train]), np.bincount(y[test]))
    [20  5] [20 20]
    [ 5 20] [20 20]
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        minority_count: int = 5,
        test_size: float = 0.5,
        random_state: RandomState = 0,
    ) -> None:
        self.n_splits = _checked_count("n_splits", n_splits)
        self.minority_count = _checked_count("minority_count", minority_count)
        if not 0.0 < test_size < 1.0:
            raise ValueError(f"test_size={test_size!r} must lie between 0 and 1, both excluded")
        self.test_size = test_size
        self.random_state = random_state

    def __repr__(self) -> str:
        return (
            f"OneMajoritySplit(n_splits={self.n_splits}, minority_count={self.minority_count}, "
            f"test_size={self.test_size}, random_state={self.random_state})"
        )

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of splits; the arguments are scikit-learn's and not used."""
        return self.n_splits

    def split(self, X: Any, y: Any, groups: Any = None) -> Iterator[tuple[Indices, Indices]]:
        """Yield the training and the test rows of each split, both ascending; X and groups are not used.

        Raises
        ------
        ValueError
            A single class, or too few rows of a class for both parts.
        """
        rng = np.random.default_rng(self.random_state)
        labels = _checked_labels(y)
        classes = np.unique(labels)
        if len(classes) == 1:
            raise ValueError(f"every label is {_shown(classes[0])}: at least two classes are needed")
        for index in range(self.n_splits):
            rest, test = train_test_split(
                np.arange(len(labels)),
                test_size=self.test_size,
                stratify=labels,
                random_state=int(rng.integers(2**31)),
            )
            rest.sort()
            majority = classes[index % len(classes)]
            train = rest[one_majority(labels[rest], majority, self.minority_count, rng)]
            yield train, np.sort(test)


def _checked_labels(y: Any) -> np.ndarray[Any, Any]:
    labels = np.asarray(y)
    if labels.ndim != 1 or len(labels) == 0:
        raise ValueError(f"y must be one label per row, got shape {labels.shape}")
    missing = int(pd.isna(labels).sum())
    if missing:
        raise ValueError(f"{missing} of {len(labels)} labels are missing: fill them in or drop these rows")
    return labels


def _rows_of(labels: np.ndarray[Any, Any], label: Any) -> Indices:
    rows = np.flatnonzero(labels == label)
    if len(rows) == 0:
        known = [_shown(known) for known in np.unique(labels)[:10]]
        raise ValueError(f"no row has the label {_shown(label)}; there are {', '.join(known)}")
    return rows


def _checked_count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name}={value!r} must be a whole number of at least 1")
    return int(value)


def _shown(label: Any) -> str:
    """'b' rather than np.str_('b')."""
    return repr(label.item() if isinstance(label, np.generic) else label)
