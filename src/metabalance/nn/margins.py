"""Label-distribution-aware margins: rare classes are to be recognised with more to spare."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metabalance.nn.losses import RowLoss

SCALE = 30.0  # of cosines, as the paper has it


class LDAMLoss(RowLoss):
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

    weight: Tensor | None
    margins: Tensor

    def __init__(
        self,
        counts: Tensor,
        max_margin: float = 0.5,
        scale: float = SCALE,
        weight: Tensor | None = None,
    ) -> None:
        super().__init__()
        if counts.ndim != 1 or not bool((counts > 0).all()):
            raise ValueError(f"counts must be above 0 for every class, got {counts.tolist()}")
        if not 0 <= max_margin < float("inf"):
            raise ValueError(f"max_margin must be at least 0 and finite, got {max_margin!r}")
        if not 0 < scale < float("inf"):
            raise ValueError(f"scale must be above 0 and finite, got {scale!r}")
        self.scale = scale
        self.register_buffer("margins", max_margin * (counts.min() / counts) ** 0.25)
        self.register_buffer("weight", weight)

    def rows(self, logits: Tensor, target: Tensor) -> Tensor:
        """As `RowLoss.rows`."""
        own = F.one_hot(target, logits.shape[-1]).to(logits.dtype)
        with_margin = logits - self.scale * self.margins * own
        losses = F.cross_entropy(with_margin.movedim(-1, 1), target, reduction="none")
        return losses if self.weight is None else self.weight[target] * losses


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
        if not 0 < scale < float("inf"):
            raise ValueError(f"scale must be above 0 and finite, got {scale!r}")
        self.scale = scale
        self.weight = nn.Parameter(F.normalize(torch.randn(n_outputs, n_inputs), dim=1))

    def forward(self, features: Tensor) -> Tensor:
        """Return scaled cosines (batch, n_outputs) of features (batch, n_inputs)."""
        return self.scale * F.linear(F.normalize(features, dim=1), F.normalize(self.weight, dim=1))
