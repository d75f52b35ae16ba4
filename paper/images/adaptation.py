"""Ways to get θ′ for predictions: how far, how often, from which rows, with which BatchNorm statistics."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import update_bn

from metabalance import BatchStream
from metabalance.meta import adapt
from metabalance.nn import LossFunction
from paper.images.task import Task

IMAGES_AT_ONCE = 500
STATISTICS_BATCHES = 100
SUPPORT_BATCH = 20
QUERY_BATCH = 30


@dataclass(frozen=True)
class Way:
    """One way to adapt a network, and to make its BatchNorm ready for predictions.

    Parameters
    ----------
    step : float
        Length of each step along the gradient of the loss of support images.
    steps : int
        How many; each takes the gradient anew.
    rows : int or None
        Support images that the gradient is taken from, drawn anew for each step; as many as there are
        training images if None.
    gradient : {"running", "batch"}
        BatchNorm normalises by its running statistics, or every batch by itself, as in training.
    statistics : str
        For predictions: "running" ones, as training has left them, or the mean over 100 batches drawn by this
        sampling strategy, taken at θ′.
    batch : int
        Rows of these batches.
    support_batch : int
        Rows of a batch that the gradient is taken by, where every batch is normalised by itself.
    """

    step: float
    steps: int = 1
    rows: int | None = None
    gradient: str = "running"
    statistics: str = "running"
    batch: int = QUERY_BATCH
    support_batch: int = SUPPORT_BATCH


ANEW = "θ, statistics anew"


def ways_for(recipe: Mapping[str, Any]) -> dict[str, Way]:
    """The ways that a row is scored in, by name: statistics taken anew at θ, and θ′ for rows that have it."""
    if "query" not in recipe:
        return {ANEW: Way(0.0, statistics=recipe["sampler"], batch=recipe["batch_size"])}
    anew = Way(0.0, statistics=recipe["query"], batch=recipe["query_batch_size"])
    if "score_at" not in recipe:
        return {ANEW: anew}
    step = recipe["score_at"]
    return {
        ANEW: anew,
        f"θ′ {step:g}, running statistics": Way(step),
        f"θ′ {step:g}, as trained": replace(
            anew, step=step, gradient="batch", support_batch=recipe["support_batch_size"]
        ),
    }


def _studied() -> dict[str, Way]:
    """Steps of many lengths, each way; several steps, and few rows, for a part of them."""
    ways = [
        Way(step, gradient=gradient, statistics=statistics)
        for step in (0.003, 0.01, 0.03, 0.1, 0.3)
        for gradient in ("running", "batch")
        for statistics in ("running", "natural", "over")
    ]
    ways += [Way(0.0, statistics=statistics) for statistics in ("natural", "over")]
    for way in (Way(0.0), Way(0.0, gradient="batch", statistics="over")):
        for step in (0.01, 0.1):
            ways.append(replace(way, step=step, steps=3))
            ways += [replace(way, step=step, rows=rows) for rows in (20, 200)]
    return {
        f"θ′ {way.step:g}, {way.steps} steps, {way.rows or 'all'} rows, {way.gradient}, {way.statistics}": way
        for way in ways
    }


STUDIED = _studied()
"""What `paper.images.study` looks at."""


def adapted(
    module: nn.Module,
    task: Task,
    way: Way,
    seed: int,
    support: str = "natural",
    loss_fn: LossFunction = cross_entropy,
) -> nn.Module:
    """Return a copy of the network at θ′, a step on images drawn by the support strategy away."""
    copied = copy.deepcopy(module).eval()
    stream = _stream(task, support, way.rows or len(task.train.y), seed)
    for _ in range(way.steps if way.step else 0):
        rows, y = stream.draw()
        if way.gradient == "running":
            _step_all_at_once(copied, loss_fn, task, rows, y, way.step)
        else:
            _step_by_batches(copied, loss_fn, task, rows, y, way.step, way.support_batch)
    if way.statistics != "running":
        stream = _stream(task, way.statistics, way.batch, seed)
        augmenting = Generator().manual_seed(seed)
        update_bn((task.prepare(stream.draw()[0], augmenting) for _ in range(STATISTICS_BATCHES)), copied)
    return copied.eval()


def _step_all_at_once(
    module: nn.Module, loss_fn: LossFunction, task: Task, rows: Tensor, y: Tensor, step: float
) -> None:
    moved = adapt(module, loss_fn, (task.prepare(rows), y), step, chunk_size=IMAGES_AT_ONCE)
    module.load_state_dict(moved, strict=False)


def _step_by_batches(
    module: nn.Module, loss_fn: LossFunction, task: Task, rows: Tensor, y: Tensor, step: float, size: int
) -> None:
    """Move by the mean gradient of batches of a size, each normalised by itself; running statistics stay."""
    order = torch.arange(len(y), device=y.device)  # they come in random order
    batches = [places for places in order.split(size) if len(places) == size] or [order]
    kept = {name: buffer.clone() for name, buffer in module.named_buffers()}
    module.train().zero_grad()
    for places in batches:
        loss = loss_fn(module(task.prepare(rows[places])), y[places]) / len(batches)
        loss.backward()  # type: ignore[no-untyped-call]
    module.load_state_dict(kept, strict=False)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.grad is not None:
                parameter.sub_(step * parameter.grad)


def _stream(task: Task, strategy: str, batch_size: int, seed: int) -> BatchStream:
    return BatchStream(
        task.train.images,
        task.train.y,
        strategy=strategy,
        batch_size=batch_size,
        random_state=seed,
        device=task.train.images.device,
        balance_by=task.balance_by,
    )
