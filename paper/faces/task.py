"""Faces for training, women's thinned out, and people to identify who are not among them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from metabalance.datasets import FaceSet, ImageSet, split_identities, thin_group
from metabalance.nn import CropAndFlip
from paper.faces.scores import IDENTIFICATION
from paper.images.scores import Scoring
from paper.images.task import Task, channel_statistics

FEMALE = "female"
PADDING = 1 / 14  # of the height: 4 of 56 pixels


@dataclass(frozen=True)
class FaceTask(Task):
    """A `Task` whose test images are of other people; ``test_group`` has the group of each of them."""

    test_group: NDArray[Any] | None = None


@dataclass(frozen=True)
class Faces:
    """People with enough images, of whom the seed draws those to identify and which images women keep."""

    faces: FaceSet
    size: Mapping[str, Any]
    scoring: Scoring = IDENTIFICATION

    @property
    def title(self) -> str:
        """What the data are called."""
        return self.faces.title

    def make(self, imbalance: str, seed: int, device: torch.device) -> FaceTask:
        """Return the task of a run; "thinned" is the only imbalance."""
        faces = self.faces
        able = self.size["at_least"]
        train_rows, test_rows = split_identities(
            faces.identity, faces.group, n_test=self.size["n_test"], min_images=able, random_state=seed
        )
        train, test = faces.take(train_rows), faces.take(test_rows)
        women = faces.group_names.index(FEMALE)
        train = train.take(thin_group(train.identity, train.group, thinned=women, random_state=seed))
        people, codes = np.unique(train.identity, return_inverse=True)
        padding = round(PADDING * self.size["image_size"])
        mean, deviation = channel_statistics(train.images, device)
        return FaceTask(
            ImageSet(train.title, train.images, codes, tuple(map(str, people))).to(device),
            ImageSet(test.title, test.images, test.identity, ()).to(device),
            majority=1 - women,
            mean=mean,
            deviation=deviation,
            augment=CropAndFlip(padding=padding),
            balance_by=train.group,
            test_group=np.array(faces.group_names)[test.group],
        )

    def describe(self, task: Task) -> dict[str, Any]:
        """Return how many people and images of each group are trained and tested on."""
        if not isinstance(task, FaceTask) or task.balance_by is None or task.test_group is None:
            raise TypeError(f"a task of faces was expected, got {type(task).__name__}")
        names = np.array(self.faces.group_names)
        return {
            "title": self.title,
            "train": _counts(names[task.balance_by], task.train.y),
            "test": _counts(task.test_group, task.test.y),
        }


def _counts(group: NDArray[Any], identity: NDArray[np.int64]) -> dict[str, dict[str, int]]:
    return {
        str(name): {"people": len(np.unique(identity[group == name])), "images": int((group == name).sum())}
        for name in np.unique(group)
    }
