"""Plain training of all runs of a row in step: the networks are stacked, and one call steps them all.

Every run has its own initialisation, rows, batches and optimizer state; Adam and SGD work number by number,
so the result is that of training one after the other, in a fraction of the time (batches of 24 rows are so
small that a step of one network costs as much as a step of ten). Only dropout masks are drawn for the whole
stack: where a network has dropout, a run's numbers depend on which other runs are trained along with it.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from metabalance.nn import MLP, LossFunction, class_logits
from metabalance.sampling import BatchStream
from metabalance.training import seeded
from paper.curves import Curve, ends_of_epochs, roc_auc
from paper.pools import sampler_for
from paper.protocols import Part, Split

STEPS_AT_ONCE = 64
Tensors = dict[str, Tensor]


def optimizer_for(parameters: Sequence[Tensor], recipe: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Adam, or SGD with Nesterov momentum 0.9, as the recipe says."""
    options = {"lr": recipe["lr"], "weight_decay": recipe["weight_decay"], "fused": True}
    if recipe["optimizer"] == "adam":
        return torch.optim.Adam(parameters, **options)
    return torch.optim.SGD(parameters, momentum=0.9, nesterov=True, **options)


def train_plain(
    splits: Sequence[Split],
    seeds: Sequence[int],
    recipe: Mapping[str, Any],
    network: Mapping[str, Any],
    loss_fn: LossFunction,
    *,
    score_with_dropout: bool,
    pools: Path,
) -> list[Curve]:
    """Train one network for each split and seed, and score all after each of their epochs.

    A network that diverges gets no more scores, and its curve says so; the others go on.
    """
    streams = [
        BatchStream(
            split.train.x,
            split.train.y,
            strategy=sampler_for(recipe["sampler"], pools),
            batch_size=recipe["batch_size"],
            random_state=seed,
        )
        for split, seed in zip(splits, seeds, strict=True)
    ]
    modules = []
    for split, seed in zip(splits, seeds, strict=True):
        with seeded(seed):
            modules.append(MLP(split.train.x.shape[1], 1, **network))
    params, _ = stack_module_state(modules)
    base = copy.deepcopy(modules[0]).to("meta")
    gradients = _stacked_gradients(base, loss_fn)
    optimizer = optimizer_for(list(params.values()), recipe)
    ends = [
        set(ends_of_epochs(recipe["epochs"], stream.pass_size, recipe["batch_size"])) for stream in streams
    ]
    last = max(max(of_run) for of_run in ends)
    curves = [Curve() for _ in splits]
    with seeded(seeds[0]):
        for step, (x, y) in enumerate(_batches(streams), start=1):
            found = gradients({name: p.detach() for name, p in params.items()}, x, y)
            for name, parameter in params.items():
                parameter.grad = found[name]
            optimizer.step()
            for run, (split, curve) in enumerate(zip(splits, curves, strict=True)):
                if curve.failure is None and step in ends[run]:
                    at = {name: parameter[run].detach() for name, parameter in params.items()}
                    modules[run].train(score_with_dropout)
                    try:
                        record(curve, modules[run], at, split)
                    except FloatingPointError as error:
                        curve.failure = f"{error} (update {step})"
            if step == last:
                return curves
    raise RuntimeError("the streams ended")  # they have no end


def record(curve: Curve, module: nn.Module, at: Tensors, split: Split) -> None:
    """Score a network at the given parameters, in the mode that it is in."""
    if split.valid is not None:
        curve.valid.append(_score(module, at, split.valid))
    curve.test.append(_score(module, at, split.test))


def _score(module: nn.Module, at: Tensors, part: Part) -> float:
    with torch.no_grad():
        logits = class_logits(functional_call(module, at, (part.x,)))
    scores = (logits[:, 1] - logits[:, 0]).numpy()
    if not np.isfinite(scores).all():
        raise FloatingPointError("training has diverged: the network's outputs are not finite")
    return roc_auc(scores, part.y)


def _batches(streams: Sequence[BatchStream]) -> Any:
    """Stacked batches (runs, batch, …), some steps drawn at a time."""
    while True:
        drawn = [stream.draw(STEPS_AT_ONCE) for stream in streams]
        x, y = (torch.stack(parts, dim=1) for parts in zip(*drawn, strict=True))
        yield from zip(x, y, strict=True)


def _stacked_gradients(
    base: nn.Module, loss_fn: LossFunction
) -> Callable[[Tensors, Tensor, Tensor], Tensors]:
    """(stacked parameters, x, y) → the gradient of every run's own loss, compiled."""

    def loss_of(params: Tensors, x: Tensor, y: Tensor) -> Tensor:
        return loss_fn(functional_call(base, params, (x,)), y)

    def gradients(params: Tensors, x: Tensor, y: Tensor) -> Tensors:
        found: Tensors = vmap(grad(loss_of), randomness="different")(params, x, y)
        return found

    compiled: Callable[[Tensors, Tensor, Tensor], Tensors] = torch.compile(
        gradients, fullgraph=True, dynamic=False, options={"cpp_wrapper": True}
    )
    return compiled
