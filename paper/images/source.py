"""Where the tasks of runs come from, what is said of them, and how networks are scored on them."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch

from metabalance.datasets import ImageSet
from metabalance.nn import CropAndFlip
from paper.images.scores import CLASSES, Scoring
from paper.images.task import AUGMENT, Task, make_task


class Source(Protocol):
    """Makes the task of a run."""

    @property
    def title(self) -> str:
        """What the data are called."""

    @property
    def scoring(self) -> Scoring:
        """How networks are scored."""

    def make(self, imbalance: str, seed: int, device: torch.device) -> Task:
        """Return the task of a run, on the device."""

    def describe(self, task: Task) -> dict[str, Any]:
        """Return what its result says of the data."""


@dataclass(frozen=True)
class Images:
    """Images of which one class is the majority."""

    train: ImageSet
    test: ImageSet
    augment: CropAndFlip = AUGMENT
    scoring: Scoring = CLASSES

    @property
    def title(self) -> str:
        """What the data are called."""
        return self.test.title

    def make(self, imbalance: str, seed: int, device: torch.device) -> Task:
        """Return the task with the majority class that the seed names."""
        return make_task(self.train, self.test, imbalance, seed, device, self.augment)

    def describe(self, task: Task) -> dict[str, Any]:
        """Return classes and how many images of each are trained on."""
        return {
            "title": self.title,
            "classes": list(self.test.classes),
            "train": task.counts.tolist(),
            "majority": task.majority,
        }
