"""Images in memory, with their labels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images in memory, with their labels.

    Attributes
    ----------
    title : str
        What they are, for reports.
    images : Tensor of uint8, shape (n, channels, height, width)
    y : ndarray of int64, shape (n,)
        The class of each image, an index into ``classes``.
    classes : tuple of str
        Names of the classes.
    """

    title: str
    images: Tensor
    y: NDArray[np.int64]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        """Number of images."""
        return len(self.y)

    def take(self, rows: NDArray[Any]) -> "ImageSet":
        """Return the images with these numbers, in this order."""
        chosen = torch.from_numpy(np.asarray(rows, dtype=np.int64)).to(self.images.device)
        return ImageSet(self.title, self.images[chosen], self.y[rows], self.classes)

    def to(self, device: str | torch.device) -> "ImageSet":
        """Return the same with the images on a device."""
        return ImageSet(self.title, self.images.to(device), self.y, self.classes)
