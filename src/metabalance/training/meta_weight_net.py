"""Meta-Weight-Net's update rule: rows weighted by a network of their loss, learned by a virtual step."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from metabalance.meta.checks import check_scalar, trainable_parameters
from metabalance.meta.functional import (
    LossOf,
    Pair,
    Tensors,
    aliases_of,
    copied,
    detached,
    gradients_of,
    loss_at,
    part_of,
    weighted_sum,
)
from metabalance.meta.recomputing import refuse_checkpoints
from metabalance.meta.second_order import twice_differentiable
from metabalance.nn import MLP, LossFunction
from metabalance.sampling import MetaBatchStream
from metabalance.sampling.readers import PoolReader
from metabalance.training.rules import UpdateRule

HIDDEN_SIZES = (100,)  # the paper's network and, of its released code, the decay of the weight net
WEIGHT_DECAY = 1e-4


class MetaWeightNet(UpdateRule):
    r"""Weigh the rows of a training batch so that a step on them would help a balanced meta batch [1]_.

    A weight network V (1-100-1, sigmoid) maps a row's loss :math:`L_i` to its weight. An update at the
    parameters w takes

    1. a virtual step :math:`\hat w(\Theta) = w - \alpha \frac1n \sum_i V(L_i; \Theta) \nabla L_i(w)` (eq. 3),
    2. a step of Adam on the weight network's :math:`\Theta` along the gradient of the meta batch's mean loss
       at :math:`\hat w(\Theta)` (eq. 4), through the virtual step but not through the losses V is given,
    3. the gradient of :math:`\frac1n \sum_i V(L_i; \Theta) L_i(w)` with the new :math:`\Theta` (eq. 5), for
       the optimizer of the loop.

    Parameters
    ----------
    module : torch.nn.Module
    loss_fn : callable
        A mean over rows; it is called with one row at a time, by ``torch.vmap``.
    stream : MetaBatchStream
        With one meta step: its support batches are trained on, its query batches are the meta batches.
    inner_lr : float
        Size :math:`\alpha` of the virtual step.
    weight_lr : float
        Learning rate of the weight network.

    Notes
    -----
    Both passes of an update are in training mode. BatchNorm's running statistics follow the training batches
    only. The training batch goes through the network once, so that the virtual and the real step see the same
    dropout masks.

    References
    ----------
    .. [1] Shu, Xie, Yi, Zhao, Zhou, Xu, Meng. Meta-Weight-Net: Learning an Explicit Mapping For Sample
       Weighting. NeurIPS 2019, section 2.
    """

    def __init__(
        self,
        module: nn.Module,
        loss_fn: LossFunction,
        stream: MetaBatchStream,
        *,
        inner_lr: float,
        weight_lr: float,
    ) -> None:
        self.module = module
        self.loss_fn = loss_fn
        self.stream = stream
        self.inner_lr = inner_lr
        device = next(iter(trainable_parameters(module).values())).device
        self.weight_net = MLP(1, 1, hidden_sizes=HIDDEN_SIZES).to(device)
        self._weight_optimizer = torch.optim.Adam(
            self.weight_net.parameters(), lr=weight_lr, weight_decay=WEIGHT_DECAY
        )
        self._loss_of, self._aliases = LossOf(module, loss_fn), aliases_of(module)

    @property
    def rows_per_update(self) -> int:
        """The training and the meta batch together."""
        return self.stream.rows_per_draw

    @property
    def judged(self) -> tuple[PoolReader, int]:
        """The stream of the training batches."""
        return self.stream.support, self.stream.support_batch_size

    def draw(self) -> tuple[Pair, Pair]:
        """Return the training (x, y) and the meta (x, y), with a 1 in front."""
        return self.stream.draw()

    def backward(self, batch: tuple[Pair, Pair]) -> Tensor:
        """Move the weight network, and add the gradient of the weighted training loss to ``.grad``."""
        (x, y), meta = part_of(batch[0], 0), part_of(batch[1], 0)
        with twice_differentiable():
            output = self.module(x)
        losses = row_losses(self.loss_fn, output, y)
        meta_loss = _check_finite(self._loss_after_virtual_step(losses, meta), "meta")
        self._weight_optimizer.zero_grad()
        meta_loss.backward(inputs=list(self.weight_net.parameters()))  # type: ignore[no-untyped-call]
        self._weight_optimizer.step()
        loss = _check_finite((self.weigh(losses).detach() * losses).mean(), "training")
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def weigh(self, losses: Tensor) -> Tensor:
        """Return the weights in (0, 1) of rows with losses of shape (n,), which get no gradient from it."""
        weights: Tensor = self.weight_net(losses.detach().unsqueeze(-1)).sigmoid().squeeze(-1)
        return weights

    def state_dict(self) -> dict[str, Any]:
        """Return the place in the streams, and the weight network and its optimizer as they stand."""
        return {
            "stream": self.stream.state_dict(),
            "weight_net": self.weight_net.state_dict(),
            "weight_optimizer": self._weight_optimizer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put streams, weight network and optimizer into a state."""
        self.stream.load_state_dict(state["stream"])
        self.weight_net.load_state_dict(state["weight_net"])
        self._weight_optimizer.load_state_dict(state["weight_optimizer"])

    def _loss_after_virtual_step(self, losses: Tensor, meta: Pair) -> Tensor:
        """The meta batch's loss at ŵ(Θ), differentiable in Θ."""
        params: Tensors = trainable_parameters(self.module)
        weighted = (self.weigh(losses) * losses).mean()
        gradient = gradients_of(weighted, params, "training", create_graph=True)
        stepped = weighted_sum([(None, detached(params)), (-self.inner_lr, gradient)])
        with refuse_checkpoints():
            loss, _ = loss_at(
                self._loss_of, stepped, copied(dict(self.module.named_buffers())), meta, self._aliases
            )
        return loss


def row_losses(loss_fn: LossFunction, output: Tensor, target: Tensor) -> Tensor:
    """The loss of each row, shape (n,), by a loss function that returns the mean over rows.

    Examples
    --------
    >>> import torch
    >>> from metabalance.nn import CrossEntropy
    >>> row_losses(CrossEntropy(), torch.zeros(3, 2), torch.tensor([0, 1, 1]))
    tensor([0.6931, 0.6931, 0.6931])
    """

    def loss_of_row(output: Tensor, target: Tensor) -> Tensor:
        return check_scalar(loss_fn(output.unsqueeze(0), target.unsqueeze(0)))

    losses: Tensor = torch.vmap(loss_of_row)(output, target)
    return losses


def _check_finite(loss: Tensor, which: str) -> Tensor:
    value = loss.item()
    if not math.isfinite(value):
        raise FloatingPointError(
            f"the {which} loss of a batch is {value}: lower lr or inner_lr, or look for huge features"
        )
    return loss
