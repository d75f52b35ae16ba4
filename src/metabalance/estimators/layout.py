"""What the default network knows of the columns of an encoded table."""

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import torch
from rtdl_num_embeddings import compute_bins
from torch import Tensor

from metabalance.encoding.tables import TableEncoder
from metabalance.sampling.stored import StoredRows

EMBEDDINGS = ("piecewise-linear", "periodic")
ROWS_FOR_BINS = 100_000
MOST_BINS = 128  # of all numbers together: what a row costs grows with them
FEWEST_BINS = 4
NARROWEST = 1e-6  # of an encoded number: what single precision tells apart


@dataclass(frozen=True)
class TableLayout:
    """What the encoded columns are, in plain JSON types.

    Parameters
    ----------
    numbers : tuple of int
        Columns that are numbers and get an embedding.
    bins : tuple of tuple of float
        Edges of the bins of each, where the embedding is piecewise linear.
    periodic : bool
        Whether it is periodic.
    codes : tuple of (int, int)
        Columns that are codes of categories, and how many codes there are.
    """

    numbers: tuple[int, ...]
    bins: tuple[tuple[float, ...], ...]
    periodic: bool
    codes: tuple[tuple[int, int], ...]

    def options(self) -> dict[str, Any]:
        """Arguments of `metabalance.nn.TableNetwork`."""
        bins = [torch.tensor(edges) for edges in self.bins]
        return {"numbers": self.numbers, "bins": bins, "periodic": self.periodic, "codes": dict(self.codes)}

    def to_state(self) -> dict[str, Any]:
        """Everything that `from_state` needs."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild the layout that `to_state` described."""
        bins = tuple(tuple(float(edge) for edge in edges) for edges in state["bins"])
        codes = tuple((int(place), int(count)) for place, count in state["codes"])
        return cls(tuple(int(place) for place in state["numbers"]), bins, bool(state["periodic"]), codes)


def describe_table(
    x: Tensor | StoredRows, encoder: TableEncoder, embedding: str | None, n_bins: int
) -> TableLayout:
    """Find the numbers among encoded columns, and quantiles of each as edges of its bins.

    Columns with two values or fewer need no code. Of large tables every so many rows are enough.

    Parameters
    ----------
    x : Tensor or StoredRows of shape (n, columns)
        Encoded rows that are trained on; of a table in files all rows, those held out among them.
    encoder : TableEncoder
        The one that has encoded them.
    embedding : {"piecewise-linear", "periodic"} or None
    n_bins : int
        Bins of a number at most, at least 2. There are fewer for a column with few values or in a table with
        few rows, and in a table with many numbers, whose codes are 128 together as long as that leaves each
        number four bins.
    """
    rows = x[:: max(1, len(x) // ROWS_FOR_BINS)].cpu()
    numbers = [
        place
        for place in np.flatnonzero(~encoder.categorical_outputs_).tolist()
        if len(np.unique(rows[:, place].numpy())) > 2
    ]
    codes = tuple(encoder.n_codes_.items())
    if embedding is None or not numbers:
        return TableLayout((), (), False, codes)
    if embedding == "periodic":
        return TableLayout(tuple(numbers), (), True, codes)
    n_bins = min(n_bins, max(FEWEST_BINS, MOST_BINS // len(numbers)), len(rows) - 1)
    with warnings.catch_warnings():
        # A column that nearly always has one value: its code is its value, rescaled.
        warnings.filterwarnings("ignore", message=".*has just two bin edges")
        bins = compute_bins(rows[:, numbers], n_bins)
    return TableLayout(tuple(numbers), tuple(tuple(_apart(edges)) for edges in bins), False, codes)


def _apart(edges: Tensor) -> list[float]:
    """The edges without those that follow one too closely; the outer ones stay."""
    kept = [float(edges[0])]
    for edge in edges[1:-1].tolist():
        if edge - kept[-1] >= NARROWEST and float(edges[-1]) - edge >= NARROWEST:
            kept.append(edge)
    return [*kept, float(edges[-1])]
