"""The losses of the plain rows, by name, on two logits."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from metabalance.nn import (
    CrossEntropy,
    FocalLoss,
    LogitAdjustedCrossEntropy,
    LossFunction,
    class_logits,
    effective_number_weights,
)


def make_loss(recipe: Mapping[str, Any], counts: NDArray[np.int64]) -> LossFunction:
    """Return loss(output, target) for a recipe and the class counts of the training rows."""
    weight = None
    if recipe.get("class_weight") == "effective":
        weights = effective_number_weights(counts)
        # Scaled to average 1 over the rows, so that lr keeps its meaning.
        weight = torch.as_tensor(weights * counts.sum() / (weights * counts).sum(), dtype=torch.float32)
    losses: dict[str, nn.Module] = {
        "cross_entropy": CrossEntropy(weight),
        "focal": FocalLoss(2.0, weight),
        "logit_adjusted": LogitAdjustedCrossEntropy(torch.as_tensor(counts, dtype=torch.float32)),
    }
    loss = losses[recipe.get("loss", "cross_entropy")]

    def loss_of(output: Tensor, target: Tensor) -> Tensor:
        value: Tensor = loss(class_logits(output), target)
        return value

    return loss_of
