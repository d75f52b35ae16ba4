"""The losses of the plain rows, by name, on two logits."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from metabalance.nn import CrossEntropy, FocalLoss, LossFunction, class_logits


def make_loss(recipe: Mapping[str, Any], counts: NDArray[np.int64]) -> LossFunction:
    """Return loss(output, target) for a recipe and the class counts of the training rows."""
    loss = FocalLoss(2.0) if recipe.get("loss") == "focal" else CrossEntropy()

    def loss_of(output: Tensor, target: Tensor) -> Tensor:
        return loss(class_logits(output), target)

    return loss_of
