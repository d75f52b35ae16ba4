"""Class frequencies where predictions are used, as a user says them."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metabalance.encoding.labels import positive_code
from metabalance.estimators.parameters import check_number

PRIORS = ("training", "balanced")


def check_prior(prior: Any) -> None:
    """Raise unless prior is a name, a share of the rarer class, or frequencies by label."""
    if isinstance(prior, str):
        if prior not in PRIORS:
            raise ValueError(f"prior must be 'training', 'balanced', a number or a dict, got {prior!r}")
    elif isinstance(prior, Mapping):
        for label, share in prior.items():
            check_number(f"prior of {label!r}", share, above=0)
    elif isinstance(prior, bool) or not isinstance(prior, Real):
        raise TypeError(
            "prior must be 'training', 'balanced', the share of the rarer of two classes or a dict with the "
            f"frequency of each class, got {prior!r}"
        )
    else:
        check_number("prior", prior, above=0, below=1)


def frequencies(prior: Any, classes: NDArray[Any], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the class frequencies that a ``prior`` means; only ratios matter.

    Raises
    ------
    ValueError
        If it does not fit the classes.
    """
    if prior == "training":
        return counts
    if prior == "balanced":
        return np.ones(len(classes))
    if isinstance(prior, Mapping):
        labels = classes.tolist()
        if set(prior) != set(labels):
            raise ValueError(f"prior must name every class, {labels}, and no other, got {list(prior)}")
        return np.array([float(prior[label]) for label in labels])
    if len(classes) != 2:
        raise ValueError(
            f"prior={prior!r} is the share of the rarer of two classes, got {len(classes)} classes: pass a "
            "dict with the frequency of each"
        )
    shares = np.full(2, 1 - float(prior))
    shares[positive_code(counts)] = float(prior)
    return shares
