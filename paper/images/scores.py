"""How many images of each class a network gets right, as it is and with its thresholds moved."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import cross_entropy, softmax

from metabalance.datasets import ImageSet
from metabalance.evaluation import correct_prior, predict_at_recall
from metabalance.meta import evaluation_mode
from paper.images.task import Task

IMAGES_AT_ONCE = 500
STRENGTHS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0)
"""τ of post-hoc logit adjustment: probabilities are divided by the training frequencies to the power τ."""
MAJORITY_RECALLS = tuple(round(0.05 * part, 2) for part in range(1, 21))
"""At which the other classes are compared."""


def probabilities_of(module: nn.Module, task: Task, images: ImageSet) -> NDArray[np.float64]:
    """Probabilities (n, classes) in evaluation mode, of images as they are.

    Raises
    ------
    FloatingPointError
        If they are not finite.
    """
    parts = []
    with torch.no_grad(), evaluation_mode(module):
        for chunk in images.images.split(IMAGES_AT_ONCE):
            parts.append(softmax(module(task.prepare(chunk)).double(), dim=1).cpu())
    found: NDArray[np.float64] = torch.cat(parts).numpy()
    if not np.isfinite(found).all():
        raise FloatingPointError("the network's outputs are not finite")
    return found


def recalls(predicted: NDArray[np.int64], images: ImageSet) -> list[float]:
    """The share of each class that is recognised; their mean is the balanced accuracy."""
    right = predicted == images.y
    return [round(float(right[images.y == k].mean()), 6) for k in range(len(images.classes))]


def score(module: nn.Module, task: Task) -> dict[str, Any]:
    """Recalls on test and training images as the network stands, and on test images with the prior corrected.

    Prior correction divides the probabilities by the training frequencies (section 6 of the paper).
    """
    test = probabilities_of(module, task, task.test)
    return {
        "test": recalls(test.argmax(axis=1), task.test),
        "test, prior corrected": recalls(correct_prior(test, task.counts).argmax(axis=1), task.test),
        "train": recalls(probabilities_of(module, task, task.train).argmax(axis=1), task.train),
    }


def score_thresholds(module: nn.Module, task: Task) -> dict[str, Any]:
    """Recalls on test images by strength of the prior correction, and at given recalls of the majority.

    The latter, mean recalls of the other classes, are found with the labels of the test images.
    """
    test = probabilities_of(module, task, task.test)
    others = [k for k in range(len(task.test.classes)) if k != task.majority]
    matched = {}
    for wanted in MAJORITY_RECALLS:
        predicted = predict_at_recall(test, task.test.y, wanted, label=task.majority)
        matched[f"{wanted:g}"] = round(float(np.mean(np.take(recalls(predicted, task.test), others))), 6)
    return {
        "test, by strength": {
            f"{tau:g}": recalls(correct_prior(test, task.counts**tau).argmax(axis=1), task.test)
            for tau in STRENGTHS
        },
        "others' test recall, by the majority's": matched,
        "test, log-loss": round(_log_loss(test, task.test), 6),
    }


class Scoring(NamedTuple):
    """What a network is scored by: every time, and besides at the end only."""

    always: Callable[[nn.Module, Any], dict[str, Any]]
    at_the_end: Callable[[nn.Module, Any], dict[str, Any]]


CLASSES = Scoring(score, score_thresholds)
"""How images of known classes are recognised."""


def _log_loss(proba: NDArray[np.float64], images: ImageSet) -> float:
    logs = torch.from_numpy(proba).clamp_min(torch.finfo(torch.float64).tiny).log()
    return float(cross_entropy(logs, torch.from_numpy(images.y)))
