"""Images of faces, with whom they show and the group each person belongs to."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metabalance.datasets.image_set import row_numbers


@dataclass(frozen=True, eq=False)
class FaceSet:
    """Images of faces, with whom they show and the group each person belongs to.

    Attributes
    ----------
    title : str
        What they are, for reports.
    images : Tensor of uint8, shape (n, 3, height, width)
        In memory or mapped from a read-only file: not to be written to.
    identity : ndarray of int64, shape (n,)
        Whom each image shows; any numbers, as the annotation has them.
    group : ndarray of int64, shape (n,)
        The group of each image's identity, an index into ``group_names``; the same for all its images.
    group_names : tuple of str
        Names of the groups.
    names : tuple of str
        File name of each image.
    """

    title: str
    images: Tensor
    identity: NDArray[np.int64]
    group: NDArray[np.int64]
    group_names: tuple[str, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        """Number of images."""
        return len(self.identity)

    @property
    def group_labels(self) -> NDArray[np.str_]:
        """The name of each image's group, shape (n,)."""
        return np.array(self.group_names)[self.group]

    def take(self, rows: NDArray[Any]) -> "FaceSet":
        """Return the images with these numbers, in this order, or where a mask is true; a copy in memory."""
        chosen = row_numbers(rows, len(self.images))
        return FaceSet(
            self.title,
            self.images[torch.from_numpy(chosen).to(self.images.device)],
            self.identity[chosen],
            self.group[chosen],
            self.group_names,
            tuple(self.names[row] for row in chosen),
        )
