"""Mixed images: every image of a batch blended with another one, or with a box of it pasted in."""

import math
from abc import ABC, abstractmethod
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from metabalance.nn.losses import LossFunction


class MixedBatch(NamedTuple):
    """Inputs made of two images each, and the labels of both.

    Attributes
    ----------
    x : Tensor of shape (batch, …)
    y, other : Tensor of int64, shape (batch,)
        Labels of the image itself and of the one mixed in.
    share : float
        How much of each input is of the image itself, between 0 and 1.
    """

    x: Tensor
    y: Tensor
    other: Tensor
    share: float

    @property
    def target(self) -> tuple[Tensor, Tensor, Tensor]:
        """The labels of both, and the share for each row, as `MixedLoss` takes them."""
        return self.y, self.other, self.x.new_full((len(self.y),), self.share)

    def loss(self, loss_fn: LossFunction, output: Tensor) -> Tensor:
        """Return share · loss(output, y) + (1 − share) · loss(output, other)."""
        return MixedLoss(loss_fn)(output, self.target)


class MixedLoss:
    """A loss of mixed batches: the mean of both labels' losses, weighted by their shares.

    Parameters
    ----------
    loss_fn : callable
        ``(output, labels) -> scalar tensor``.

    Examples
    --------
    >>> import torch
    >>> from metabalance.nn import MixedLoss, Mixup
    >>> x, y = torch.eye(4), torch.arange(4)
    >>> batch = Mixup()(x, y, torch.Generator().manual_seed(0))
    >>> loss_fn = MixedLoss(torch.nn.functional.cross_entropy)
    >>> torch.allclose(loss_fn(batch.x, batch.target), batch.loss(torch.nn.functional.cross_entropy, batch.x))
    True
    """

    def __init__(self, loss_fn: LossFunction) -> None:
        self.loss_fn = loss_fn

    def __call__(self, output: Tensor, target: Tensor | tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Return the loss of labels, or of a mixed batch's labels, others and shares (all alike)."""
        if isinstance(target, Tensor):
            return self.loss_fn(output, target)
        y, other, shares = target
        share = shares[0]  # one for the batch
        return share * self.loss_fn(output, y) + (1 - share) * self.loss_fn(output, other)


class Mixing(ABC):
    r"""A way to mix batches, with :math:`\mathrm{Beta}(\alpha, \alpha)` as the law of the share.

    Parameters
    ----------
    alpha : float, default=1.0
        Above 0; 1 draws the share uniformly, less of it keeps most of one image.

    Raises
    ------
    ValueError
        If ``alpha`` is not a number above 0.
    """

    def __init__(self, alpha: Any = 1.0) -> None:
        number = 0.0 if isinstance(alpha, bool) or not isinstance(alpha, Real) else float(alpha)
        if not 0 < number < math.inf:
            raise ValueError(f"alpha must be a number above 0, got {alpha!r}")
        self.alpha = number

    def __repr__(self) -> str:
        return f"{type(self).__name__}(alpha={self.alpha:g})"

    def __call__(self, x: Tensor, y: Tensor, generator: Generator) -> MixedBatch:
        """Mix each row with one of a random order of the same batch.

        Parameters
        ----------
        x : Tensor of shape (batch, …)
            Floats; not changed.
        y : Tensor of int64, shape (batch,)
        generator : torch.Generator
            On the CPU: the same state mixes alike on every device.
        """
        order = torch.randperm(len(x), generator=generator).to(x.device)
        mixed, share = self.mix(x, x[order], self._draw_share(generator), generator)
        return MixedBatch(mixed, y, y[order], share)

    @abstractmethod
    def mix(self, x: Tensor, other: Tensor, share: float, generator: Generator) -> tuple[Tensor, float]:
        """Return x with a part 1 − share of the other, and the share that x has in fact."""

    def _draw_share(self, generator: Generator) -> float:
        """Beta(α, α) by NumPy, seeded by torch's generator: torch's own Beta takes none."""
        seed = int(torch.randint(2**62, (1,), generator=generator))
        return float(np.random.default_rng(seed).beta(self.alpha, self.alpha))


class Mixup(Mixing):
    r"""Blend: :math:`\lambda x_i + (1 - \lambda) x_j`, one :math:`\lambda` for the batch [1]_.

    References
    ----------
    .. [1] Zhang, Cisse, Dauphin, Lopez-Paz. mixup: Beyond Empirical Risk Minimization. ICLR 2018.

    Examples
    --------
    >>> import torch
    >>> from metabalance.nn import Mixup
    >>> x, y = torch.eye(4), torch.arange(4)
    >>> batch = Mixup()(x, y, torch.Generator().manual_seed(0))
    >>> torch.equal(batch.x, batch.share * x + (1 - batch.share) * x[batch.other])
    True
    """

    def mix(self, x: Tensor, other: Tensor, share: float, generator: Generator) -> tuple[Tensor, float]:
        """Blend all values."""
        return share * x + (1 - share) * other, share


class CutMix(Mixing):
    r"""Paste a box of another image, of :math:`1 - \lambda` of the area, at the same place [1]_.

    The box has the image's proportions and a uniformly drawn centre, and is cut off at the edges; the share
    of the labels is that of the pixels in the end.

    References
    ----------
    .. [1] Yun, Han, Oh, Chun, Choe, Yoo. CutMix: Regularization Strategy to Train Strong Classifiers with
       Localizable Features. ICCV 2019.

    Examples
    --------
    >>> import torch
    >>> from metabalance.nn import CutMix
    >>> x = torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1).expand(2, 3, 32, 32)
    >>> batch = CutMix()(x, torch.tensor([0, 1]), torch.Generator().manual_seed(3))
    >>> batch.x.shape, 0 <= batch.share <= 1
    (torch.Size([2, 3, 32, 32]), True)
    """

    def mix(self, x: Tensor, other: Tensor, share: float, generator: Generator) -> tuple[Tensor, float]:
        """Paste one box, the same for the whole batch."""
        if x.ndim < 4:
            raise ValueError(
                f"CutMix takes images (batch, channels, height, width), got shape {tuple(x.shape)}"
            )
        height, width = x.shape[-2:]
        side = math.sqrt(1 - share)
        spans = []
        for length in (height, width):
            centre = int(torch.randint(length, (1,), generator=generator))
            half = int(length * side) // 2
            spans.append((max(centre - half, 0), min(centre + half, length)))
        (top, bottom), (left, right) = spans
        mixed = x.clone()
        mixed[..., top:bottom, left:right] = other[..., top:bottom, left:right]
        return mixed, 1 - (bottom - top) * (right - left) / (height * width)
