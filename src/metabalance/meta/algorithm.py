"""Algorithm 1, stated once: what an outer gradient is made of, whichever way its parts are differentiated.

An engine brings the :class:`Passes`: how a support or a query batch, or all of them side by side, become
losses and derivatives. :func:`meta_gradient` puts them together.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from metabalance.meta.buffers import BUFFER_POLICIES
from metabalance.meta.checks import LossFunction
from metabalance.meta.functional import LossOf, Pair, Tensors, Term, weighted_sum
from metabalance.meta.update import Update


class OuterGradient(NamedTuple):
    """What one outer update produces, detached: gradients over all meta steps, losses of each.

    ``gradients`` hold only parameters that a loss reached.
    """

    gradients: Tensors
    support_losses: Tensor
    query_losses: Tensor
    buffers: Tensors
    finite: Tensor | None = None

    def mean(self) -> "OuterGradient":
        """With gradients averaged over the meta steps of ``query_losses`` instead of summed."""
        meta_steps = len(self.query_losses)
        return self._replace(gradients={name: g / meta_steps for name, g in self.gradients.items()})

    def is_finite(self) -> Tensor:
        """Whether all losses and gradients are finite: one boolean on the device.

        It may be false for huge finite numbers, whose norm overflows.
        """
        if self.finite is not None:
            return self.finite
        tensors = [*self.gradients.values(), self.support_losses, self.query_losses]
        return torch.isfinite(nn.utils.get_total_norm(tensors))


class MetaStep(NamedTuple):
    """What :func:`meta_gradient` finds, detached: the gradient is Σ weight · tensors over ``terms``."""

    terms: list[Term]
    support_losses: Tensor
    query_losses: Tensor
    buffers: Tensors


class Derivative(NamedTuple):
    """A pass and its derivatives, for one meta step or stacked over all of them; detached.

    ``hessian_product`` takes a vector for each meta step and returns the *sum* over meta steps of H·vector;
    it is there where the pass was asked for second derivatives.
    """

    losses: Tensor
    gradients: Tensors
    buffers: Tensors
    hessian_product: Callable[[Tensors], Tensors] | None = None


class Passes(Protocol):
    """How an engine differentiates; none of its methods changes its arguments."""

    def support(self, params: Tensors, buffers: Tensors, batch: Pair, order: int) -> Derivative:
        """The pass at θ: 0 only reports the losses, 1 takes gradients, 2 Hessian products too."""

    def query(self, adapted: Tensors, buffers: Tensors, batch: Pair) -> Derivative:
        """The pass at θ', with gradients; ``adapted`` is θ itself where there is no inner step."""

    def total(self, gradients: Tensors) -> Tensors:
        """Sum over meta steps."""


@dataclass(frozen=True)
class Terms:
    """Which terms the formula has. With inner_lr = 0 the Hessian would only be multiplied by zero."""

    adapts: bool
    hessian: bool
    support: bool
    support_moves_buffers: bool
    query_moves_buffers: bool

    @property
    def support_order(self) -> int:
        """How often the support loss is differentiated."""
        return 2 if self.hessian else int(self.adapts or self.support)


@dataclass(frozen=True)
class Algorithm:
    """The outer loss to differentiate; the symbols are those of :class:`~metabalance.meta.MetaGradient`."""

    model: nn.Module
    loss_fn: LossFunction
    inner_lr: float
    beta: float
    order: str
    buffers: str
    reduction: str = "mean"

    @cached_property
    def loss_of(self) -> LossOf:
        """Model and loss in one module, made once."""
        return LossOf(self.model, self.loss_fn)

    @cached_property
    def terms(self) -> Terms:
        """What the settings leave of the formula."""
        adapts, kept = self.inner_lr > 0, BUFFER_POLICIES[self.buffers]
        return Terms(
            adapts=adapts,
            hessian=adapts and self.order == "exact",
            support=self.beta > 0,
            support_moves_buffers="support" in kept,
            query_moves_buffers="query" in kept,
        )


def meta_gradient(
    passes: Passes,
    terms: Terms,
    inner_lr: float | Tensor,
    beta: float | Tensor,
    update: Update,
) -> MetaStep:
    """(I − inner_lr·H_X(θ))·∇L_Z(θ') + beta·∇L_X(θ), at θ' = θ − inner_lr·∇L_X(θ).

    The Hessian is never built: its product with ∇L_Z(θ') is a derivative of ∇L_X(θ). So the graph of the
    query pass is gone before the graph of the support pass is differentiated a second time.
    """
    parts: list[Term] = []
    params, buffers, support, query = update
    support_losses, g_support, moved, hessian_product = passes.support(
        params, buffers, support, terms.support_order
    )
    buffers = moved if terms.support_moves_buffers else buffers
    adapted = weighted_sum([(None, params), (-inner_lr, g_support)]) if terms.adapts else params
    if terms.support:
        parts.append((beta, passes.total(g_support)))
    del g_support  # from here on only its graph is needed

    query_losses, g_query, moved, _ = passes.query(adapted, buffers, query)
    buffers = moved if terms.query_moves_buffers else buffers
    del adapted
    parts.append((None, passes.total(g_query)))
    if hessian_product is not None:
        parts.append((-inner_lr, hessian_product(g_query)))
    return MetaStep(parts, support_losses, query_losses, buffers)
