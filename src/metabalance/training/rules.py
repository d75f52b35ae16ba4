"""One update rule, one class: where a batch comes from and how it fills ``.grad``.

Everything else about training (loop, early stopping, schedule, history) is the same for all rules.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn

from metabalance.meta import MetaGradient, adapt, batch_statistics
from metabalance.meta.checks import check_scalar
from metabalance.meta.statistics import tracked_norms
from metabalance.nn import LossFunction
from metabalance.sampling import BatchStream, MetaBatchStream
from metabalance.sampling.readers import PoolReader
from metabalance.training.data import Part, PartInMemory
from metabalance.training.prediction import rows_per_chunk

STATISTICS_ROWS = 1024  # at least, that BatchNorm's statistics for predictions are taken from
ADAPTED_ROWS = 2048  # at most, that a step to θ' is taken on where BatchNorm looks at batches
MOST_ADAPTED_ROWS = 2**18  # at most, of a table in files
SEED = 0  # of these rows: the same ones after every epoch, so that its scores can be compared


class UpdateRule(ABC):
    """Draws the batch of one optimizer step and computes the step's gradient."""

    module: nn.Module

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

    @property
    @abstractmethod
    def judged(self) -> tuple[PoolReader, int]:
        """The stream whose batches the learned parameters are judged on, and the size of these."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return what decides the updates that follow, beside the module and its optimizer."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state; raise ValueError if it is one of other rows or batches."""

    def settle(self) -> None:
        """Take BatchNorm's running statistics anew at the parameters as they are, ready for predictions.

        Training does not depend on them.
        """
        statistics = self._statistics()
        self.module.load_state_dict(statistics, strict=False)

    def adapted(self, train: Part) -> dict[str, Tensor] | None:
        """Return θ', with BatchNorm's statistics there, or None where there is no inner step."""
        return None

    def ready(self, train: Part, adapted: bool) -> dict[str, Tensor] | None:
        """Make ready for predictions: return θ', or None where the module's own parameters predict."""
        parameters = self.adapted(train) if adapted else None
        if parameters is None:
            self.settle()
        return parameters

    def _statistics(self, parameters: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        reader, size = self.judged
        rows = reader.again(SEED)
        count = math.ceil(STATISTICS_ROWS / size)
        return batch_statistics(self.module, (rows.read(size)[0] for _ in range(count)), parameters)


class RuleAround(UpdateRule):
    """A rule that does something to the batches of another one, and leaves the rest to it."""

    def __init__(self, rule: UpdateRule) -> None:
        self.module = rule.module
        self.rule = rule

    @property
    def rows_per_update(self) -> int:
        """As of the rule."""
        return self.rule.rows_per_update

    @property
    def judged(self) -> tuple[PoolReader, int]:
        """As of the rule."""
        return self.rule.judged

    def state_dict(self) -> dict[str, Any]:
        """As of the rule."""
        return self.rule.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """As of the rule."""
        self.rule.load_state_dict(state)

    def backward(self, batch: Any) -> Tensor:
        """As of the rule."""
        return self.rule.backward(batch)

    def adapted(self, train: Part) -> dict[str, Tensor] | None:
        """As of the rule."""
        return self.rule.adapted(train)


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

    @property
    def judged(self) -> tuple[PoolReader, int]:
        """The stream."""
        return self.stream.reader, self.stream.batch_size

    def state_dict(self) -> dict[str, Any]:
        """Return the place in the stream."""
        return {"stream": self.stream.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a place in the stream."""
        self.stream.load_state_dict(state["stream"])

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
        self.module = meta.model
        self.meta = meta
        self.stream = stream

    @property
    def rows_per_update(self) -> int:
        """S times the support and the query batch."""
        return self.stream.rows_per_draw

    @property
    def judged(self) -> tuple[PoolReader, int]:
        """The query stream."""
        return self.stream.query, self.stream.query_batch_size

    def state_dict(self) -> dict[str, Any]:
        """Return the place in the streams."""
        return {"stream": self.stream.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a place in the streams."""
        self.stream.load_state_dict(state["stream"])

    def draw(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Return the support (x, y) and the query (z, t), with S in front."""
        return self.stream.draw()

    def backward(self, batch: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]) -> Tensor:
        """Accumulate the outer gradient."""
        support, query = batch
        return self.meta.backward(support, query).total

    def adapted(self, train: Part) -> dict[str, Tensor]:
        """Return θ', one inner step on rows of the support stream away, with BatchNorm's statistics there.

        With BatchNorm the step is taken by support batches and as the meta steps take it. Otherwise it is
        taken on all rows at once; of a table in files, on 262,144 of them that the support stream draws.
        """
        step = partial(adapt, self.module, self.meta.loss_fn, inner_lr=self.meta.inner_lr)
        rows = self.stream.support.again(SEED)
        if tracked_norms(self.module):
            size = self.stream.support_batch_size
            few = max(size, min(ADAPTED_ROWS, len(train)))
            parameters = step(data=rows.read(few), batch_size=size)
            return parameters | self._statistics(parameters)
        if not isinstance(train, PartInMemory):
            data = rows.read(min(MOST_ADAPTED_ROWS, len(train)))
        elif rows.strategy == "natural":
            data = train.x, train.y  # which are these rows: no copy is made of them
        else:
            data = rows.read(len(train))
        return step(data=data, chunk_size=rows_per_chunk(self.module, data[0]))
