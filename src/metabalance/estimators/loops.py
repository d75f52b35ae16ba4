"""The loop of a fit: its optimizer, and in which order callbacks come."""

from typing import Any

import numpy as np
import torch
from skorch.callbacks import GradientNormClipping
from torch import nn

from metabalance.estimators.choices import choose_optimizer
from metabalance.nn import LossFunction, RowLoss
from metabalance.training import (
    CosineSchedule,
    DeferredReweighting,
    EpochProgress,
    EpochScores,
    LateEarlyStopping,
    Saver,
    TrainingLoop,
    UpdateRule,
    WeightAveraging,
)

PATIENCE = 6
SCHEDULES = ("constant", "cosine")


def patience(estimator: Any) -> int:
    """Epochs without a better score after which training stops; only where `early_stopping` is set."""
    by_default = isinstance(estimator.early_stopping, bool | np.bool_)
    return PATIENCE if by_default else int(estimator.early_stopping)


def epochs_before_weights(estimator: Any) -> int:
    """Epochs without class weights, where these are deferred; none of them can be the best one."""
    return int(round(estimator.reweight_from * estimator.max_epochs, 6))  # 0.29 · 100 is below 29


def sure_epochs(estimator: Any) -> int:
    """Epochs that run whatever the scores are."""
    at_most = int(estimator.max_epochs)
    if not estimator.early_stopping:
        return at_most
    return min(at_most, epochs_before_weights(estimator) + patience(estimator) + 1)


def make_loop(
    estimator: Any,
    module: nn.Module,
    loss: LossFunction,
    rule: UpdateRule,
    n_rows: int,
    scores: EpochScores,
    device: torch.device,
    epochs: int | None,
    saver: Saver | None = None,
) -> TrainingLoop:
    """Return the loop as an estimator's parameters describe it, over ``epochs`` of them if they are known.

    The loss is the one on class logits, whose weights may be deferred; the saver keeps checkpoints.
    """
    optimizer, options = choose_optimizer(
        estimator.optimizer,
        {"weight_decay": estimator.weight_decay, **estimator.options_for("optimizer")},
        module,
    )
    unweighted = epochs_before_weights(estimator)
    callbacks: list[Any] = []
    if unweighted and isinstance(loss, RowLoss):
        callbacks.append(("reweighting", DeferredReweighting(loss, unweighted)))
    if estimator.max_grad_norm is not None:
        callbacks.append(("clipping", GradientNormClipping(estimator.max_grad_norm)))
    if estimator.ema_decay is not None:
        callbacks.append(("averaging", WeightAveraging(estimator.ema_decay)))
    callbacks.append(("scores", scores))
    if estimator.lr_schedule == "cosine":
        callbacks.append(("lr_schedule", CosineSchedule(estimator.max_epochs)))
    if estimator.verbose:
        callbacks.append(("progress", EpochProgress()))
    callbacks.extend(estimator.callbacks or [])
    if estimator.early_stopping and epochs is None:
        callbacks.append(
            ("early_stopping", LateEarlyStopping("valid_score", patience(estimator), unweighted))
        )
    return TrainingLoop(
        module,
        rule=rule,
        saver=saver,
        n_rows=n_rows,
        optimizer=optimizer,
        lr=estimator.lr,
        max_epochs=estimator.max_epochs if epochs is None else epochs,
        callbacks=callbacks,
        device=device,
        verbose=0,
        **{f"optimizer__{name}": value for name, value in options.items()},
    )
