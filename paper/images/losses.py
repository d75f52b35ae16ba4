"""The losses that rows name, from the class counts of the training images."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from metabalance.nn import (
    CosFaceLoss,
    CrossEntropy,
    FocalLoss,
    LDAMLoss,
    LogitAdjustedCrossEntropy,
    LossFunction,
    effective_number_weights,
)

MAKERS: Mapping[str, Callable[[Tensor, Mapping[str, Any], Tensor | None], LossFunction]] = {
    "cross_entropy": lambda counts, recipe, weight: CrossEntropy(weight),
    "cosface_focal": lambda counts, recipe, weight: CosFaceLoss(
        recipe["margin"], recipe["cosine_scale"], FocalLoss(recipe["gamma"], weight)
    ),
    "focal": lambda counts, recipe, weight: FocalLoss(weight=weight),
    "ldam": lambda counts, recipe, weight: LDAMLoss(counts, weight=weight),
    "logit_adjusted": lambda counts, recipe, weight: LogitAdjustedCrossEntropy(
        counts, tau=recipe.get("tau", 1.0), weight=weight
    ),
}


def losses_for(recipe: Mapping[str, Any], counts: Tensor) -> Callable[[float], LossFunction]:
    """Return progress → loss, where progress is the share of the updates that are done.

    From ``reweighted_from`` on classes weigh by their effective numbers, 1 on the average of the rows: from
    the start for the class-balanced loss, for a last part in LDAM's deferred re-weighting.
    """
    make = MAKERS[recipe.get("loss", "cross_entropy")]
    plain = make(counts, recipe, None)
    if "reweighted_from" not in recipe:
        return lambda progress: plain
    weights = torch.from_numpy(effective_number_weights(counts.cpu().numpy())).to(counts)
    weighted = make(counts, recipe, weights * counts.sum() / (weights * counts).sum())
    return lambda progress: weighted if progress >= recipe["reweighted_from"] else plain
