"""The two ways to differentiate by plain autograd: one meta step after the other, or all side by side.

- :func:`loop` takes one meta step after the other, so one meta step's graph is alive at a time;
- :func:`vectorized` takes all at once, with the forward pass under :func:`torch.func.vmap` over the S meta
  steps, each with its own view of the parameters.

Derivatives are taken by plain autograd outside of ``vmap``. That is as fast as ``vmap`` of
:func:`torch.func.grad`, and it tells a parameter that no loss reaches (no gradient) from one whose gradient
is zero.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from torch.func import vmap

from metabalance.meta.algorithm import Algorithm, Derivative, OuterGradient, meta_gradient
from metabalance.meta.buffers import unlike
from metabalance.meta.choice import check_vectorizable
from metabalance.meta.functional import (
    Pair,
    Tensors,
    accumulate,
    aliases_of,
    copied,
    detached,
    edges_of,
    gradients_of,
    hessian_product,
    loss_at,
    weighted_sum,
)
from metabalance.meta.recomputing import refuse_checkpoints
from metabalance.meta.second_order import plain_attention, twice_differentiable
from metabalance.meta.under_vmap import UnderVmap
from metabalance.meta.update import Update

Run: TypeAlias = Callable[[Tensors, Tensors, Pair], tuple[Tensor, Tensors]]
"""(params, buffers, batch) → (losses, new buffers), without changing its arguments."""


@dataclass(frozen=True)
class AutogradPasses:
    """Differentiates what the two functions compute, that of the support batches twice if need be.

    ``spread`` turns parameters, shared or each meta step's own, into what the functions take.
    """

    run_support: Run
    run_query: Run
    spread: Callable[[Tensors], Tensors]
    total: Callable[[Tensors], Tensors]

    def support(self, params: Tensors, buffers: Tensors, batch: Pair, order: int) -> Derivative:
        """Differentiate at θ; the graph stays alive for Hessian products as long as their function does."""
        leaf = as_leaves(params) if order else detached(params)
        at = self.spread(leaf)
        losses, moved = self.run_support(at, buffers, batch)
        gradients = gradients_of(losses, at, "support", create_graph=order == 2) if order else {}
        graph = edges_of(gradients)
        return Derivative(
            losses.detach(),
            detached(gradients),
            moved,
            (lambda vector: hessian_product(graph, leaf, vector)) if order == 2 else None,
        )

    def query(self, adapted: Tensors, buffers: Tensors, batch: Pair) -> Derivative:
        """Differentiate at θ'."""
        leaf = as_leaves(self.spread(adapted))
        losses, moved = self.run_query(leaf, buffers, batch)
        gradients = gradients_of(losses, leaf, "query")
        return Derivative(losses.detach(), gradients, moved)


def as_leaves(tensors: Tensors) -> Tensors:
    """The same values, to differentiate by."""
    return {name: tensor.detach().requires_grad_() for name, tensor in tensors.items()}


def loop(algorithm: Algorithm, update: Update) -> OuterGradient:
    """One meta step after the other: memory does not grow with S, and buffers move sequentially."""
    passes = loop_passes(algorithm)
    # The sum over meta steps is there from the start, so that one meta step takes as much memory as many.
    total = {name: torch.zeros_like(p) for name, p in update.params.items()}
    reached: set[str] = set()
    losses = []
    for s in range(update.meta_steps):
        step = meta_gradient(passes, algorithm.terms, algorithm.inner_lr, algorithm.beta, update.meta_step(s))
        accumulate(total, step.terms)
        reached.update(*(tensors for _, tensors in step.terms))
        losses.append((step.support_losses, step.query_losses))
        update = update._replace(buffers=step.buffers)
        del step
        torch.clear_autocast_cache()  # or it would keep each meta step's θ' in low precision
    support_losses, query_losses = (torch.stack(column) for column in zip(*losses, strict=True))
    gradients = {name: gradient for name, gradient in total.items() if name in reached}
    outer = OuterGradient(gradients, support_losses, query_losses, update.buffers)
    return outer.mean() if algorithm.reduction == "mean" else outer


def loop_passes(algorithm: Algorithm) -> AutogradPasses:
    """The passes of one meta step."""
    aliases = aliases_of(algorithm.model)

    def run(params: Tensors, buffers: Tensors, batch: Pair) -> tuple[Tensor, Tensors]:
        loss, moved = loss_at(algorithm.loss_of, params, copied(buffers), batch, aliases)
        return loss, detached(moved)

    def run_twice_differentiable(params: Tensors, buffers: Tensors, batch: Pair) -> tuple[Tensor, Tensors]:
        with twice_differentiable():
            return run(params, buffers, batch)

    def run_query(params: Tensors, buffers: Tensors, batch: Pair) -> tuple[Tensor, Tensors]:
        with refuse_checkpoints():
            return run(params, buffers, batch)

    run_support = run_twice_differentiable if algorithm.terms.hessian else run
    return AutogradPasses(run_support, run_query, spread=dict, total=dict)


def vectorized(algorithm: Algorithm, update: Update) -> OuterGradient:
    """All meta steps at once: for dense nets many times faster than :func:`loop`, with S graphs in memory."""
    check_vectorizable(algorithm.model)
    aliases = aliases_of(algorithm.model)

    def run(params: Tensors, buffers: Tensors, batch: Pair) -> tuple[Tensor, Tensors]:
        copies = copied(buffers)

        def loss_of_one(params: Tensors, batch: Pair) -> Tensor:
            loss, moved = loss_at(algorithm.loss_of, params, copies, batch, aliases)
            refuse_written([name for name in copies if moved[name] is not copies[name]])
            return loss

        with UnderVmap():
            losses: Tensor = vmap(loss_of_one, randomness="different")(params, batch)
        refuse_written(unlike(buffers, copies))
        return losses, buffers

    meta_steps = update.meta_steps

    def spread(tensors: Tensors) -> Tensors:
        return {name: t.expand(meta_steps, *update.params[name].shape) for name, t in tensors.items()}

    def total(gradients: Tensors) -> Tensors:
        return {name: gradient.sum(0) for name, gradient in gradients.items()}

    with plain_attention():
        step = meta_gradient(
            AutogradPasses(run, run, spread, total),
            algorithm.terms,
            algorithm.inner_lr,
            algorithm.beta,
            update,
        )
    outer = OuterGradient(weighted_sum(step.terms), *step[1:])
    return outer.mean() if algorithm.reduction == "mean" else outer


def refuse_written(names: list[str]) -> None:
    """Raise ValueError if a pass wrote to buffers: under ``vmap`` meta steps have no order to do it in."""
    if names:
        raise ValueError(
            f"the forward pass writes to the buffers {names}, which engine='vectorized' cannot do: "
            "use engine='loop', or evaluation mode for the layers that own them"
        )
