"""Recipes that make balanced data imbalanced: which rows to keep, by index, seeded, in exact numbers."""

from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

Indices = np.ndarray[Any, np.dtype[np.int64]]
RandomState = int | np.random.Generator | None


def one_majority(
    y: Any, majority: Any, minority_count: int | tuple[int, int], random_state: RandomState = None
) -> Indices:
    """Keep all rows of one class and ``minority_count`` random rows of every other.

    Bansal et al. (2021), Section 5: 5 of each are their severe imbalance, and a number of each class's own,
    drawn between 5 and 50, the moderate one.

    Parameters
    ----------
    y : array-like, shape (n,)
        Class labels.
    majority : label
        The class that stays whole.
    minority_count : int or pair of int
        Rows to keep of each other class, at least 1; of a pair (fewest, most) a number of its own for each,
        all of them equally likely.
    random_state : int, numpy.random.Generator or None
        Source of the choice.

    Returns
    -------
    indices : ndarray of int64
        Rows to keep, ascending.

    Raises
    ------
    ValueError
        ``majority`` does not occur, or a class has fewer rows than may be asked of it.

    Examples
    --------
    >>> from metabalance.datasets import one_majority
    >>> y = ["a"] * 4 + ["b"] * 4
    >>> [y[i] for i in one_majority(y, "a", 1, random_state=0)]
    ['a', 'a', 'a', 'a', 'b']
    """
    rng = _generator(random_state)
    labels = checked_labels(y)
    fewest, most = _checked_range("minority_count", minority_count)
    kept = [rows_of(labels, majority)]
    if len(kept[0]) == len(labels):
        raise ValueError(f"every label is {shown(majority)}: at least two classes are needed")
    for label in np.unique(labels):
        if label == majority:
            continue
        rows = np.flatnonzero(labels == label)
        if len(rows) < most:
            raise ValueError(
                f"class {shown(label)} has {len(rows)} rows, fewer than minority_count={minority_count}: "
                "lower minority_count or give more rows"
            )
        count = fewest if fewest == most else int(rng.integers(fewest, most, endpoint=True))
        kept.append(rng.choice(rows, count, replace=False))
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
    rng = _generator(random_state)
    labels = checked_labels(y)
    _check_share("fraction", fraction)
    rows = rows_of(labels, label)
    others = np.flatnonzero(labels != label)
    if len(others) == 0:
        raise ValueError(f"class {shown(label)} is the only one: it cannot become a share of {fraction:g}")
    count = round(fraction * len(others) / (1.0 - fraction))
    if count > len(rows):
        raise ValueError(
            f"class {shown(label)} makes up {len(rows) / len(labels):.3g} of the rows, less than "
            f"fraction={fraction:g}: lower fraction"
        )
    if count == 0:
        raise ValueError(
            f"fraction={fraction:g} leaves no row of class {shown(label)} beside {len(others)} others: "
            "raise fraction"
        )
    return np.sort(np.concatenate([rng.choice(rows, count, replace=False), others]))


def long_tailed(y: Any, factor: float, random_state: RandomState = None) -> Indices:
    r"""Keep fewer random rows of every class than of the one before, down to a given ratio.

    Of the k-th of K classes, in the order of the sorted labels and counted from 0, ⌊n · factor^(−k/(K−1))⌋
    rows are kept, where n is the size of the smallest class: the exponential profile of long-tailed CIFAR
    (Cui et al. 2019).

    Parameters
    ----------
    y : array-like, shape (n,)
        Class labels, at least two classes.
    factor : float
        Rows of the first class for each of the last, at least 1.
    random_state : int, numpy.random.Generator or None
        Source of the choice.

    Returns
    -------
    indices : ndarray of int64
        Rows to keep, ascending.

    Raises
    ------
    ValueError
        ``factor`` is below 1, or leaves no row of the last class.

    References
    ----------
    Cui, Jia, Lin, Song, Belongie (2019), Class-Balanced Loss Based on Effective Number of Samples.

    Examples
    --------
    >>> import numpy as np
    >>> from metabalance.datasets import long_tailed
    >>> y = np.repeat([0, 1, 2], 100)
    >>> np.bincount(y[long_tailed(y, 100, random_state=0)])
    array([100,  10,   1])
    """
    labels = checked_labels(y)
    sizes = np.unique(labels, return_counts=True)[1]
    factor = _checked_factor(factor)
    last = max(len(sizes) - 1, 1)
    # Rounding must not make 9.999… of 10.
    wanted = [int(sizes.min() * factor ** (-k / last) + 1e-9) for k in range(len(sizes))]
    return _thinned(labels, wanted, f"factor={factor:g}", random_state)


def step_imbalance(
    y: Any, factor: float, minority_share: float = 0.5, random_state: RandomState = None
) -> Indices:
    """Keep as many random rows of each frequent class, and ``factor`` times fewer of each rare one.

    The rare classes are the last ones in the order of the sorted labels; all frequent ones keep the size of
    the smallest class of the data (Buda et al. 2018).

    Parameters
    ----------
    y : array-like, shape (n,)
        Class labels, at least two classes.
    factor : float
        Rows of a frequent class for each of a rare one, at least 1.
    minority_share : float, default=0.5
        Share of the classes that become rare, between 0 and 1; rounded to whole classes, at least one of
        either kind.
    random_state : int, numpy.random.Generator or None
        Source of the choice.

    Returns
    -------
    indices : ndarray of int64
        Rows to keep, ascending.

    Raises
    ------
    ValueError
        ``factor`` is below 1 or leaves no row of a rare class, or ``minority_share`` is out of range.

    References
    ----------
    Buda, Maki, Mazurowski (2018), A systematic study of the class imbalance problem in convolutional neural
    networks.

    Examples
    --------
    >>> import numpy as np
    >>> from metabalance.datasets import step_imbalance
    >>> y = np.repeat([0, 1, 2, 3], 100)
    >>> np.bincount(y[step_imbalance(y, 20, random_state=0)])
    array([100, 100,   5,   5])
    """
    labels = checked_labels(y)
    sizes = np.unique(labels, return_counts=True)[1]
    factor = _checked_factor(factor)
    _check_share("minority_share", minority_share)
    rare = min(max(round(minority_share * len(sizes)), 1), max(len(sizes) - 1, 1))
    most = int(sizes.min())
    wanted = [most] * (len(sizes) - rare) + [int(most / factor + 1e-9)] * rare
    return _thinned(labels, wanted, f"factor={factor:g}", random_state)


def _thinned(
    labels: np.ndarray[Any, Any], wanted: list[int], setting: str, random_state: RandomState
) -> Indices:
    """So many random rows of each class, in the order of the sorted labels."""
    classes = np.unique(labels)
    if len(classes) == 1:
        raise ValueError(f"every label is {shown(classes[0])}: at least two classes are needed")
    rng = _generator(random_state)
    kept = []
    for label, count in zip(classes, wanted, strict=True):
        if count == 0:
            raise ValueError(f"{setting} leaves no row of class {shown(label)}: lower it or give more rows")
        kept.append(rng.choice(np.flatnonzero(labels == label), count, replace=False))
    return np.sort(np.concatenate(kept))


def checked_labels(y: Any, name: str = "y") -> np.ndarray[Any, Any]:
    """The labels, if there is one for each row."""
    labels = np.asarray(y)
    if labels.ndim != 1 or len(labels) == 0:
        raise ValueError(f"{name} must be one label per row, got shape {labels.shape}")
    missing = int(pd.isna(labels).sum())
    if missing:
        raise ValueError(f"{missing} of {len(labels)} labels are missing: fill them in or drop these rows")
    return labels


def rows_of(labels: np.ndarray[Any, Any], label: Any) -> Indices:
    """The rows with this label; ValueError if there is none."""
    rows = np.flatnonzero(labels == label)
    if len(rows) == 0:
        known = [shown(known) for known in np.unique(labels)[:10]]
        raise ValueError(f"no row has the label {shown(label)}; there are {', '.join(known)}")
    return rows


def checked_count(name: str, value: Any) -> int:
    """The value, if it is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name}={value!r} must be a whole number of at least 1")
    return int(value)


def _check_share(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0.0 < float(value) < 1.0:
        raise ValueError(f"{name}={value!r} must lie between 0 and 1, both excluded")


def _generator(random_state: RandomState) -> np.random.Generator:
    try:
        return np.random.default_rng(random_state)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"random_state must be a whole number of at least 0, a numpy.random.Generator or None, got "
            f"{random_state!r}"
        ) from error


def _checked_range(name: str, value: Any) -> tuple[int, int]:
    if not isinstance(value, tuple | list):
        return (checked_count(name, value),) * 2
    if len(value) != 2:
        raise ValueError(f"{name}={value!r} must be a whole number or a pair (fewest, most)")
    fewest, most = (checked_count(name, each) for each in value)
    if fewest > most:
        raise ValueError(f"{name}={value!r} must have the smaller number first")
    return fewest, most


def _checked_factor(factor: Any) -> float:
    number = 0.0 if isinstance(factor, bool) or not isinstance(factor, Real) else float(factor)
    if not 1 <= number < np.inf:
        raise ValueError(f"factor={factor!r} must be a number of at least 1")
    return number


def shown(label: Any) -> str:
    """'b' rather than np.str_('b')."""
    return repr(label.item() if isinstance(label, np.generic) else label)
