"""Who is it? How often an image's nearest neighbours by their embeddings are of the same person."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from metabalance.evaluation.gallery import TIE, Gallery, as_codes, is_integer, make_gallery


@dataclass(frozen=True)
class Identification:
    """How often probes were identified, overall and by group.

    Attributes
    ----------
    rates : mapping of int to float
        For each rank the share of the probes that were identified at it.
    probes : int
        Number of images that could be identified: another one has their identity.
    excluded : int
        Number of images that are the only one of their identity. They are in the gallery, but no probes.
    groups : mapping of label to Identification
        The same for the images of each group, in the order of the labels. Empty if no groups were given.
    """

    rates: Mapping[int, float]
    probes: int
    excluded: int
    groups: Mapping[Any, "Identification"] = field(default_factory=dict)

    def gap(self, rank: int = 1) -> float:
        """Return the difference between the rates of the best and the worst group.

        Raises
        ------
        ValueError
            If no groups were given, or the rate at this rank was not asked for.
        """
        if not self.groups:
            raise ValueError("there are no groups to compare: give group to identification_rates")
        if rank not in self.rates:
            raise ValueError(
                f"there are rates at the ranks {list(self.rates)}, not at {rank!r}: give it in ranks"
            )
        rates = [group.rates[rank] for group in self.groups.values()]
        return max(rates) - min(rates)


def identification_rates(
    embeddings: ArrayLike | torch.Tensor,
    identity: ArrayLike | torch.Tensor,
    *,
    ranks: Sequence[int] = (1,),
    group: ArrayLike | torch.Tensor | None = None,
    block: int = 1024,
) -> Identification:
    """Identify each image among all the others, by the cosine similarity of their embeddings.

    Each image in turn is the probe, and all others are the gallery, whatever their group. The probe is
    identified at rank k if fewer than k images of other identities are at least as similar to it as the most
    similar one of its own. So ties (similarities within 1e-6) count against the probe, and embeddings that
    are all the same identify nobody. The rates of women and men are compared in [1]_ (table 5, appendix A.4).

    Parameters
    ----------
    embeddings : array-like or Tensor of float, shape (n, d)
        A row for each image. Computed in float32, on the tensor's device.
    identity : array-like, shape (n,)
        Who is on each image: labels of any kind.
    ranks : sequence of int, default=(1,)
        Ranks to give the rates at, from 1 to n − 1.
    group : array-like, shape (n,), optional
        Group of each image, to give the rates of each one's probes as well.
    block : int, default=1024
        Probes to compare at a time. Memory grows with block · n; but for rounding the result does not
        depend on it.

    Returns
    -------
    Identification
        Rates and numbers of probes, overall and by group.

    Raises
    ------
    ValueError
        If shapes do not fit, an embedding is zero or not finite, a label is missing, a rank or the block is
        out of range, or all images, or all of a group, are the only ones of their identities.

    References
    ----------
    .. [1] Bansal et al. MetaBalance: High-Performance Neural Networks for Class-Imbalanced Data. 2021.

    Examples
    --------
    >>> from metabalance.evaluation import identification_rates
    >>> embeddings = [[1.0, 0.1], [1.0, 0.0], [0.0, 1.0], [0.7, 0.3], [-1.0, 0.0]]
    >>> identity, group = ["Ann", "Ann", "Bob", "Bob", "Cem"], ["f", "f", "m", "m", "m"]
    >>> found = identification_rates(embeddings, identity, ranks=(1, 3), group=group)
    >>> found.rates, found.probes, found.excluded
    ({1: 0.75, 3: 1.0}, 4, 1)
    >>> found.groups["m"].rates, found.gap(rank=1)
    ({1: 0.5, 3: 1.0}, 0.5)
    """
    gallery = make_gallery(embeddings, identity)
    n_images = len(gallery.people)
    wanted = list(ranks) if isinstance(ranks, Iterable) else [ranks]
    if not wanted or not all(is_integer(rank) and 1 <= rank < n_images for rank in wanted):
        raise ValueError(
            f"ranks must be integers from 1 to {n_images - 1}, the number of other images, got {ranks!r}"
        )
    has_second = np.bincount(gallery.people)[gallery.people] > 1
    places = _places(gallery, block)

    def summary(images: NDArray[np.bool_], whose: str) -> Identification:
        found = places[images & has_second]
        if len(found) == 0:
            raise ValueError(
                f"every image {whose} is the only one of its identity, so none can be identified"
            )
        rates = {int(rank): float((found <= rank).mean()) for rank in wanted}
        return Identification(rates, len(found), int(images.sum()) - len(found))

    overall = summary(np.ones(n_images, dtype=bool), "of the embeddings")
    if group is None:
        return overall
    codes, labels = as_codes("group", group, n_images)
    groups = {
        label: summary(codes[gallery.order] == code, f"of group {label!r}")
        for code, label in enumerate(labels)
    }
    return replace(overall, groups=groups)


def _places(gallery: Gallery, block: int) -> NDArray[np.int64]:
    """For each image the place, from 1, of the most similar one of its identity among all others."""
    places = []
    for rows, columns, same in gallery.blocks(block):
        similarity = gallery.directions[rows] @ gallery.directions.T
        similarity.diagonal(rows.start).fill_(-torch.inf)  # an image is not in its own gallery
        own = similarity[:, columns].masked_fill(~same, -torch.inf)
        least = own.amax(dim=1, keepdim=True) - TIE
        # Zeros and ones in place are summed several times as fast as bools, and exactly up to 2²⁴ images.
        others_before = similarity.ge_(least).sum(dim=1) - (own >= least).sum(dim=1)
        places.append(others_before.long() + 1)
    found: NDArray[np.int64] = torch.cat(places).numpy(force=True)
    return found
