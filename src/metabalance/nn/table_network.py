"""The default network of tables: small perceptrons side by side, on codes of the numbers."""

from collections.abc import Mapping, Sequence

import torch
from rtdl_num_embeddings import PeriodicEmbeddings
from tabm import LinearEnsemble
from torch import Tensor, nn
from torch.nn import functional as F

from metabalance.nn.margins import cosines
from metabalance.nn.mlp import dropout_per_layer, layer_widths
from metabalance.nn.piecewise import PiecewiseLinear

PERIODIC_WIDTH = 8
FREQUENCIES = 16
FREQUENCY_SCALE = 0.1
CATEGORY_WIDTH = 16


class TableNetwork(nn.Module):
    """Members with weights of their own, trained and run side by side.

    Nothing that is learned is shared: a row that a member is not trained on leaves no trace in it.

    Parameters
    ----------
    n_inputs : int
        Width of an encoded row.
    n_outputs : int
        Logits of a member: 1 for two classes, K for K.
    numbers : sequence of int
        Which inputs are numbers that get an embedding; others are taken as they are.
    bins : sequence of Tensor, optional
        Edges for each of ``numbers``: these get a piecewise-linear code next to their value.
    periodic : bool, default=False
        Give ``numbers`` learned periodic embeddings in place of that.
    codes : mapping of int to int, optional
        Inputs that are codes 0 … C − 1 of categories, divided by C, and the C of each: these get a learned
        vector for each code in place of their value. Vectors start at 0, so that a code that does not occur
        in training says nothing.
    n_members : int, default=8
    hidden_sizes : sequence of int, default=(64, 64)
        Layers of a member.
    dropout : float or sequence of float, default=0.1
    cosine_scale : float, optional
        End each member in cosines times this scale, as `CosineLinear` does, for a `MarginLoss`.

    Raises
    ------
    ValueError
        If n_members or a width is below 1, or a probability outside [0, 1).

    References
    ----------
    Gorishniy et al. (2022), On Embeddings for Numerical Features in Tabular Deep Learning; Gorishniy et al.
    (2025), TabM, whose "packed" ensemble this is.

    Examples
    --------
    >>> import torch
    >>> from metabalance.nn import TableNetwork
    >>> net = TableNetwork(3, 1, numbers=[0, 1], bins=[torch.arange(5.0), torch.arange(3.0)], n_members=4)
    >>> net(torch.zeros(10, 3)).shape
    torch.Size([10, 4, 1])
    """

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        *,
        numbers: Sequence[int] = (),
        bins: Sequence[Tensor] | None = None,
        periodic: bool = False,
        codes: Mapping[int, int] | None = None,
        n_members: int = 8,
        hidden_sizes: Sequence[int] = (64, 64),
        dropout: float | Sequence[float] = 0.1,
        cosine_scale: float | None = None,
    ) -> None:
        super().__init__()
        if n_members < 1:
            raise ValueError(f"n_members must be at least 1, got {n_members!r}")
        self.n_members = n_members
        self.register_buffer("numbers", torch.as_tensor(list(numbers), dtype=torch.int64))
        self.codes = dict(codes or {})
        plain = [place for place in range(n_inputs) if place not in self.codes]
        self.register_buffer("plain", torch.as_tensor(plain, dtype=torch.int64))
        self.categories = nn.ModuleList(_Vectors(n_members, count) for count in self.codes.values())
        self.code: nn.Module | None = None
        width = len(plain) + CATEGORY_WIDTH * len(self.codes)
        if periodic and len(numbers):
            self.code = PeriodicEmbeddings(
                n_members * len(numbers),
                PERIODIC_WIDTH,
                n_frequencies=FREQUENCIES,
                frequency_init_scale=FREQUENCY_SCALE,
                lite=False,
            )
            width += PERIODIC_WIDTH * len(numbers)
        elif bins:
            self.code = PiecewiseLinear(bins)
            width += self.code.n_outputs
        sizes = layer_widths(width, hidden_sizes, n_outputs)
        layers: list[nn.Module] = []
        chances = dropout_per_layer(dropout, len(hidden_sizes))
        for wide_in, wide_out, chance in zip(sizes[:-2], sizes[1:-1], chances, strict=True):
            layers += [_MembersFirst(wide_in, wide_out, k=n_members), nn.ReLU(), nn.Dropout(chance)]
        layers.append(
            _MembersFirst(sizes[-2], sizes[-1], k=n_members)
            if cosine_scale is None
            else _MembersCosine(sizes[-2], sizes[-1], n_members, cosine_scale)
        )
        self.members = _Members(*layers)

    numbers: Tensor
    plain: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of shape (batch, n_members, n_outputs) for encoded rows.

        Rows of shape (batch, n_inputs) go to all members, of shape (batch, n_members, n_inputs) to one each.
        """
        numbers, common = x.index_select(-1, self.numbers), [x.index_select(-1, self.plain)]
        own = []  # what is learned, and so differs between members
        if isinstance(self.code, PiecewiseLinear):
            common.append(self.code(numbers))
        elif self.code is not None:
            # The periodic embedding takes a single batch dimension.
            coded = self.code(self._of_each_member(numbers).flatten(1))
            own.append(coded.unflatten(1, (self.n_members, -1)).flatten(2))
        for (place, count), vectors in zip(self.codes.items(), self.categories, strict=True):
            own.append(vectors(self._of_each_member((x[..., place] * count).round().long(), 1)))
        encoded = self._of_each_member(torch.cat(common, dim=-1))
        if own:
            encoded = torch.cat([encoded, *own], dim=-1)
        logits: Tensor = self.members(encoded)
        return logits

    def _of_each_member(self, x: Tensor, ndim: int = 2) -> Tensor:
        """Give all members the same, unless each has its own: ``ndim`` dimensions are those of the same."""
        return x if x.ndim > ndim else x.unsqueeze(1).expand(-1, self.n_members, *x.shape[1:])


class _Vectors(nn.Module):
    """A vector for each code of a category, of every member's own: codes (batch, members) to vectors."""

    def __init__(self, n_members: int, count: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_members, count, CATEGORY_WIDTH))

    def forward(self, codes: Tensor) -> Tensor:
        members, count, _ = self.weight.shape
        first = torch.arange(0, members * count, count, device=codes.device)
        return nn.functional.embedding(codes + first, self.weight.flatten(0, 1))


class _MembersFirst(LinearEnsemble):  # type: ignore[misc]  # tabm has no types
    """tabm's layer for shapes (members, batch, width), which make it a single batched product."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias.unsqueeze(1), x, self.weight)


class _MembersCosine(nn.Module):
    """A `CosineLinear` for each member, for shapes (members, batch, width)."""

    def __init__(self, n_inputs: int, n_outputs: int, n_members: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(F.normalize(torch.randn(n_members, n_inputs, n_outputs), dim=1))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * cosines(x, self.weight)


class _Members(nn.Sequential):
    """Layers of members side by side, input and output of shape (batch, members, width)."""

    def forward(self, input: Tensor) -> Tensor:
        output: Tensor = super().forward(input.transpose(0, 1))  # type: ignore[no-untyped-call]
        return output.transpose(0, 1)
