"""Training a network on images by one row of Table 3; scores are taken on the way."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from metabalance import BatchStream, MetaBatchStream, MetaGradient
from metabalance.nn import CutMix, LossFunction, Mixup, ResNet
from metabalance.training import SAM, MetaWeightNet, seeded
from paper.images.adaptation import Way, adapted, ways_for
from paper.images.losses import losses_for
from paper.images.scores import score, score_thresholds
from paper.images.task import Task

Backward = Callable[[LossFunction], Tensor]
"""Draws a batch, adds the gradient of this loss of it to ``.grad`` and returns the loss."""

MIXINGS = {"mixup": Mixup(), "cutmix": CutMix()}


def train(
    task: Task,
    recipe: Mapping[str, Any],
    network: Mapping[str, Any],
    seed: int,
    *,
    rows: int,
    scores: int,
    half: bool = False,
    ways: Mapping[str, Way] | None = None,
) -> Iterator[dict[str, Any]]:
    """Train one network on about ``rows`` drawn images and yield its scores so many times, last at the end.

    Only the last ones have those at other thresholds and at θ′, which are the dearest.

    The learning rate goes down to 0 along half a cosine. With ``half`` the network computes in bfloat16 where
    torch's autocast deems that safe. ``ways`` are ways to get θ′ beside the usual ones.
    """
    device = task.train.images.device
    with seeded(seed):
        module = ResNet(len(task.train.classes), head=recipe.get("head", "linear"), **network)
        module.to(device, memory_format=torch.channels_last)
        backward, rows_per_update = KINDS[recipe["kind"]](task, module, recipe, seed)
        loss_at = losses_for(recipe, torch.from_numpy(task.counts).float().to(device))
        optimizer = torch.optim.SGD(
            module.parameters(),
            lr=recipe["lr"],
            momentum=0.9,
            nesterov=True,
            weight_decay=recipe["weight_decay"],
            fused=True,
        )
        updates = max(1, rows // rows_per_update)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
        ends = {round(updates * (part + 1) / scores) for part in range(scores)}
        usual = ways_for([recipe["score_at"]]) if "score_at" in recipe else {}
        started, scoring = time.perf_counter(), 0.0
        for update in range(1, updates + 1):
            module.train()
            optimizer.zero_grad()
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
                loss = backward(loss_at((update - 1) / updates))
            optimizer.step()
            schedule.step()
            if update in ends:
                record = {"update": update, "rows": update * rows_per_update, "loss": loss.item()}
                seconds = time.perf_counter() - started
                record |= score(module, task) | {"seconds": round(seconds - scoring, 2)}
                if update == updates:
                    record |= score_thresholds(module, task)
                    for name, way in usual.items():
                        there = adapted(module, task, way, seed)
                        record[name] = score(there, task) | score_thresholds(there, task)
                    for name, way in (ways or {}).items():
                        record[name] = score(adapted(module, task, way, seed), task)
                scoring += time.perf_counter() - started - seconds
                yield record


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
    mix = MIXINGS.get(recipe.get("mixing", ""))

    def backward(loss_fn: LossFunction) -> Tensor:
        x, y = stream.draw()
        x = task.prepare(x, generator)
        if "sam_rho" in recipe:
            return SAM(module, loss_fn, stream, recipe["sam_rho"]).backward((x, y))
        if mix is None:
            loss = loss_fn(module(x), y)
        else:
            batch = mix(x, y, generator)
            loss = batch.loss(loss_fn, module(batch.x))
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    return backward, recipe["batch_size"]


def _pairs(task: Task, recipe: Mapping[str, Any], seed: int) -> MetaBatchStream:
    images = task.train
    return MetaBatchStream(
        images.images,
        images.y,
        support=recipe["support"],
        query=recipe["query"],
        meta_steps=recipe["meta_steps"],
        support_batch_size=recipe["support_batch_size"],
        query_batch_size=recipe["query_batch_size"],
        random_state=seed,
        device=images.images.device,
    )


def _meta(task: Task, module: nn.Module, recipe: Mapping[str, Any], seed: int) -> tuple[Backward, int]:
    stream = _pairs(task, recipe, seed)
    meta = MetaGradient(
        module,
        cross_entropy,
        inner_lr=recipe["inner_lr"],
        beta=recipe["beta"],
        order=recipe["order"],
        engine="captured" if task.train.images.device.type == "cuda" else "loop",
    )
    generator = torch.Generator().manual_seed(seed)

    def backward(loss_fn: LossFunction) -> Tensor:  # the rows of MetaBalance all have the plain one
        (x, y), (z, t) = stream.draw()
        return meta.backward((task.prepare(x, generator), y), (task.prepare(z, generator), t)).total

    return backward, stream.rows_per_draw


def _meta_weight_net(
    task: Task, module: nn.Module, recipe: Mapping[str, Any], seed: int
) -> tuple[Backward, int]:
    stream = _pairs(task, recipe, seed)
    rule = MetaWeightNet(
        module, cross_entropy, stream, inner_lr=recipe["inner_lr"], weight_lr=recipe["weight_lr"]
    )
    generator = torch.Generator().manual_seed(seed)

    def backward(loss_fn: LossFunction) -> Tensor:  # its loss is the plain one, weighted
        (x, y), (z, t) = stream.draw()
        return rule.backward(((task.prepare(x, generator), y), (task.prepare(z, generator), t)))

    return backward, stream.rows_per_draw


KINDS = {"plain": _plain, "meta": _meta, "meta-weight-net": _meta_weight_net}
