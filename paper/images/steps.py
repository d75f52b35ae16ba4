"""The gradient of one update, by kind of row: plain training, MetaBalance, Meta-Weight-Net."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from metabalance import BatchStream, MetaBatchStream, MetaGradient
from metabalance.nn import CutMix, LossFunction, MixedLoss, Mixup
from metabalance.training import SAM, MetaWeightNet
from paper.images.losses import losses_for
from paper.images.task import Task

MIXINGS = {"mixup": Mixup(), "cutmix": CutMix()}


class Step(ABC):
    """Draws batches, augments them and adds a gradient to ``.grad``; it can be saved and gone on with."""

    def __init__(
        self, task: Task, module: nn.Module, recipe: Mapping[str, Any], seed: int, stream: Any
    ) -> None:
        self.task = task
        self.module = module
        self.recipe = recipe
        self.stream = stream
        self.generator = Generator().manual_seed(seed)
        self.mix = MIXINGS.get(recipe.get("mixing", ""))

    @property
    @abstractmethod
    def rows(self) -> int:
        """Drawn images of one step."""

    @abstractmethod
    def backward(self, loss_fn: LossFunction) -> Tensor:
        """Add the gradient of the next batches' loss, and return the loss."""

    def state_dict(self) -> dict[str, Any]:
        """Return what decides the batches that follow."""
        return {"stream": self.stream.state_dict(), "generator": self.generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved place."""
        self.stream.load_state_dict(state["stream"])
        self.generator.set_state(state["generator"])


class PlainStep(Step):
    """One batch, perhaps mixed; SAM where the recipe has its radius."""

    def __init__(self, task: Task, module: nn.Module, recipe: Mapping[str, Any], seed: int) -> None:
        stream = BatchStream(
            task.train.images,
            task.train.y,
            strategy=recipe["sampler"],
            batch_size=recipe["batch_size"],
            random_state=seed,
            device=task.train.images.device,
            balance_by=task.balance_by,
        )
        super().__init__(task, module, recipe, seed, stream)

    @property
    def rows(self) -> int:
        """The batch."""
        return self.stream.batch_size  # type: ignore[no-any-return]

    def backward(self, loss_fn: LossFunction) -> Tensor:
        """Add the gradient of the next batch's loss, and return the loss."""
        x, y = self.stream.draw()
        x = self.task.prepare(x, self.generator)
        if "sam_rho" in self.recipe:
            return SAM(self.module, loss_fn, self.stream, self.recipe["sam_rho"]).backward((x, y))
        if self.mix is None:
            loss = loss_fn(self.module(x), y)
        else:
            batch = self.mix(x, y, self.generator)
            loss = batch.loss(loss_fn, self.module(batch.x))
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()


class _PairsStep(Step):
    def __init__(self, task: Task, module: nn.Module, recipe: Mapping[str, Any], seed: int) -> None:
        stream = MetaBatchStream(
            task.train.images,
            task.train.y,
            support=recipe["support"],
            query=recipe["query"],
            meta_steps=recipe["meta_steps"],
            support_batch_size=recipe["support_batch_size"],
            query_batch_size=recipe["query_batch_size"],
            random_state=seed,
            device=task.train.images.device,
            balance_by=task.balance_by,
        )
        super().__init__(task, module, recipe, seed, stream)

    @property
    def rows(self) -> int:
        """Support and query images."""
        return self.stream.rows_per_draw  # type: ignore[no-any-return]

    def pairs(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Support and query batches, augmented."""
        (x, y), (z, t) = self.stream.draw()
        return (self.task.prepare(x, self.generator), y), (self.task.prepare(z, self.generator), t)


class MetaStep(_PairsStep):
    """The meta-gradient of the recipe's loss; the query batches may be mixed."""

    def __init__(self, task: Task, module: nn.Module, recipe: Mapping[str, Any], seed: int) -> None:
        super().__init__(task, module, recipe, seed)
        self.meta = MetaGradient(
            module,
            MixedLoss(loss_of(recipe, task)),
            inner_lr=recipe["inner_lr"],
            beta=recipe["beta"],
            order=recipe["order"],
            engine="captured" if task.train.images.device.type == "cuda" else "loop",
        )

    def backward(self, loss_fn: LossFunction) -> Tensor:
        """Add the meta-gradient, and return the outer loss."""
        (x, y), (z, t) = self.pairs()
        target: Tensor | tuple[Tensor, ...] = t
        if self.mix is not None:
            mixed = [self.mix(*pair, self.generator) for pair in zip(z, t, strict=True)]
            z = torch.stack([batch.x for batch in mixed])
            target = tuple(map(torch.stack, zip(*(batch.target for batch in mixed), strict=True)))
        return self.meta.backward((x, y), (z, target)).total


class MetaWeightNetStep(_PairsStep):
    """The gradient of the plain loss, weighted."""

    def __init__(self, task: Task, module: nn.Module, recipe: Mapping[str, Any], seed: int) -> None:
        super().__init__(task, module, recipe, seed)
        self.rule = MetaWeightNet(
            module, cross_entropy, self.stream, inner_lr=recipe["inner_lr"], weight_lr=recipe["weight_lr"]
        )

    def backward(self, loss_fn: LossFunction) -> Tensor:
        """Move the weights, add the gradient, and return the weighted loss."""
        return self.rule.backward(self.pairs())

    def state_dict(self) -> dict[str, Any]:
        """Return what decides the batches that follow, and the weights."""
        return {"rule": self.rule.state_dict(), "generator": self.generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved place."""
        self.rule.load_state_dict(state["rule"])
        self.generator.set_state(state["generator"])


def loss_of(recipe: Mapping[str, Any], task: Task) -> LossFunction:
    """The loss whose gradient a meta-gradient and a step to θ′ take: the recipe's, or the cross-entropy."""
    if "loss" not in recipe:
        return cross_entropy
    return losses_for(recipe, torch.from_numpy(task.counts).float().to(task.mean.device))(0.0)


STEPS = {"plain": PlainStep, "meta": MetaStep, "meta-weight-net": MetaWeightNetStep}
