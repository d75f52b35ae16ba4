"""Images for training and testing, as networks take them: augmented if for training, and standardised."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from metabalance.datasets import ImageSet, one_majority
from metabalance.nn import CropAndFlip

MINORITY_COUNT = {"severe": 5, "moderate": (5, 50)}
"""Images of each class but the majority; of a range a number of each class's own."""
LARGEST_VALUE = 255.0
AUGMENT = CropAndFlip(padding=4)
"""What is usual for CIFAR-10."""


@dataclass(frozen=True)
class Task:
    """What is trained on and what is tested on; classes are numbered as in the data.

    ``mean`` and ``deviation`` are those of the training pixels' channels, shape (3, 1, 1). ``balance_by`` are
    the groups that streams balance, where these are not the classes.
    """

    train: ImageSet
    test: ImageSet
    majority: int
    mean: Tensor
    deviation: Tensor
    augment: CropAndFlip
    balance_by: NDArray[np.int64] | None = None

    @property
    def counts(self) -> NDArray[np.int64]:
        """Training images of each class."""
        return np.bincount(self.train.y, minlength=len(self.train.classes))

    def prepare(self, images: Tensor, generator: Generator | None = None) -> Tensor:
        """Standardise images (…, 3, height, width), channels last; augmented first if given a generator."""
        if generator is not None:
            images = self.augment(images, generator)
        scaled = (images.float() / LARGEST_VALUE - self.mean) / self.deviation
        return (
            scaled.flatten(0, -4)
            .contiguous(memory_format=torch.channels_last)
            .unflatten(0, scaled.shape[:-3])
        )


def make_task(
    train: ImageSet,
    test: ImageSet,
    imbalance: str,
    seed: int,
    device: torch.device,
    augment: CropAndFlip = AUGMENT,
) -> Task:
    """Thin all classes but one, the majority: the seed counts through the classes."""
    majority = seed % len(train.classes)
    rows = one_majority(train.y, majority, MINORITY_COUNT[imbalance], random_state=seed)
    kept = train.take(rows)
    mean, deviation = channel_statistics(kept.images, device)
    return Task(kept.to(device), test.to(device), majority, mean, deviation, augment)


def channel_statistics(images: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel, of pixels from 0 to 1, shape (channels, 1, 1)."""
    values = torch.arange(LARGEST_VALUE + 1, dtype=torch.float64) / LARGEST_VALUE
    # By how often each value occurs: a copy of all pixels as numbers would be eight times their size.
    counts = torch.stack(
        [images[:, channel].flatten().bincount(minlength=256) for channel in range(images.shape[1])]
    )
    shares = counts.double() / counts.sum(1, keepdim=True)
    mean = shares @ values
    deviation = (shares @ values.square() - mean.square()).sqrt()
    return mean.float().to(device).reshape(-1, 1, 1), deviation.float().to(device).reshape(-1, 1, 1)
