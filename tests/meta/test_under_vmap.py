"""Dropout by uniform numbers against what dropout is."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.func import vmap
from torch.nn import functional as F

from metabalance.meta.under_vmap import UnderVmap

ROWS = 200_000


def _dropped(x: Tensor, p: float, **kwargs) -> Tensor:
    with torch.random.fork_rng(), UnderVmap():
        torch.manual_seed(0)
        return F.dropout(x, p, **kwargs)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_values_are_dropped_with_probability_p_and_the_others_scaled(p, dtype):
    output = _dropped(torch.full((ROWS,), 2.0, dtype=dtype), p)
    assert output.dtype == dtype
    kept = output != 0
    torch.testing.assert_close(output[kept], torch.full_like(output[kept], 2 / (1 - p)))
    # Five standard deviations: a false alarm in two of a million seeds, and the seed is fixed.
    assert abs(kept.double().mean() - (1 - p)) < 5 * math.sqrt(p * (1 - p) / ROWS)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_certain_cases_are_torchs_own(p):
    x = torch.randn(100)
    assert torch.equal(_dropped(x, p), x * (1 - p))


def test_evaluation_mode_and_inplace_are_torchs_own():
    x = torch.randn(100)
    assert torch.equal(_dropped(x, 0.5, training=False), x)
    changed = x.clone()
    assert _dropped(changed, 0.5, inplace=True) is changed
    assert (changed == 0).any()


def test_the_module_is_intercepted_and_its_gradient_is_the_mask():
    x = torch.ones(1000, requires_grad=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        noise = torch.rand(1000)
        torch.manual_seed(0)
        with UnderVmap():
            output = nn.Dropout(0.25)(x)
    torch.testing.assert_close(output, (noise >= 0.25) / 0.75)
    output.sum().backward()
    torch.testing.assert_close(x.grad, output.detach())


def test_masks_differ_under_vmap():
    with torch.random.fork_rng(), UnderVmap():
        torch.manual_seed(0)
        rows = vmap(lambda x: F.dropout(x, 0.5), randomness="different")(torch.ones(20, 50))
    assert len(rows.unique(dim=0)) == 20
