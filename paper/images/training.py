"""Training a network on images by one row of Table 3, scored on the way; it can be broken off."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, MultiStepLR

from metabalance.nn import ResNet, weight_decay_groups
from metabalance.nn.margins import SCALE
from metabalance.training import seeded
from paper.images.adaptation import Way, adapted, ways_for
from paper.images.losses import losses_for
from paper.images.scores import CLASSES, Scoring
from paper.images.steps import STEPS, loss_of
from paper.images.task import Task


class Training:
    """A network on its way through about ``rows`` drawn images, scored ``scores`` times.

    The learning rate goes down to 0 along half a cosine, or to a tenth at each of the recipe's ``milestones``
    (shares of the updates). With ``half`` the network computes in bfloat16 where
    torch's autocast deems that safe. ``ways`` are ways to get θ′ beside the usual ones. With the state of
    another training of the same arguments it goes on where that was; on the CPU with the same result to the
    last bit.

    Attributes
    ----------
    curve : list of dict
        The scores so far.
    """

    def __init__(
        self,
        task: Task,
        recipe: Mapping[str, Any],
        network: Mapping[str, Any],
        seed: int,
        *,
        rows: int,
        scores: int,
        half: bool = False,
        ways: Mapping[str, Way] | None = None,
        scoring: Scoring = CLASSES,
    ) -> None:
        self.task = task
        self.seed = seed
        self.half = half
        device = task.train.images.device
        with seeded(seed):
            scale = recipe.get("cosine_scale", SCALE) if recipe.get("head") == "cosine" else None
            self.module = ResNet(len(task.train.classes), cosine_scale=scale, **network)
            self.module.to(device, memory_format=torch.channels_last)
            self.step = STEPS[recipe["kind"]](task, self.module, recipe, seed)
        self.loss_at = losses_for(recipe, torch.from_numpy(task.counts).float().to(device))
        decay = recipe["weight_decay"]
        spares_norms = recipe.get("spares_norms", False)
        self.optimizer = torch.optim.SGD(
            weight_decay_groups(self.module, decay) if spares_norms else self.module.parameters(),
            lr=recipe["lr"],
            momentum=0.9,
            nesterov=True,
            weight_decay=decay,
            fused=True,
        )
        self.updates = max(1, rows // self.step.rows)
        self.schedule = self._make_schedule()
        self.ends = sorted({round(self.updates * (part + 1) / scores) for part in range(scores)} - {0})
        self.support = recipe.get("support", "natural")
        self.usual_ways = ways_for(recipe)
        self.ways = ways or {}
        self.scoring = scoring
        self.curve: list[dict[str, Any]] = []
        self.seconds = 0.0

    @property
    def finished(self) -> bool:
        """Whether all updates are done."""
        return bool(self.curve) and self.curve[-1]["update"] == self.updates

    def run(self) -> Iterator[dict[str, Any]]:
        """Train on, and yield the scores as they come; only the last ones have the dearest."""
        done = self.curve[-1]["update"] if self.curve else 0
        for end in self.ends:
            if end <= done:
                continue
            started = time.perf_counter()
            for update in range(done, end):
                loss = self._update(update)
            record = {"update": end, "rows": end * self.step.rows, "loss": loss.item()}
            self.seconds += time.perf_counter() - started
            record |= self.scoring.always(self.module, self.task) | {"seconds": round(self.seconds, 2)}
            self.curve.append(record | (self._last_scores() if end == self.updates else {}))
            done = end
            yield self.curve[-1]

    def state_dict(self) -> dict[str, Any]:
        """Return everything that decides what follows, for ``torch.save``."""
        return {name: part.state_dict() for name, part in self._parts().items()} | {
            "curve": self.curve,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved place."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.curve, self.seconds = list(state["curve"]), state["seconds"]

    def _parts(self) -> dict[str, Any]:
        return {
            "module": self.module,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
            "step": self.step,
        }

    def _make_schedule(self) -> LRScheduler:
        milestones = self.step.recipe.get("milestones")
        if milestones is None:
            return CosineAnnealingLR(self.optimizer, self.updates)
        return MultiStepLR(self.optimizer, [round(part * self.updates) for part in milestones])

    def _update(self, done: int) -> torch.Tensor:
        self.module.train()
        self.optimizer.zero_grad()
        device = self.task.train.images.device
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.half):
            loss = self.step.backward(self.loss_at(done / self.updates))
        self.optimizer.step()
        self.schedule.step()
        return loss

    def _last_scores(self) -> dict[str, Any]:
        last = self.scoring.at_the_end(self.module, self.task)
        loss_fn = loss_of(self.step.recipe, self.task)
        for name, way in (self.usual_ways | self.ways).items():
            try:
                there = adapted(self.module, self.task, way, self.seed, self.support, loss_fn)
                last[name] = self.scoring.always(there, self.task)
                if name in self.usual_ways:
                    last[name] |= self.scoring.at_the_end(there, self.task)
            except FloatingPointError as error:  # a way that leads nowhere; the others are not lost by it
                last[name] = {"failure": str(error)}
        return last
