"""Residual networks for small images, such as the 32×32 ones of CIFAR."""

import math
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from metabalance.nn.margins import CosineLinear

MOST_GROUPS = 8
NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "group": lambda channels: nn.GroupNorm(math.gcd(MOST_GROUPS, channels), channels),
}


class ResNet(nn.Module):
    """Residual network for small images [1]_: a 3×3 stem and no pooling before the first block.

    A stem convolution is followed by stages of basic blocks, then by the mean over all positions and a linear
    layer. Each stage has twice the channels of the one before and, but for the first, half its height and
    width (rounded up). The defaults are ResNet-18 as it is commonly used on CIFAR.

    Parameters
    ----------
    n_outputs : int, default=10
        Width of the output: 1 logit for two classes, K logits for K classes.
    blocks : sequence of int, default=(2, 2, 2, 2)
        Basic blocks in each stage; ``(3, 4, 6, 3)`` is ResNet-34.
    width : int, default=64
        Channels of the first stage.
    in_channels : int, default=3
        Channels of the images: 3 for colour, 1 for grey.
    norm : {"batch", "group"}, default="batch"
        BatchNorm, or GroupNorm of 8 groups (fewer where 8 does not divide the channels), which looks at one
        image at a time: neither the class frequencies of a batch nor its size matter to it.
    cosine_scale : float, optional
        End in cosines times this scale, a `CosineLinear` layer, for a `MarginLoss`.

    Raises
    ------
    TypeError
        If ``blocks`` is not a sequence.
    ValueError
        If ``blocks`` is empty, a number is not a whole number of at least 1, or a name is unknown.

    Notes
    -----
    Convolutions start from He initialisation [2]_ (normal, by the fan of the output), BatchNorm from the
    identity. A shortcut that changes the shape is a 1×1 convolution with BatchNorm (option B of [1]_).

    References
    ----------
    .. [1] He, Zhang, Ren, Sun. Deep Residual Learning for Image Recognition. CVPR 2016.
    .. [2] He, Zhang, Ren, Sun. Delving Deep into Rectifiers. ICCV 2015.

    Examples
    --------
    >>> import torch
    >>> from metabalance.nn import ResNet
    >>> model = ResNet(n_outputs=10, width=8)
    >>> model(torch.zeros(4, 3, 32, 32)).shape
    torch.Size([4, 10])
    """

    def __init__(
        self,
        n_outputs: int = 10,
        *,
        blocks: Sequence[int] = (2, 2, 2, 2),
        width: int = 64,
        in_channels: int = 3,
        norm: str = "batch",
        cosine_scale: float | None = None,
    ) -> None:
        super().__init__()
        if norm not in NORMS:
            raise ValueError(f"norm must be one of {', '.join(map(repr, NORMS))}, got {norm!r}")
        if not isinstance(blocks, Sequence):
            raise TypeError(f"blocks must be a sequence such as (2, 2, 2, 2), got {blocks!r}")
        if not blocks:
            raise ValueError("blocks is empty: give the number of basic blocks of each stage")
        sizes: dict[str, Any] = {"n_outputs": n_outputs, "width": width, "in_channels": in_channels}
        for name, size in [*sizes.items(), *(("blocks", size) for size in blocks)]:
            if isinstance(size, bool) or not isinstance(size, Integral) or size < 1:
                raise ValueError(f"{name} must be whole numbers of at least 1, got {size!r}")
        self.stem = _convolution(in_channels, width, kernel_size=3)
        normed = NORMS[norm]
        self.norm = normed(width)
        stages = []
        channels = width
        for stage, depth in enumerate(blocks):
            wider = width * 2**stage
            first = BasicBlock(channels, wider, normed, stride=1 if stage == 0 else 2)
            others = (BasicBlock(wider, wider, normed) for _ in range(depth - 1))
            stages.append(nn.Sequential(first, *others))
            channels = wider
        self.stages = nn.Sequential(*stages)
        self.head = (
            nn.Linear(channels, n_outputs)
            if cosine_scale is None
            else CosineLinear(channels, n_outputs, cosine_scale)
        )

    def embed(self, images: Tensor) -> Tensor:
        """Return what the last layer sees of images: (batch, width of the last stage)."""
        features: Tensor = self.stages(F.relu(self.norm(self.stem(images))))
        return features.mean((2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, n_outputs) of images (batch, in_channels, height, width)."""
        logits: Tensor = self.head(self.embed(images))
        return logits


class BasicBlock(nn.Module):
    """Two normalised 3×3 convolutions, added to their input; the first one may halve the image."""

    def __init__(
        self, in_channels: int, channels: int, normed: Callable[[int], nn.Module], stride: int = 1
    ) -> None:
        super().__init__()
        self.conv1 = _convolution(in_channels, channels, kernel_size=3, stride=stride)
        self.norm1 = normed(channels)
        self.conv2 = _convolution(channels, channels, kernel_size=3)
        self.norm2 = normed(channels)
        self.stride = stride
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != channels:
            self.shortcut.append(_convolution(in_channels, channels, kernel_size=1))
            self.shortcut.append(normed(channels))

    def forward(self, images: Tensor) -> Tensor:
        """Return (batch, channels, …) of (batch, in_channels, …)."""
        residual = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(images)))))
        # As a strided 1×1 convolution, which crashes torch 2.13 for large channels-last images, does it.
        return F.relu(residual + self.shortcut(images[..., :: self.stride, :: self.stride]))


def _convolution(in_channels: int, channels: int, *, kernel_size: int, stride: int = 1) -> nn.Conv2d:
    layer = nn.Conv2d(in_channels, channels, kernel_size, stride=stride, padding=kernel_size // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer
