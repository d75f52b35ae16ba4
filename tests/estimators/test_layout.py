"""What the default network is told of a table's columns."""

import numpy as np
import torch

from metabalance.encoding.tables import TableEncoder
from metabalance.estimators.layout import NARROWEST, describe_table
from metabalance.nn import PiecewiseLinear


def test_bins_are_wide_enough_to_tell_numbers_apart() -> None:
    # A likelihood: most of its quantiles are closer to each other than single precision can tell.
    likelihood = 10.0 ** -np.linspace(0, 40, 400)
    encoder = TableEncoder().fit(likelihood[:, None])
    x = torch.from_numpy(encoder.transform(likelihood[:, None]))
    (edges,) = describe_table(x, encoder, "piecewise-linear", 24).bins
    assert len(edges) > 4
    assert np.diff(edges).min() >= NARROWEST
    assert (edges[0], edges[-1]) == (x.min().item(), x.max().item())
    encode = PiecewiseLinear([torch.tensor(edges)])
    assert encode(x).isfinite().all()
    assert encode.slope.max() <= 1.01 / NARROWEST
