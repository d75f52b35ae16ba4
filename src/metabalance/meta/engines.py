"""Algorithm 1 as pure functions: parameters, buffers and batches in; gradients, losses and new buffers out.

The mathematics stands once, in :func:`meta_gradient`. The two engines differ in what a "pass" is:

- :func:`loop` runs it for one meta step after the other, so one meta step's graph is alive at a time;
- :func:`vectorized` runs it once, with the forward pass under :func:`torch.func.vmap` over all S meta steps,
  each with its own view of the parameters.

Derivatives are taken by plain autograd outside of ``vmap``. That is as fast as ``vmap`` of
:func:`torch.func.grad`, and it tells a parameter that no loss reaches (no gradient) from one whose gradient
is zero.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.func import vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from metabalance.meta.buffers import BUFFER_POLICIES, unlike
from metabalance.meta.checks import LossFunction
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

DENSE_LAYERS = (nn.Linear, nn.Bilinear, nn.Embedding, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.PReLU)
"""Layers that are known to be fast, and right, with a set of weights for each meta step."""


@dataclass(frozen=True)
class Algorithm:
    """The outer loss to differentiate; the symbols are those of :class:`~metabalance.meta.MetaGradient`."""

    model: nn.Module
    loss_fn: LossFunction
    inner_lr: float
    beta: float
    order: str
    buffers: str

    @property
    def needs_support_gradient(self) -> bool:
        """Whether the gradient of the support loss enters; if not, the loss is only reported."""
        return self.inner_lr > 0 or self.beta > 0

    @property
    def needs_hessian(self) -> bool:
        """Whether the Hessian enters: with inner_lr = 0 it is multiplied by zero."""
        return self.order == "exact" and self.inner_lr > 0


class OuterGradient(NamedTuple):
    """What one outer update produces, detached: gradients summed over meta steps, losses of each meta step.

    ``gradients`` hold only parameters that a loss reached.
    """

    gradients: Tensors
    support_losses: Tensor
    query_losses: Tensor
    buffers: Tensors


Pass: TypeAlias = Callable[[Tensors, Tensors, Pair], tuple[Tensor, Tensors]]
"""(params, buffers, batch) → (losses, new buffers), without changing its arguments."""


def meta_gradient(
    algorithm: Algorithm, run: Pass, params: Tensors, buffers: Tensors, support: Pair, query: Pair
) -> OuterGradient:
    """(I − inner_lr·H_X(θ))·∇L_Z(θ') + beta·∇L_X(θ), at θ' = θ − inner_lr·∇L_X(θ).

    ``run`` is one pass: over one meta step, or over all of them side by side.

    The Hessian is never built: its product with ∇L_Z(θ') is a derivative of ∇L_X(θ). So the graph of the
    query pass is gone before the graph of the support pass is differentiated a second time.
    """
    kept = BUFFER_POLICIES[algorithm.buffers]
    if algorithm.needs_support_gradient:
        support_losses, moved = run(params, buffers, support)
        g_support = gradients_of(support_losses, params, "support", create_graph=algorithm.needs_hessian)
    else:
        support_losses, moved = run(detached(params), buffers, support)
        g_support = {}
    buffers = moved if "support" in kept else buffers

    adapted = weighted_sum([(1.0, detached(params)), (-algorithm.inner_lr, detached(g_support))])
    adapted = {name: parameter.detach().requires_grad_() for name, parameter in adapted.items()}
    query_losses, moved = run(adapted, buffers, query)
    g_query = gradients_of(query_losses, adapted, "query")
    buffers = moved if "query" in kept else buffers

    terms = [(1.0, g_query)]
    if algorithm.needs_hessian:
        terms.append((-algorithm.inner_lr, hessian_product(g_support, params, g_query)))
    if algorithm.beta > 0:
        terms.append((algorithm.beta, detached(g_support)))
    return OuterGradient(weighted_sum(terms), support_losses.detach(), query_losses.detach(), buffers)


def loop(
    algorithm: Algorithm, params: Tensors, buffers: Tensors, support: Pair, query: Pair, meta_steps: int
) -> OuterGradient:
    """One meta step after the other: memory does not grow with S, and buffers move sequentially."""

    def run(params: Tensors, buffers: Tensors, batch: Pair) -> tuple[Tensor, Tensors]:
        loss, moved = loss_at(algorithm.model, algorithm.loss_fn, params, copied(buffers), batch)
        return loss, detached(moved)

    leaf = {name: p.detach().requires_grad_() for name, p in params.items()}
    total: Tensors = {}
    losses = []
    for s in range(meta_steps):
        with plain_attention() if algorithm.needs_hessian else contextlib.nullcontext():
            one = meta_gradient(algorithm, run, leaf, buffers, part_of(support, s), part_of(query, s))
        total = weighted_sum([(1.0, total), (1.0, one.gradients)])
        losses.append((one.support_losses, one.query_losses))
        buffers = one.buffers
    support_losses, query_losses = (torch.stack(column) for column in zip(*losses, strict=True))
    return OuterGradient(total, support_losses, query_losses, buffers)


def vectorized(
    algorithm: Algorithm, params: Tensors, buffers: Tensors, support: Pair, query: Pair, meta_steps: int
) -> OuterGradient:
    """All meta steps at once: for dense nets many times faster than :func:`loop`, with S graphs in memory."""

    def run(params: Tensors, buffers: Tensors, batch: Pair) -> tuple[Tensor, Tensors]:
        copies = copied(buffers)

        def loss_of_one(params: Tensors, batch: Pair) -> Tensor:
            loss, moved = loss_at(algorithm.model, algorithm.loss_fn, params, copies, batch)
            refuse_written([name for name in copies if moved[name] is not copies[name]])
            return loss

        losses: Tensor = vmap(loss_of_one, randomness="different")(params, batch)
        refuse_written(unlike(buffers, copies))
        return losses, buffers

    leaf = {name: p.detach().expand(meta_steps, *p.shape).requires_grad_() for name, p in params.items()}
    with plain_attention():
        outer = meta_gradient(algorithm, run, leaf, buffers, support, query)
    return outer._replace(gradients={name: g.sum(0) for name, g in outer.gradients.items()})


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


def check_vectorizable(model: nn.Module) -> None:
    """Raise ValueError for layers that ``vmap`` would get wrong or that would write statistics under it."""
    for name, module in model.named_modules():
        if _is_padded_embedding(module):
            raise ValueError(
                f"engine='vectorized' would give the padding row of the Embedding {name!r} a gradient (torch "
                "masks it in the first meta step only): use engine='loop'"
            )
        norm = isinstance(module, nn.modules.batchnorm._NormBase)
        if norm and module.training and module.running_mean is not None:
            raise ValueError(
                f"engine='vectorized' cannot update the running statistics of {type(module).__name__} "
                f"{name!r} in training mode: use engine='loop', or LayerNorm/GroupNorm in its place"
            )


def _is_padded_embedding(module: nn.Module) -> bool:
    return isinstance(module, nn.Embedding | nn.EmbeddingBag) and module.padding_idx is not None


def prefers_vectorized(model: nn.Module) -> bool:
    """The rule of ``engine="auto"``: every parameter is owned by one of DENSE_LAYERS; no buffers,
    and no embedding with a padding row, whose gradient torch gets wrong under ``vmap``.
    """
    if next(model.buffers(), None) is not None:
        return False
    return all(
        isinstance(module, DENSE_LAYERS) and not _is_padded_embedding(module)
        for module in model.modules()
        if next(module.parameters(recurse=False), None) is not None
    )
