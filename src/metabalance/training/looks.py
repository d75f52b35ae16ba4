"""What is looked at after an epoch: probabilities of rows trained on, and of rows held out."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from metabalance.training.data import Part, PartInMemory
from metabalance.training.holdouts import Holdouts

Probabilities = NDArray[np.float64]

ROWS_AT_ONCE = 8192


@dataclass(frozen=True)
class Seen:
    """Class probabilities of shape (n, K) and the true codes of shape (n,)."""

    probabilities: Probabilities
    codes: NDArray[np.int64]


Look = Callable[[], tuple[Seen, Seen | None]]
"""Returns rows that are trained on, and rows that are held out where there are such."""


def look_at_parts(
    predict: Callable[[], Callable[[Tensor], Probabilities]], train: PartInMemory, valid: PartInMemory | None
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
    """Look at rows by the members that hold them out, and at the watched ones by those that do not.

    With fewer members than folds, rows that none holds out are not judged.

    Parameters
    ----------
    predict : callable
        Called at every look; returns a function that gives probabilities of shape (n, members, K) for rows
        of shape (n, …), and for rows (n, members, …) of which every member gets its own.
    """
    held = holdouts.held[holdouts.group]
    trained_on = ~held[watched]
    own = [np.flatnonzero(column) for column in held.T]  # what a member need not be asked about, it is not
    judged = held.any(axis=1)
    longest = max(len(places) for places in own)
    places = np.stack([np.resize(each, longest) for each in own], axis=1)

    def look() -> tuple[Seen, Seen | None]:
        now = predict()
        of_watched = np.einsum("nmk,nm->nk", now(rows.x[watched]), trained_on)
        of_watched /= trained_on.sum(axis=1, keepdims=True)
        # Piece by piece: all of them at once are a second copy of the table and more.
        pieces = np.array_split(places, -(-longest // ROWS_AT_ONCE))
        of_own = np.concatenate([now(rows.x[piece]) for piece in pieces])
        held_out = np.zeros((len(rows), of_own.shape[2]))
        for member, each in enumerate(own):
            held_out[each] += of_own[: len(each), member]
        held_out = held_out[judged] / held[judged].sum(axis=1, keepdims=True)
        return Seen(of_watched, rows.codes[watched]), Seen(held_out, rows.codes[judged])

    return look
