"""Margins on cosines: a row's own class has to be ahead of the others by that much."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metabalance.nn.checks import checked_number, checked_width
from metabalance.nn.losses import CrossEntropy, RowLoss

SCALE = 30.0  # of cosines
SMALLEST_SQUARE = 1e-12  # of a length
HALVES = (torch.float16, torch.bfloat16)


class MarginLoss(RowLoss):
    r"""A loss of logits in which a row's own class is set back by a margin.

    For logits :math:`s \cdot f(x)`, cosines times a scale (see `CosineLinear`), the given loss of
    :math:`s \cdot (f(x) - \Delta_y e_y)`.

    Parameters
    ----------
    margins : float, or Tensor of shape () or (K,)
        In cosines, one for all classes or one for each; at least 0.
    scale : float
        Factor on the cosines that the logits have, above 0.
    loss : RowLoss
        What is taken of the logits.

    Raises
    ------
    ValueError
        If a number is out of its range.
    TypeError
        If the loss is none of rows.
    """

    margins: Tensor

    def __init__(self, margins: Tensor | float, scale: float, loss: RowLoss) -> None:
        super().__init__()
        margins = torch.as_tensor(margins, dtype=None if isinstance(margins, Tensor) else torch.float32)
        if margins.ndim > 1 or not bool(((margins >= 0) & margins.isfinite()).all()):
            raise ValueError(
                "margins must be one number, or one for each class, at least 0 and finite, got "
                f"{margins.tolist()}"
            )
        if not isinstance(loss, RowLoss):
            raise TypeError(f"loss must be a metabalance.nn.RowLoss, such as FocalLoss(), got {loss!r}")
        self.scale = checked_number("scale", scale, positive=True)
        self.loss = loss
        self.register_buffer("margins", margins)

    def rows(self, logits: Tensor, target: Tensor) -> Tensor:
        """As `RowLoss.rows`."""
        own = F.one_hot(target, logits.shape[-1]).to(logits.dtype)
        return self.loss.rows(logits - self.scale * self.margins * own, target)


class CosFaceLoss(MarginLoss):
    r"""The large-margin cosine loss [1]_: the same margin for every class.

    For logits :math:`s \cdot f(x)`, cosines times a scale (see `CosineLinear`), the loss of
    :math:`s \cdot (f(x) - m e_y)`, by default the mean over the rows of
    :math:`-\log \mathrm{softmax}(s \cdot (f(x) - m e_y))_y`.

    Parameters
    ----------
    margin : float, default=0.35
        In cosines, at least 0.
    scale : float, default=30.0
        Factor on the cosines that the logits have, above 0; the paper takes 64.
    loss : RowLoss, optional
        What is taken of the logits: cross-entropy, or for example `FocalLoss`.

    Raises
    ------
    ValueError
        If a number is out of its range.
    TypeError
        If the loss is none of rows.

    References
    ----------
    .. [1] Wang, Wang, Zhou, Ji, Gong, Zhou, Li, Liu. CosFace: Large Margin Cosine Loss for Deep Face
       Recognition. CVPR 2018, eq. 4.

    Examples
    --------
    >>> import torch
    >>> from metabalance.nn import CosFaceLoss, FocalLoss
    >>> loss = CosFaceLoss(margin=0.5, scale=30, loss=FocalLoss(gamma=2))
    >>> round(loss(torch.zeros(1, 2), torch.tensor([1])).item(), 4)  # log(1 + e^{30 · 0.5})
    15.0
    """

    def __init__(self, margin: float = 0.35, scale: float = SCALE, loss: RowLoss | None = None) -> None:
        super().__init__(checked_number("margin", margin), scale, CrossEntropy() if loss is None else loss)


class LDAMLoss(MarginLoss):
    r"""Cross-entropy with a margin for each class, larger where there are fewer rows [1]_.

    For logits :math:`s \cdot f(x)`, cosines times a scale (see `CosineLinear`), the mean over the rows of
    :math:`-w_y \log \mathrm{softmax}(s \cdot (f(x) - \Delta_y e_y))_y`, with
    :math:`\Delta_k = \Delta_{max} \, (\min_j n_j / n_k)^{1/4}` from the class counts :math:`n`.

    Its "deferred re-weighting" is to train without ``weight`` first, and with `effective_number_weights` in
    the last part of training: see `metabalance.training.DeferredReweighting`.

    Parameters
    ----------
    counts : Tensor of shape (K,)
        Training rows of each class, above 0.
    max_margin : float, default=0.5
        Margin of the rarest class in cosines, at least 0.
    scale : float, default=30.0
        Factor on the cosines that the logits have, above 0.
    weight : Tensor of shape (K,), optional
        Weight of each class; all 1 when absent.

    Raises
    ------
    ValueError
        If a number is out of its range.

    References
    ----------
    .. [1] Cao, Wei, Gaidon, Arechiga, Ma. Learning Imbalanced Datasets with Label-Distribution-Aware Margin
       Loss. NeurIPS 2019, eq. 12 and 13.

    Examples
    --------
    >>> import torch
    >>> from metabalance.nn import LDAMLoss
    >>> loss = LDAMLoss(torch.tensor([1600.0, 100.0]))
    >>> loss.margins
    tensor([0.2500, 0.5000])
    >>> round(loss(torch.zeros(1, 2), torch.tensor([1])).item(), 4)  # log(1 + e^{30 · 0.5})
    15.0
    """

    def __init__(
        self,
        counts: Tensor,
        max_margin: float = 0.5,
        scale: float = SCALE,
        weight: Tensor | None = None,
    ) -> None:
        if counts.ndim != 1 or not bool((counts > 0).all()):
            raise ValueError(f"counts must be above 0 for every class, got {counts.tolist()}")
        if not 0 <= max_margin < float("inf"):
            raise ValueError(f"max_margin must be at least 0 and finite, got {max_margin!r}")
        super().__init__(max_margin * (counts.min() / counts) ** 0.25, scale, CrossEntropy(weight))


class CosineLinear(nn.Module):
    """Logits that are scaled cosines between features and one direction for each class.

    Parameters
    ----------
    n_inputs, n_outputs : int
        Features, and classes.
    scale : float, default=30.0
        Factor on the cosines, above 0: their softmax is flat without one.

    Raises
    ------
    ValueError
        If scale is out of its range.

    Examples
    --------
    >>> import torch
    >>> from metabalance.nn import CosineLinear
    >>> head = CosineLinear(8, 3)
    >>> bool((head(torch.randn(5, 8)).abs() <= 30 + 1e-4).all())
    True
    """

    def __init__(self, n_inputs: int, n_outputs: int, scale: float = SCALE) -> None:
        super().__init__()
        self.scale = checked_number("scale", scale, positive=True)
        shape = checked_width("n_outputs", n_outputs), checked_width("n_inputs", n_inputs)
        self.weight = nn.Parameter(F.normalize(torch.randn(shape), dim=1))

    def forward(self, features: Tensor) -> Tensor:
        """Return scaled cosines (batch, n_outputs) of features (batch, n_inputs)."""
        return self.scale * cosines(features, self.weight.T)


def cosines(features: Tensor, directions: Tensor) -> Tensor:
    """Cosines (…, batch, n) between features (…, batch, width) and directions (…, width, n).

    In float32 at least, whatever autocast says: bfloat16 is off by half a per cent, and a scale is to come.
    """
    with torch.autocast(features.device.type, enabled=False):
        x, w = (each.float() if each.dtype in HALVES else each for each in (features, directions))
        return _unit(x, dim=-1) @ _unit(w, dim=-2)


def _unit(vectors: Tensor, dim: int) -> Tensor:
    """Vectors of length 1, and 0 where they are 0: with finite derivatives there, unlike `F.normalize`'s."""
    lengths = (vectors.square().sum(dim, keepdim=True) + SMALLEST_SQUARE).sqrt()
    return vectors / lengths
