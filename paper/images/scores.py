"""How many images of each class a network gets right, at θ and at θ′."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from metabalance.datasets import ImageSet
from metabalance.meta import adapt, evaluation_mode
from metabalance.nn import LossFunction
from paper.images.task import Task

IMAGES_AT_ONCE = 500


def logits_of(
    module: nn.Module, task: Task, images: ImageSet, at: Mapping[str, Tensor] | None = None
) -> NDArray[np.float64]:
    """Logits (n, classes) in evaluation mode, of images as they are."""
    parts = []
    with torch.no_grad(), evaluation_mode(module):
        for chunk in images.images.split(IMAGES_AT_ONCE):
            parts.append(functional_call(module, dict(at or {}), (task.prepare(chunk),)).double().cpu())
    found: NDArray[np.float64] = torch.cat(parts).numpy()
    return found


def recalls(logits: NDArray[np.float64], images: ImageSet) -> list[float]:
    """The share of each class that is recognised; their mean is the balanced accuracy."""
    right = logits.argmax(axis=1) == images.y
    return [round(float(right[images.y == k].mean()), 6) for k in range(len(images.classes))]


def score(module: nn.Module, task: Task, loss_fn: LossFunction, inner_lrs: list[float]) -> dict[str, Any]:
    """Recalls on test and training images at θ, with the prior corrected, and at θ′ for each step.

    Prior correction divides the probabilities by the training frequencies (section 6 of the paper).
    """
    test = logits_of(module, task, task.test)
    prior = np.log(task.counts / task.counts.sum())
    found = {
        "test": recalls(test, task.test),
        "test, prior corrected": recalls(test - prior, task.test),
        "train": recalls(logits_of(module, task, task.train), task.train),
    }
    rows = task.prepare(task.train.images)
    y = torch.from_numpy(task.train.y).to(rows.device)
    for step in inner_lrs:
        adapted = adapt(module, loss_fn, (rows, y), step, chunk_size=IMAGES_AT_ONCE)
        found[f"test, θ′ {step:g}"] = recalls(logits_of(module, task, task.test, adapted), task.test)
    return found
