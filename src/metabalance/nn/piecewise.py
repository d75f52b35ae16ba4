"""Piecewise-linear encoding of numbers, so that a network meets thresholds as trees do."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class PiecewiseLinear(nn.Module):
    r"""Encode every number by how far it has got through each of its feature's bins [1]_.

    For edges :math:`e_0 < e_1 < \dots < e_m`, a number x becomes m numbers, the t-th of which is
    :math:`(x - e_{t-1}) / (e_t - e_{t-1})`, cut off at 0 and 1.

    In ``rtdl_num_embeddings.PiecewiseLinearEncoding`` the first is not cut off below, nor the last above.
    Outer bins are often tiny (of a column that is mostly 0, say), and a number a little further out than any
    in training would become a code of thousands there. It also picks its outputs by a boolean mask, whose
    result has no shape before it is computed: ``torch.compile`` breaks there.

    Parameters
    ----------
    bins : sequence of Tensor
        For every feature its edges, increasing, at least two.

    Attributes
    ----------
    n_outputs : int
        Bins of all features.

    References
    ----------
    .. [1] Gorishniy, Rubachev, Babenko. On Embeddings for Numerical Features in Tabular Deep Learning.
       NeurIPS 2022, section 3.1.

    Examples
    --------
    >>> import torch
    >>> from metabalance.nn import PiecewiseLinear
    >>> encode = PiecewiseLinear([torch.tensor([0.0, 1.0, 3.0])])
    >>> encode(torch.tensor([[-1.0], [0.5], [2.0], [4.0]]))
    tensor([[0.0000, 0.0000],
            [0.5000, 0.0000],
            [1.0000, 0.5000],
            [1.0000, 1.0000]])
    """

    source: Tensor
    slope: Tensor
    offset: Tensor

    def __init__(self, bins: Sequence[Tensor]) -> None:
        super().__init__()
        source, slope, offset = [], [], []
        for feature, edges in enumerate(bins):
            if edges.ndim != 1 or len(edges) < 2 or not bool((edges.diff() > 0).all()):
                raise ValueError(
                    f"bins[{feature}] must be at least two increasing edges, got {edges.tolist()}"
                )
            width, m = edges.diff(), len(edges) - 1
            source.append(torch.full((m,), feature))
            slope.append(1 / width)
            offset.append(-edges[:-1] / width)
        for name, values in (("source", source), ("slope", slope), ("offset", offset)):
            self.register_buffer(name, torch.cat(values))

    @property
    def n_outputs(self) -> int:
        """Bins of all features."""
        return len(self.source)

    def forward(self, x: Tensor) -> Tensor:
        """Encode x of shape (batch, features) as (batch, n_outputs)."""
        through = torch.addcmul(self.offset, self.slope, x.index_select(-1, self.source))
        return through.clamp(0.0, 1.0)
