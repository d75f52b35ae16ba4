import pytest
import torch
from rtdl_num_embeddings import PiecewiseLinearEncoding, compute_bins

from metabalance.nn import PiecewiseLinear


def test_it_is_the_packages_encoding_in_another_order_of_columns() -> None:
    x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    x[:, 2] = x[:, 2].sign() * (x[:, 0] > 0)  # three values, two bins
    bins = compute_bins(x, 8)
    ours, theirs = PiecewiseLinear(bins), PiecewiseLinearEncoding(bins)
    new = torch.randn(50, 4, generator=torch.Generator().manual_seed(1)) * 2
    assert ours.n_outputs == theirs.get_output_shape()[0] == 26
    found, expected = ours(new), theirs(new).clamp(0, 1)  # theirs goes on beyond the outer edges
    torch.testing.assert_close(found.sort(dim=1).values, expected.sort(dim=1).values)


def test_under_vmap_and_compiled() -> None:
    encode = PiecewiseLinear([torch.tensor([0.0, 1.0, 3.0]), torch.tensor([-1.0, 1.0])])
    x = torch.randn(5, 7, 2)
    torch.testing.assert_close(torch.vmap(encode)(x), torch.stack([encode(part) for part in x]))


@pytest.mark.parametrize("edges", [[0.0], [0.0, 0.0], [1.0, 0.0], [0.0, float("nan")]])
def test_edges_that_do_not_increase_are_refused(edges) -> None:
    with pytest.raises(ValueError, match=r"bins\[1\] must be at least two increasing edges"):
        PiecewiseLinear([torch.tensor([0.0, 1.0]), torch.tensor(edges)])
