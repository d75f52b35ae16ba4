"""One update rule, one class: where a batch comes from and how it fills ``.grad``.

Everything else about training (loop, early stopping, schedule, history) is the same for all rules.
"""

import math
from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from metabalance.meta import MetaGradient
from metabalance.meta.checks import check_scalar
from metabalance.nn import LossFunction
from metabalance.sampling import BatchStream, MetaBatchStream


class UpdateRule(ABC):
    """Draws the batch of one optimizer step and computes the step's gradient."""

    @property
    @abstractmethod
    def rows_per_update(self) -> int:
        """Training rows drawn for one optimizer step."""

    @abstractmethod
    def draw(self) -> Any:
        """Return the next batch."""

    @abstractmethod
    def backward(self, batch: Any) -> Tensor:
        """Add the gradient of the batch's loss to ``.grad`` and return the loss, detached."""


class BatchRule(UpdateRule):
    """A rule whose updates draw one batch, and take the loss of it at the parameters as they are."""

    def __init__(self, module: nn.Module, loss_fn: LossFunction, stream: BatchStream) -> None:
        self.module = module
        self.loss_fn = loss_fn
        self.stream = stream

    @property
    def rows_per_update(self) -> int:
        """The batch size."""
        return self.stream.batch_size

    def draw(self) -> tuple[Tensor, Tensor]:
        """Return x (batch, …) and y (batch,)."""
        return self.stream.draw()

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Return the loss of one batch, with its graph; raise FloatingPointError if it is not finite."""
        x, y = batch
        loss = check_scalar(self.loss_fn(self.module(x), y))
        value = loss.item()
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss of a batch is {value}: lower lr, or look for huge features")
        return loss


class ERM(BatchRule):
    """Plain training (empirical risk minimisation): the mean loss of one batch."""

    def backward(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Back-propagate the loss of one batch."""
        loss = self.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()


class MetaBalance(UpdateRule):
    """Algorithm 1 of the paper: the outer gradient over S pairs of support and query batches."""

    def __init__(self, meta: MetaGradient, stream: MetaBatchStream) -> None:
        self.meta = meta
        self.stream = stream

    @property
    def rows_per_update(self) -> int:
        """S times the support and the query batch."""
        return self.stream.rows_per_draw

    def draw(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Return the support (x, y) and the query (z, t), with S in front."""
        return self.stream.draw()

    def backward(self, batch: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]) -> Tensor:
        """Accumulate the outer gradient."""
        support, query = batch
        return self.meta.backward(support, query).total
