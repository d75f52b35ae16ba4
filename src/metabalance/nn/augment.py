"""Augmentation of image batches on their device: a random crop of the padded image, and a mirror image."""

import math
from numbers import Integral
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import functional as F


class CropAndFlip:
    """Shift every image by up to ``padding`` pixels in both directions, and mirror every other one.

    The crop is one of the image's own size from the image with ``padding`` pixels of zeros around it, each
    place as likely as any other; the mirror image swaps left and right with probability 1/2. This is the
    usual augmentation of CIFAR-10, made for whole batches where they lie, in their dtype.

    Parameters
    ----------
    padding : int, default=4
        Pixels, at least 0.
    flip : bool, default=True
        Whether to mirror.

    Raises
    ------
    ValueError
        If ``padding`` is not a whole number of at least 0.

    Examples
    --------
    >>> import torch
    >>> from metabalance.nn import CropAndFlip
    >>> augment = CropAndFlip(padding=4)
    >>> images = torch.zeros(80, 20, 3, 32, 32, dtype=torch.uint8)
    >>> augment(images, torch.Generator().manual_seed(0)).shape
    torch.Size([80, 20, 3, 32, 32])
    """

    def __init__(self, padding: Any = 4, flip: bool = True) -> None:
        if isinstance(padding, bool) or not isinstance(padding, Integral) or padding < 0:
            raise ValueError(f"padding must be a whole number of at least 0, got {padding!r}")
        self.padding: int = int(padding)
        self.flip: bool = bool(flip)

    def __repr__(self) -> str:
        return f"CropAndFlip(padding={self.padding}, flip={self.flip})"

    def __call__(self, images: Tensor, generator: Generator) -> Tensor:
        """Return augmented copies.

        Parameters
        ----------
        images : Tensor of shape (…, channels, height, width)
            Of any dtype, with at least one dimension in front.
        generator : torch.Generator
            On the CPU: the same state gives the same crops on every device.

        Raises
        ------
        ValueError
            If images have fewer than four dimensions.
        """
        if images.ndim < 4:
            raise ValueError(
                f"images must have shape (…, channels, height, width), got {tuple(images.shape)}"
            )
        height, width = images.shape[-2:]
        flat = images.flatten(0, -4)
        count = math.prod(images.shape[:-3])
        shifts = torch.randint(2 * self.padding + 1, (2, count, 1), generator=generator)
        mirrored = torch.rand(count, 1, generator=generator) < (0.5 if self.flip else 0.0)
        rows = torch.arange(height) + shifts[0]
        columns = torch.where(mirrored, torch.arange(width - 1, -1, -1), torch.arange(width)) + shifts[1]
        places = rows.unsqueeze(2) * (width + 2 * self.padding) + columns.unsqueeze(1)
        padded = F.pad(flat, (self.padding,) * 4).flatten(2)
        wanted = places.flatten(1).to(images.device).unsqueeze(1).expand(-1, flat.shape[1], -1)
        return padded.gather(2, wanted).reshape(images.shape)
