"""What is looked at after an epoch: probabilities of rows trained on, and of rows held out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from metabalance.training.data import Part
from metabalance.training.holdouts import Holdouts

Probabilities = NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """Class probabilities of shape (n, K) and the true codes of shape (n,)."""

    probabilities: Probabilities
    codes: NDArray[np.int64]


Look = Callable[[], tuple[Seen, Seen | None]]
"""Returns rows that are trained on, and rows that are held out where there are such."""


def look_at_parts(
    predict: Callable[[], Callable[[Tensor], Probabilities]], train: Part, valid: Part | None
) -> Look:
    """Look at a part that is trained on and a part that all members hold out.

    Parameters
    ----------
    predict : callable
        Called at every look; returns the prediction of rows by the network as it then is.
    """

    def look() -> tuple[Seen, Seen | None]:
        now = predict()
        held_out = None if valid is None else Seen(now(valid.x), valid.codes)
        return Seen(now(train.x), train.codes), held_out

    return look


def look_at_members(
    predict: Callable[[], Callable[[Tensor], Probabilities]],
    rows: Part,
    holdouts: Holdouts,
    watched: NDArray[np.intp],
) -> Look:
    """Look at every row by the members that hold it out, and at the watched ones by those that do not.

    Parameters
    ----------
    predict : callable
        Called at every look; returns a function of rows that gives probabilities of shape (n, members, K).
    """
    held = holdouts.held[holdouts.group]
    weights = {
        True: held / held.sum(axis=1, keepdims=True),
        False: ~held / (~held).sum(axis=1, keepdims=True),
    }

    def average(of_members: Any, chosen: Any, held_out: bool) -> Seen:
        probabilities = np.einsum("nmk,nm->nk", of_members[chosen], weights[held_out][chosen])
        return Seen(probabilities, rows.codes[chosen])

    def look() -> tuple[Seen, Seen | None]:
        of_members = predict()(rows.x)
        return average(of_members, watched, False), average(of_members, slice(None), True)

    return look
