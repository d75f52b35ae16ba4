"""The two ways to differentiate by plain autograd: one meta step after the other, or all side by side.

- :func:`loop` takes one meta step after the other, so one meta step's graph is alive at a time;
- :func:`vectorized` takes all at once, with the forward pass under :func:`torch.func.vmap` over the S meta
  steps, each with its own view of the parameters.

Derivatives are taken by plain autograd outside of ``vmap``. That is as fast as ``vmap`` of
:func:`torch.func.grad`, and it tells a parameter that no loss reaches (no gradient) from one whose gradient
is zero.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from torch.func import vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from metabalance.meta.algorithm import Algorithm, Derivative, OuterGradient, meta_gradient
from metabalance.meta.buffers import unlike
from metabalance.meta.choice import check_vectorizable
from metabalance.meta.dropout import UniformDropout
from metabalance.meta.functional import (
    Pair,
    Tensors,
    copied,
    detached,
    gradients_of,
    hessian_product,
    loss_at,
    part_of,
    weighted_sum,
)

Run: TypeAlias = Callable[[Tensors, Tensors, Pair], tuple[Tensor, Tensors]]
"""(params, buffers, batch) → (losses, new buffers), without changing its arguments."""


@dataclass(frozen=True)
class AutogradPasses:
    """Differentiates what ``run`` computes.

    ``spread`` turns parameters, shared or each meta step's own, into what ``run`` takes.
    """

    run: Run
    spread: Callable[[Tensors], Tensors]
    total: Callable[[Tensors], Tensors]

    def support(self, params: Tensors, buffers: Tensors, batch: Pair, order: int) -> Derivative:
        """Differentiate at θ; the graph stays alive for Hessian products as long as the result does."""
        leaf = as_leaves(params) if order else detached(params)
        at = self.spread(leaf)
        losses, moved = self.run(at, buffers, batch)
        gradients = gradients_of(losses, at, "support", create_graph=order == 2) if order else {}
        return Derivative(
            losses.detach(),
            detached(gradients),
            moved,
            lambda vector: hessian_product(gradients, leaf, vector),
        )

    def query(self, adapted: Tensors, buffers: Tensors, batch: Pair) -> Derivative:
        """Differentiate at θ'."""
        leaf = as_leaves(self.spread(adapted))
        losses, moved = self.run(leaf, buffers, batch)
        gradients = gradients_of(losses, leaf, "query")
        return Derivative(losses.detach(), gradients, moved, no_hessian)


def as_leaves(tensors: Tensors) -> Tensors:
    """The same values, to differentiate by."""
    return {name: tensor.detach().requires_grad_() for name, tensor in tensors.items()}


def no_hessian(vector: Tensors) -> Tensors:
    """The query loss is differentiated once."""
    raise NotImplementedError("no term of the outer gradient has the Hessian of the query loss")


def loop(
    algorithm: Algorithm, params: Tensors, buffers: Tensors, support: Pair, query: Pair, meta_steps: int
) -> OuterGradient:
    """One meta step after the other: memory does not grow with S, and buffers move sequentially."""

    def run(params: Tensors, buffers: Tensors, batch: Pair) -> tuple[Tensor, Tensors]:
        loss, moved = loss_at(algorithm.loss_of, params, copied(buffers), batch)
        return loss, detached(moved)

    passes = AutogradPasses(run, spread=dict, total=dict)
    total: Tensors = {}
    losses = []
    for s in range(meta_steps):
        with plain_attention() if algorithm.terms.hessian else contextlib.nullcontext():
            one = meta_gradient(
                passes,
                algorithm.terms,
                algorithm.inner_lr,
                algorithm.beta,
                params,
                buffers,
                part_of(support, s),
                part_of(query, s),
            )
        total = weighted_sum([(None, total), (None, one.gradients)])
        losses.append((one.support_losses, one.query_losses))
        buffers = one.buffers
    support_losses, query_losses = (torch.stack(column) for column in zip(*losses, strict=True))
    outer = OuterGradient(total, support_losses, query_losses, buffers)
    return outer.mean() if algorithm.reduction == "mean" else outer


def vectorized(
    algorithm: Algorithm, params: Tensors, buffers: Tensors, support: Pair, query: Pair, meta_steps: int
) -> OuterGradient:
    """All meta steps at once: for dense nets many times faster than :func:`loop`, with S graphs in memory."""
    check_vectorizable(algorithm.model)

    def run(params: Tensors, buffers: Tensors, batch: Pair) -> tuple[Tensor, Tensors]:
        copies = copied(buffers)

        def loss_of_one(params: Tensors, batch: Pair) -> Tensor:
            loss, moved = loss_at(algorithm.loss_of, params, copies, batch)
            refuse_written([name for name in copies if moved[name] is not copies[name]])
            return loss

        with UniformDropout():
            losses: Tensor = vmap(loss_of_one, randomness="different")(params, batch)
        refuse_written(unlike(buffers, copies))
        return losses, buffers

    def spread(tensors: Tensors) -> Tensors:
        return {name: t.expand(meta_steps, *params[name].shape) for name, t in tensors.items()}

    def total(gradients: Tensors) -> Tensors:
        return {name: gradient.sum(0) for name, gradient in gradients.items()}

    with plain_attention():
        outer = meta_gradient(
            AutogradPasses(run, spread, total),
            algorithm.terms,
            algorithm.inner_lr,
            algorithm.beta,
            params,
            buffers,
            support,
            query,
        )
    return outer.mean() if algorithm.reduction == "mean" else outer


def plain_attention() -> contextlib.AbstractContextManager[None]:
    """Attention by its definition: the fused kernels have no second derivative, nor a rule for ``vmap``."""
    context: contextlib.AbstractContextManager[None] = sdpa_kernel(SDPBackend.MATH)
    return context


def refuse_written(names: list[str]) -> None:
    """Raise ValueError if a pass wrote to buffers: under ``vmap`` meta steps have no order to do it in."""
    if names:
        raise ValueError(
            f"the forward pass writes to the buffers {names}, which engine='vectorized' cannot do: "
            "use engine='loop', or evaluation mode for the layers that own them"
        )
