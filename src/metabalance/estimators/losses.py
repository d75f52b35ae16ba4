"""The loss of a fit: from its name, class weights and frequencies to a function of the network's output."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn

from metabalance.nn import (
    CosFaceLoss,
    CrossEntropy,
    FocalLoss,
    LDAMLoss,
    LogitAdjustedCrossEntropy,
    LossFunction,
    MarginLoss,
    MemberLoss,
    RowLoss,
    TableNetwork,
    class_logits,
    effective_number_weights,
)
from metabalance.nn.margins import SCALE
from metabalance.training import Holdouts

# name → the loss for (class weights or None, rows of each class in the training part, label smoothing)
LOSSES: Mapping[str, Callable[[Tensor | None, Tensor, float], nn.Module]] = {
    "cross_entropy": lambda weight, counts, smoothing: CrossEntropy(weight, smoothing),
    "focal": lambda weight, counts, smoothing: FocalLoss(gamma=2.0, weight=weight),
    "logit_adjusted": lambda weight, counts, smoothing: LogitAdjustedCrossEntropy(
        counts, weight=weight, label_smoothing=smoothing
    ),
    "ldam": lambda weight, counts, smoothing: LDAMLoss(counts, weight=weight),
    "cosface": lambda weight, counts, smoothing: CosFaceLoss(loss=CrossEntropy(weight)),
    "cosface_focal": lambda weight, counts, smoothing: CosFaceLoss(loss=FocalLoss(weight=weight)),
}
COSINE_LOSSES = ("ldam", "cosface", "cosface_focal")
SMOOTHED_LOSSES = ("cross_entropy", "logit_adjusted")


def choose_loss(
    loss: Any,
    class_weight: Any,
    classes: NDArray[Any],
    counts: NDArray[np.int64],
    device: torch.device,
    label_smoothing: float = 0.0,
) -> LossFunction:
    """Return loss(logits, target), which takes class logits and class codes.

    Class weights and frequencies are those of ``counts``, the rows of each class in the training part.
    """
    if isinstance(loss, type):
        raise TypeError(f"loss must be a function or a loss object, got the class {loss.__name__}: make one")
    if callable(loss):
        if class_weight is not None:
            raise ValueError(
                f"class_weight={class_weight!r} goes with a named loss ({', '.join(LOSSES)}); "
                "give the weights to your own loss function instead"
            )
        chosen: LossFunction = loss
    elif isinstance(loss, str) and loss in LOSSES:
        weight = None
        if class_weight is not None:
            weights = _class_weights(class_weight, classes, counts)
            if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
                raise ValueError(f"class_weight must be finite, at least 0 and not all 0: {class_weight!r}")
            # Scaled to average 1 over the rows: only their ratios matter, and lr keeps its meaning.
            weights = weights / (weights @ counts / counts.sum())
            weight = torch.as_tensor(weights, dtype=torch.float32, device=device)
        frequencies = torch.as_tensor(counts, dtype=torch.float32, device=device)
        chosen = LOSSES[loss](weight, frequencies, label_smoothing)
    else:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)} or a function, got {loss!r}")
    return chosen


def cosine_scale(loss: Any) -> float | None:
    """The scale of the cosines that the loss takes, one for each class; None where it takes any logits."""
    if isinstance(loss, MarginLoss):
        return loss.scale
    return SCALE if isinstance(loss, str) and loss in COSINE_LOSSES else None


def check_label_smoothing(loss: Any, label_smoothing: float) -> None:
    """Raise ValueError if labels are to be smoothed for a loss that cannot."""
    if label_smoothing and (callable(loss) or loss not in SMOOTHED_LOSSES):
        raise ValueError(
            f"label_smoothing={label_smoothing!r} goes with loss={' or '.join(map(repr, SMOOTHED_LOSSES))}, "
            f"got loss={loss!r}: use 0"
        )


def count_members(module: nn.Module) -> int:
    """Members of an ensemble, whose output has one logit or K for each; 1 for any other network."""
    return module.n_members if isinstance(module, TableNetwork) else 1


def loss_on_outputs(chosen: LossFunction, module: nn.Module, holdouts: Holdouts | None) -> LossFunction:
    """Return loss(output, target) for what the module puts out, from a loss on class logits.

    The loss of an ensemble is summed over its members, each on the rows that it does not hold out.
    """
    members = count_members(module)
    if not isinstance(module, TableNetwork):
        return lambda output, target: chosen(class_logits(output), target)
    if isinstance(chosen, RowLoss):
        device = next(module.parameters()).device
        return MemberLoss(chosen, None if holdouts is None else holdouts.weights().to(device))

    def summed(output: Tensor, target: Tensor) -> Tensor:
        logits = class_logits(output)
        return members * chosen(logits.flatten(0, 1), target.repeat_interleave(members))

    return summed


def _class_weights(
    class_weight: Any, classes: NDArray[Any], counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The weight of each class, from a name, scikit-learn's or ours, or from a dict by label."""
    by_name = isinstance(class_weight, str)
    if by_name and class_weight == "effective_number":
        return effective_number_weights(counts)
    if (by_name and class_weight != "balanced") or not isinstance(class_weight, str | dict):
        raise (ValueError if by_name else TypeError)(
            "class_weight must be 'balanced', 'effective_number', a dict of label to weight or None, got "
            f"{class_weight!r}"
        )
    if by_name:
        balanced: NDArray[np.float64] = counts.sum() / (len(classes) * counts)
        return balanced
    try:
        weights: NDArray[np.float64] = compute_class_weight(class_weight, classes=classes, y=classes)
    except (TypeError, ValueError) as error:
        raise ValueError(f"class_weight={class_weight!r} cannot be used: {error}") from error
    return weights


def decision_aim(class_weight: Any, classes: NDArray[Any], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Class frequencies at which the decision "auto" is to be right most often.

    Equal ones; with class weights what the weighted loss aims at, the frequencies times the weights, which is
    equal ones for "balanced" weights.
    """
    if class_weight is None:
        return np.ones(len(classes))
    return counts * _class_weights(class_weight, classes, counts)
