"""Encoders as parts of a network: what they do to a table or an array, in operations that can be exported."""

from typing import Any

import torch
from torch import Tensor, nn

from metabalance.encoding.arrays import ArrayEncoder
from metabalance.encoding.categories import CategoryColumn, CodedColumn
from metabalance.encoding.columns import CLIP_AT, BooleanColumn, NumericColumn
from metabalance.encoding.tables import TableEncoder

UNKNOWN = -1  # place of a category that has no output


class EncodeTable(nn.Module):
    """Do to numbers, and to the places of categories, what a `TableEncoder` does to the columns.

    It is given numbers, float64 of shape (n, columns of numbers and booleans), missing values as NaN, and
    places, int64 of shape (n, columns of categories), by `places_of`: each if there are such columns, and of
    those only that have an output.

    Parameters
    ----------
    encoder : TableEncoder
        Fitted, and with at least one output.
    """

    def __init__(self, encoder: TableEncoder) -> None:
        super().__init__()
        self.number_columns, self.category_columns = (
            [i for i, column in enumerate(encoder.columns_) if column.outputs and isinstance(column, kinds)]
            for kinds in ((NumericColumn, BooleanColumn), (CategoryColumn, CodedColumn))
        )
        numbers = [c for c in encoder.columns_ if c.outputs and isinstance(c, NumericColumn | BooleanColumn)]
        center = [c.center if isinstance(c, NumericColumn) else float(c.fill) for c in numbers]
        scale = [(c.scale or 1.0) if isinstance(c, NumericColumn) else 1.0 for c in numbers]
        source: list[int] = []  # column of places that an output looks at
        wanted: list[int] = []  # place that makes it 1
        share: list[int] = []  # codes of each column of places
        # Candidates for outputs, in this order: values, whether each is missing, one-hot outputs, shares.
        order: list[tuple[str, int]] = []
        n_seen = 0
        for column in encoder.columns_:
            if isinstance(column, CategoryColumn) and column.outputs:
                for place in range(len(column.outputs)):
                    order.append(("one-hot", len(source)))
                    source.append(len(share))
                    wanted.append(place)
                share.append(1)
            elif isinstance(column, CodedColumn) and column.outputs:
                order.append(("share", len(share)))
                share.append(column.n_codes)
            elif isinstance(column, NumericColumn | BooleanColumn) and column.outputs:
                gives_value = column.scale > 0 if isinstance(column, NumericColumn) else column.varies
                order += [("value", n_seen)] * gives_value + [("missing", n_seen)] * column.indicator
                n_seen += 1
        starts = {
            "value": 0,
            "missing": len(numbers),
            "one-hot": 2 * len(numbers),
            "share": 2 * len(numbers) + len(source),
        }
        for name, values, dtype in (
            ("center", center, torch.float64),
            ("scale", scale, torch.float64),
            ("is_number", [isinstance(c, NumericColumn) for c in numbers], torch.bool),
            ("source", source, torch.int64),
            ("wanted", wanted, torch.int64),
            ("share", share, torch.float64),
            ("order", [starts[kind] + index for kind, index in order], torch.int64),
        ):
            self.register_buffer(name, torch.tensor(values, dtype=dtype))

    center: Tensor
    scale: Tensor
    is_number: Tensor
    source: Tensor
    wanted: Tensor
    share: Tensor
    order: Tensor

    def forward(self, *given: Tensor) -> Tensor:
        """Return encoded rows, float32 of shape (n, n_outputs)."""
        parts = []
        if self.number_columns:
            numbers = given[0]
            missing = numbers.isnan()
            known = torch.where(missing, self.center, numbers)
            z = ((known - self.center) / self.scale).clamp(-1e6, 1e6)
            clipped = z / (1.0 + (z / CLIP_AT) ** 2).sqrt()
            parts += [torch.where(self.is_number, clipped, known), missing.double()]
        if self.category_columns:
            places = given[-1]
            parts += [(places.index_select(1, self.source) == self.wanted).double(), places / self.share]
        return torch.cat(parts, dim=1).index_select(1, self.order).float()


def places_of(column: CategoryColumn | CodedColumn) -> tuple[dict[str, int], int]:
    """Places of a column's categories, "" standing for a missing value, and that of all others."""
    if isinstance(column, CodedColumn):
        places, other, missing = {n: 1 + i for i, n in enumerate(column.categories)}, 0, column.n_codes - 1
    else:
        places = {name: index for index, name in enumerate(column.categories)}
        other = len(places) if column.other else UNKNOWN
        missing = len(column.outputs) - 1
    return ({"": missing} if column.missing else {}) | places, other


class EncodeArray(nn.Module):
    """Do to images or sequences, of shape (n, …), what an `ArrayEncoder` does.

    Parameters
    ----------
    encoder : ArrayEncoder
        Fitted.
    """

    def __init__(self, encoder: ArrayEncoder) -> None:
        super().__init__()
        state: dict[str, Any] = encoder.to_state()
        mean, deviation = (torch.tensor(state[name], dtype=torch.float64) for name in ("mean", "deviation"))
        self.register_buffer("mean", mean)
        self.register_buffer("scale", torch.where(deviation > 0, deviation, torch.inf))

    mean: Tensor
    scale: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Return encoded rows, float32 of the same shape."""
        return ((x.double() - self.mean) / self.scale).float()
