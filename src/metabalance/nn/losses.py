"""Classification losses on logits, for two classes or many, with optional class weights.

Every loss here takes class logits of shape (batch, K) and integer targets of shape (batch,), and returns the
mean over the rows: over rows, not over weights, so that losses of chunks add up to the loss of the whole.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metabalance.nn.checks import checked_number, checked_weight

LossFunction = Callable[[Tensor, Tensor], Tensor]


def class_logits(output: Tensor) -> Tensor:
    """Logits with one column per class, from a network's output.

    A network for two classes may end in a single logit z; it then stands for the logits (0, z), whose softmax
    is the sigmoid of z and whose cross-entropy is the binary cross-entropy.

    Parameters
    ----------
    output : Tensor of shape (batch,), (batch, 1) or (batch, K)

    Returns
    -------
    Tensor of shape (batch, 2) or (batch, K)

    Examples
    --------
    >>> import torch
    >>> from metabalance.nn import class_logits
    >>> class_logits(torch.tensor([[1.5], [-2.0]]))
    tensor([[ 0.0000,  1.5000],
            [ 0.0000, -2.0000]])
    """
    if output.ndim == 1:
        output = output.unsqueeze(-1)
    if output.shape[-1] == 1:
        return torch.cat([torch.zeros_like(output), output], dim=-1)
    return output


class RowLoss(nn.Module, ABC):
    """A loss that is the mean of a loss of each row."""

    @abstractmethod
    def rows(self, logits: Tensor, target: Tensor) -> Tensor:
        r"""Return the loss of each row, in the shape of ``target``, for logits (\*target.shape, K)."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss of logits (batch, K) and int64 targets (batch,)."""
        return self.rows(logits, target).mean()


def _cross_entropies(logits: Tensor, target: Tensor, smoothing: float) -> Tensor:
    return F.cross_entropy(logits.movedim(-1, 1), target, reduction="none", label_smoothing=smoothing)


def _check_smoothing(value: float) -> None:
    if not 0 <= value < 1:
        raise ValueError(f"label_smoothing must be at least 0 and below 1, got {value!r}")


class CrossEntropy(RowLoss):
    """Mean cross-entropy, each row weighted by its class.

    Parameters
    ----------
    weight : Tensor of shape (K,), optional
        Weight of each class; all 1 when absent.
    label_smoothing : float in [0, 1), default=0
        Share of a row's target that is spread evenly over all classes. The weight stays that of the row's own
        class. In :class:`torch.nn.CrossEntropyLoss` each part has the weight of the class it goes to, which
        draws rows of a frequent class to a rare one with a large weight.

    Raises
    ------
    ValueError
        If label_smoothing is out of its range.

    Examples
    --------
    >>> import torch
    >>> from metabalance.nn import CrossEntropy
    >>> loss = CrossEntropy(weight=torch.tensor([1.0, 10.0]))
    >>> round(loss(torch.zeros(2, 2), torch.tensor([0, 1])).item(), 4)  # (1 + 10) / 2 · log 2
    3.8123
    """

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, label_smoothing: float = 0.0) -> None:
        super().__init__()
        _check_smoothing(label_smoothing)
        self.label_smoothing = label_smoothing
        self.register_buffer("weight", weight)

    def rows(self, logits: Tensor, target: Tensor) -> Tensor:
        """As `RowLoss.rows`."""
        losses = _cross_entropies(logits, target, self.label_smoothing)
        return losses if self.weight is None else self.weight[target] * losses


class LogitAdjustedCrossEntropy(RowLoss):
    r"""Cross-entropy on logits to which the classes' log-frequencies are added, in training only.

    For logits :math:`f(x)` and training frequencies :math:`\pi`, the mean over the rows of
    :math:`-w_y \log \mathrm{softmax}(f(x) + \tau \log \pi)_y` [1]_. A network trained so has the imbalance in
    :math:`\tau \log \pi` and not in :math:`f`: with :math:`\tau = 1` the softmax of its own logits
    :math:`f(x)` is that of a balanced prior.

    Parameters
    ----------
    prior : Tensor of shape (K,)
        Frequency of each class in the training rows, above 0; counts will do, only ratios matter.
    tau : float, default=1.0
        Strength of the adjustment, at least 0; 0 is cross-entropy.
    weight : Tensor of shape (K,), optional
        Weight of each class; all 1 when absent.
    label_smoothing : float in [0, 1), default=0
        Share of a row's target that is spread evenly over all classes.

    Raises
    ------
    ValueError
        If tau is negative, label_smoothing out of its range, or a frequency is not above 0, or infinite, or
        too small beside the others.
    TypeError
        If prior is not a tensor.

    References
    ----------
    .. [1] Menon, Jayasumana, Rawat, Jain, Veit, Kumar. Long-tail learning via logit adjustment. ICLR 2021,
       eq. 10.

    Examples
    --------
    >>> import torch
    >>> from metabalance.nn import LogitAdjustedCrossEntropy
    >>> loss = LogitAdjustedCrossEntropy(prior=torch.tensor([90.0, 10.0]))
    >>> round(loss(torch.zeros(1, 2), torch.tensor([1])).item(), 4)  # log 10
    2.3026
    """

    weight: Tensor | None
    adjustment: Tensor

    def __init__(
        self,
        prior: Tensor,
        tau: float = 1.0,
        weight: Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        _check_smoothing(label_smoothing)
        self.label_smoothing = label_smoothing
        if not 0 <= tau < float("inf"):
            raise ValueError(f"tau must be at least 0 and finite, got {tau!r}")
        if not isinstance(prior, Tensor):
            raise TypeError(f"prior must be a tensor, got {prior!r}: pass torch.as_tensor(prior)")
        if prior.ndim != 1 or not bool((prior > 0).all()):
            raise ValueError(f"prior must be above 0 for every class, got {prior.tolist()}")
        adjustment = tau * (prior / prior.sum()).log()
        if not bool(adjustment.isfinite().all()):
            raise ValueError(
                f"prior and tau must give finite log-frequencies, got prior {prior.tolist()} and tau {tau!r}"
            )
        self.register_buffer("adjustment", adjustment)
        self.register_buffer("weight", weight)

    def rows(self, logits: Tensor, target: Tensor) -> Tensor:
        """As `RowLoss.rows`."""
        losses = _cross_entropies(logits + self.adjustment, target, self.label_smoothing)
        return losses if self.weight is None else self.weight[target] * losses


class FocalLoss(RowLoss):
    r"""Focal loss: cross-entropy with well-classified rows turned down.

    For the probability p of a row's true class, the mean over the rows of
    :math:`-w_y (1 - p)^\gamma \log p` [1]_.

    Parameters
    ----------
    gamma : float, default=2.0
        Focusing exponent, at least 0; 0 is cross-entropy.
    weight : Tensor of shape (K,), optional
        Weight of each class (the paper's α); all 1 when absent.

    Raises
    ------
    ValueError, TypeError
        If gamma or a weight is no number of at least 0.

    References
    ----------
    .. [1] Lin, Goyal, Girshick, He, Dollár. Focal Loss for Dense Object Detection. ICCV 2017, eq. 4-5.

    Examples
    --------
    >>> import torch
    >>> from metabalance.nn import FocalLoss
    >>> round(FocalLoss(gamma=2.0)(torch.zeros(1, 2), torch.tensor([1])).item(), 4)  # 0.5² · log 2
    0.1733
    """

    weight: Tensor | None

    def __init__(self, gamma: float = 2.0, weight: Tensor | None = None) -> None:
        super().__init__()
        self.gamma = checked_number("gamma", gamma)
        self.register_buffer("weight", checked_weight(weight))

    def rows(self, logits: Tensor, target: Tensor) -> Tensor:
        """As `RowLoss.rows`."""
        log_p = F.log_softmax(logits, dim=-1).gather(-1, target.unsqueeze(-1)).squeeze(-1)
        # 1 - p by expm1: exact to rounding where p is close to 1, and its power then has finite derivatives.
        miss = (-torch.expm1(log_p)).clamp_min(torch.finfo(log_p.dtype).tiny)
        losses = -(miss**self.gamma) * log_p
        return losses if self.weight is None else self.weight[target] * losses
