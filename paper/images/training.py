"""Training a network on images by one row of Table 3; scores are taken on the way."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from metabalance import BatchStream, MetaBatchStream, MetaGradient
from metabalance.nn import ResNet
from metabalance.training import seeded
from paper.images.scores import score
from paper.images.task import Task

Backward = Callable[[], Tensor]
"""Draws a batch, adds its gradient to ``.grad`` and returns the loss."""


def train(
    task: Task,
    recipe: Mapping[str, Any],
    network: Mapping[str, Any],
    seed: int,
    *,
    updates: int,
    score_every: int,
    half: bool = False,
) -> Iterator[dict[str, Any]]:
    """Train one network and yield its scores after every ``score_every`` updates and the last.

    The learning rate goes down to 0 along half a cosine over the updates. With ``half`` the network computes
    in bfloat16 where torch's autocast deems that safe.
    """
    device = task.train.images.device
    with seeded(seed):
        module = ResNet(len(task.train.classes), **network).to(device, memory_format=torch.channels_last)
        backward, rows = (_meta if recipe["kind"] == "meta" else _plain)(task, module, recipe, seed)
        optimizer = torch.optim.SGD(
            module.parameters(),
            lr=recipe["lr"],
            momentum=0.9,
            nesterov=True,
            weight_decay=recipe["weight_decay"],
            fused=True,
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
        started = time.perf_counter()
        for update in range(1, updates + 1):
            module.train()
            optimizer.zero_grad()
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
                loss = backward()
            optimizer.step()
            schedule.step()
            if update % score_every == 0 or update == updates:
                yield {
                    "update": update,
                    "rows": update * rows,
                    "loss": loss.item(),
                    **score(module, task, cross_entropy, recipe.get("score_at", [])),
                    "seconds": round(time.perf_counter() - started, 2),
                }


def _plain(task: Task, module: nn.Module, recipe: Mapping[str, Any], seed: int) -> tuple[Backward, int]:
    images = task.train
    stream = BatchStream(
        images.images,
        images.y,
        strategy=recipe["sampler"],
        batch_size=recipe["batch_size"],
        random_state=seed,
        device=images.images.device,
    )
    generator = torch.Generator().manual_seed(seed)

    def backward() -> Tensor:
        x, y = stream.draw()
        loss = cross_entropy(module(task.prepare(x, generator)), y)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    return backward, recipe["batch_size"]


def _meta(task: Task, module: nn.Module, recipe: Mapping[str, Any], seed: int) -> tuple[Backward, int]:
    images = task.train
    device = images.images.device
    stream = MetaBatchStream(
        images.images,
        images.y,
        support=recipe["support"],
        query=recipe["query"],
        meta_steps=recipe["meta_steps"],
        support_batch_size=recipe["support_batch_size"],
        query_batch_size=recipe["query_batch_size"],
        random_state=seed,
        device=device,
    )
    meta = MetaGradient(
        module,
        cross_entropy,
        inner_lr=recipe["inner_lr"],
        beta=recipe["beta"],
        order=recipe["order"],
        engine="captured" if device.type == "cuda" else "loop",
    )
    generator = torch.Generator().manual_seed(seed)

    def backward() -> Tensor:
        (x, y), (z, t) = stream.draw()
        return meta.backward((task.prepare(x, generator), y), (task.prepare(z, generator), t)).total

    return backward, stream.rows_per_draw
