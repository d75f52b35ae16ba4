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
        """Return the images with these numbers, in this order, or where a mask is true."""
        chosen = row_numbers(rows, len(self.images))
        images = self.images[torch.from_numpy(chosen).to(self.images.device)]
        return ImageSet(self.title, images, self.y[chosen], self.classes)

    def to(self, device: str | torch.device) -> "ImageSet":
        """Return the same with the images on a device."""
        return ImageSet(self.title, self.images.to(device), self.y, self.classes)


def row_numbers(rows: Any, count: int) -> NDArray[np.int64]:
    """Return the rows that numbers, or a mask, mean of so many.

    Raises
    ------
    TypeError
        If they are neither whole numbers nor a mask.
    ValueError
        If a mask has another length, or a number is out of range.
    """
    given = np.asarray(rows)
    if given.dtype.kind == "b":
        if given.shape != (count,):
            raise ValueError(f"a mask of {count} images must have the shape ({count},), got {given.shape}")
        return np.flatnonzero(given)
    if given.size and given.dtype.kind not in "iu":
        raise TypeError(f"rows must be whole numbers or a mask, got {given.dtype}")
    outside = (given < -count) | (given >= count)
    if outside.any():
        raise ValueError(f"there is no row {given[outside][0]}: the set has {count} images")
    numbers: NDArray[np.int64] = given.astype(np.int64)
    return numbers
