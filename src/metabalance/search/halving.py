"""Successive halving: many candidates on few epochs, few candidates on many."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

LEAST_EPOCHS = 2


class Round(NamedTuple):
    """How many candidates take part, and how many epochs each may train at most."""

    candidates: int
    epochs: int


def plan_rounds(candidates: int, max_epochs: int, factor: int | None) -> list[Round]:
    """Plan the rounds: each has 1/factor of the candidates of the one before it, and factor times its epochs.

    The last round has all the epochs. There are as many rounds as it takes to come down to fewer than
    ``factor`` candidates, or fewer where the first would have less than `LEAST_EPOCHS` epochs, which say too
    little: more candidates then train to the end. Few epochs are enough to tell the weak; early stopping ends
    most fits long before ``max_epochs``, so that late rounds save little.

    Parameters
    ----------
    candidates, max_epochs : int
        At least 1.
    factor : int or None
        At least 2; None is one round with everything.

    References
    ----------
    Jamieson & Talwalkar (2016), Non-stochastic best arm identification and hyperparameter optimization,
    AISTATS.

    Examples
    --------
    >>> for number, epochs in plan_rounds(49, 50, 3):
    ...     print(number, "candidates,", epochs, "epochs")
    49 candidates, 2 epochs
    17 candidates, 6 epochs
    6 candidates, 17 epochs
    2 candidates, 50 epochs
    """
    rounds = [Round(candidates, max_epochs)]
    if factor is None:
        return rounds
    power = factor
    while candidates >= power and math.ceil(max_epochs / power) >= LEAST_EPOCHS:
        rounds.append(Round(math.ceil(candidates / power), max_epochs))
        power *= factor
    last = len(rounds) - 1
    return [
        Round(number, math.ceil(max_epochs / factor ** (last - place)))
        for place, (number, _) in enumerate(rounds)
    ]


def best_first(scores: Sequence[float]) -> list[int]:
    """Return the places of the scores, the best first; of equal ones the earlier; NaN are left out.

    Examples
    --------
    >>> best_first([0.7, float("nan"), 0.9, 0.7])
    [2, 0, 3]
    """
    values = np.asarray(scores, dtype=float)
    return [place for place in np.argsort(-values, kind="stable").tolist() if not np.isnan(values[place])]
