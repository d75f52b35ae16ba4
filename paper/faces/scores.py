"""How often people who were not trained on are identified, women and men."""

from typing import Any

import torch
from torch import Tensor, nn

from metabalance.evaluation import Identification, identification_rates, verification_rates
from metabalance.meta import evaluation_mode
from metabalance.nn import ResNet
from paper.images.scores import IMAGES_AT_ONCE, Scoring
from paper.images.task import Task

RANKS = (1, 5)
FALSE_ACCEPT_RATE = 0.01
TOTAL = "total"


def embeddings_of(module: nn.Module, task: Task, images: Tensor) -> Tensor:
    """What the last layer sees of images as they are, float32 of shape (n, width).

    Raises
    ------
    FloatingPointError
        If it is not finite.
    """
    if not isinstance(module, ResNet):
        raise TypeError(f"embeddings are those of a ResNet, got {type(module).__name__}")
    with torch.no_grad(), evaluation_mode(module):
        parts = [module.embed(task.prepare(chunk)).float() for chunk in images.split(IMAGES_AT_ONCE)]
    found = torch.cat(parts)
    if not bool(found.isfinite().all()):
        raise FloatingPointError("the network's embeddings are not finite")
    return found


def identify(module: nn.Module, task: Any) -> dict[str, Any]:
    """Leave-one-out rank-1 and rank-5 identification of the test images, in total and of each group."""
    found = identification_rates(
        embeddings_of(module, task, task.test.images), task.test.y, ranks=RANKS, group=task.test_group
    )
    return {f"rank {rank}": _by_group(found, rank) for rank in RANKS}


def verify(module: nn.Module, task: Any) -> dict[str, Any]:
    """Share of the pairs of images of a person that are accepted where 1 % of the other pairs are."""
    found = verification_rates(
        embeddings_of(module, task, task.test.images),
        task.test.y,
        false_accept_rates=(FALSE_ACCEPT_RATE,),
    )
    return {"accepted at 1 % false accepts": round(found.true_accept_rates[FALSE_ACCEPT_RATE], 6)}


def _by_group(found: Identification, rank: int) -> dict[str, float]:
    rates = {TOTAL: found.rates[rank]} | {name: each.rates[rank] for name, each in found.groups.items()}
    return {str(name): round(rate, 6) for name, rate in rates.items()}


IDENTIFICATION = Scoring(identify, verify)
"""How people who were not trained on are recognised."""
