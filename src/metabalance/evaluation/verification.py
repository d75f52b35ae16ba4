"""Are they the same? How often two images of one person are accepted as such, at few false accepts."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from metabalance.evaluation.gallery import TIE, Gallery, make_gallery

ROUNDED_PAIRS = 6  # digits: 0.29 of 100 pairs are 29, not a rounding error less


@dataclass(frozen=True)
class Verification:
    """How often pairs of images of one identity were accepted, at given rates of false accepts.

    Attributes
    ----------
    true_accept_rates : mapping of float to float
        For each false accept rate the share of the same-identity pairs that were accepted.
    thresholds : mapping of float to float
        For each false accept rate the cosine similarity above which pairs were accepted.
    genuine_pairs, impostor_pairs : int
        Number of pairs of one identity, and of two.
    roc : tuple of two ndarrays of float64, shape (m,)
        All false accept rates from 0 to the highest one asked for, and the true accept rate at each.
    """

    true_accept_rates: Mapping[float, float]
    thresholds: Mapping[float, float]
    genuine_pairs: int
    impostor_pairs: int
    roc: tuple[NDArray[np.float64], NDArray[np.float64]] = field(repr=False, compare=False)


def verification_rates(
    embeddings: ArrayLike | torch.Tensor,
    identity: ArrayLike | torch.Tensor,
    *,
    false_accept_rates: Sequence[float] = (1e-3, 1e-2),
    block: int = 1024,
) -> Verification:
    """Verify all pairs of images by the cosine similarity of their embeddings.

    At each false accept rate the threshold is the lowest at which at most this share of the pairs of two
    identities is accepted. Ties (similarities within 1e-6) with the first pair to reject are rejected, too:
    of embeddings that are all the same no pair is accepted.

    Parameters
    ----------
    embeddings : array-like or Tensor of float, shape (n, d)
        A row for each image. Computed in float32, on the tensor's device.
    identity : array-like, shape (n,)
        Who is on each image: labels of any kind.
    false_accept_rates : sequence of float, default=(0.001, 0.01)
        Shares of the different-identity pairs, below 1 and not below that of a single pair.
    block : int, default=1024
        Images to compare with all others at a time; but for rounding the result does not depend on it.
        Memory grows with block · n, the number of same-identity pairs, and that of the false accepts.

    Returns
    -------
    Verification
        True accept rates, thresholds, numbers of pairs and the start of the ROC curve.

    Raises
    ------
    ValueError
        If shapes do not fit, an embedding is zero or not finite, an identity is missing, a rate or the block
        is out of range, or there are no pairs of one identity or none of two.

    Examples
    --------
    >>> from metabalance.evaluation import verification_rates
    >>> embeddings = [[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.7, 0.6]]
    >>> found = verification_rates(embeddings, ["Ann", "Ann", "Bob", "Bob"], false_accept_rates=[0.25, 0.5])
    >>> found.genuine_pairs, found.impostor_pairs
    (2, 4)
    >>> found.true_accept_rates
    {0.25: 0.5, 0.5: 1.0}
    """
    gallery = make_gallery(embeddings, identity)
    n_genuine, n_impostor = _numbers_of_pairs(gallery)
    rates = false_accept_rates if isinstance(false_accept_rates, Iterable) else [false_accept_rates]
    allowed = {float(rate): _accepted_impostors(rate, n_impostor) for rate in rates}
    if not allowed:
        raise ValueError(f"false_accept_rates must hold at least one rate, got {false_accept_rates!r}")
    genuine, impostors = _similarities(gallery, block, max(allowed.values()) + 1)
    thresholds = impostors + TIE  # index i: of the impostors at most the first i lie above it
    accepted = (n_genuine - np.searchsorted(genuine, thresholds, side="right")) / n_genuine
    return Verification(
        true_accept_rates={rate: float(accepted[index]) for rate, index in allowed.items()},
        thresholds={rate: float(thresholds[index]) for rate, index in allowed.items()},
        genuine_pairs=n_genuine,
        impostor_pairs=n_impostor,
        roc=(np.arange(len(impostors)) / n_impostor, accepted),
    )


def _numbers_of_pairs(gallery: Gallery) -> tuple[int, int]:
    """Pairs of one identity and of two, neither of which may be 0."""
    counts = np.bincount(gallery.people)
    genuine = int((counts * (counts - 1) // 2).sum())
    impostor = len(gallery.people) * (len(gallery.people) - 1) // 2 - genuine
    if genuine == 0:
        raise ValueError("no identity has two images, so there is no pair to accept")
    if impostor == 0:
        raise ValueError("all images are of one identity, so there is no pair to reject: add others")
    return genuine, impostor


def _accepted_impostors(rate: float, n_impostor: int) -> int:
    """How many pairs of two identities a false accept rate allows."""
    if not 1 / n_impostor <= rate < 1:
        raise ValueError(
            f"false_accept_rates must be below 1 and at least {1 / n_impostor:.3g}, one of the {n_impostor} "
            f"pairs of two identities, got {rate!r}"
        )
    return min(math.floor(round(rate * n_impostor, ROUNDED_PAIRS)), n_impostor - 1)


def _similarities(gallery: Gallery, block: int, most: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Similarities of all pairs of one identity, ascending, and the ``most`` highest of two, descending."""
    genuine = []
    highest = gallery.directions.new_empty(0)
    least = -torch.inf
    for rows, columns, same in gallery.blocks(block):
        # Each pair once: the later images, the first columns being those of the rows' own identities.
        similarity = gallery.directions[rows] @ gallery.directions[rows.start :].T
        own = similarity[:, : columns.stop - rows.start]
        same = same[:, rows.start - columns.start :]
        later = torch.ones_like(same).triu(diagonal=1)
        genuine.append(own[same & later])
        own.masked_fill_(same | ~later, -torch.inf)
        highest = torch.cat([highest, similarity[similarity > least]])
        if len(highest) >= most:
            highest = highest.topk(most, sorted=False).values
            least = float(highest.min())
    return _ascending(torch.cat(genuine)), _ascending(highest)[::-1]


def _ascending(similarity: torch.Tensor) -> NDArray[np.float64]:
    return np.sort(similarity.numpy(force=True).astype(np.float64))
