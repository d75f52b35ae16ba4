"""Mixup and CutMix against what the papers write, re-derived from inputs that tell rows and places apart."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest
from torch.nn.functional import cross_entropy, one_hot

from metabalance.nn import CutMix, Mixup


def generator(seed):
    return torch.Generator().manual_seed(seed)


@given(st.integers(1, 9), st.floats(0.05, 5), st.integers(0, 2**32))
def test_mixup_blends_rows_and_labels_alike(rows, alpha, seed):
    y = torch.randperm(rows, generator=generator(1))
    x = one_hot(y, rows).double()
    before = x.clone()
    batch = Mixup(alpha)(x, y, generator(seed))
    # Inputs that are their labels stay so: the blend of the inputs is the blend of the labels.
    expected = batch.share * one_hot(batch.y, rows) + (1 - batch.share) * one_hot(batch.other, rows)
    torch.testing.assert_close(batch.x, expected.double())
    assert sorted(batch.other.tolist()) == list(range(rows))
    assert 0 <= batch.share <= 1
    assert torch.equal(x, before)


@given(st.integers(1, 9), st.integers(1, 9), st.floats(0.05, 5), st.integers(0, 2**32))
def test_cutmix_pastes_one_box_and_counts_its_pixels(height, width, alpha, seed):
    y = torch.arange(5)
    x = y.double().reshape(5, 1, 1, 1).expand(5, 2, height, width)
    batch = CutMix(alpha)(x, y, generator(seed))
    pasted = batch.x == batch.other.reshape(5, 1, 1, 1)
    own = batch.x == batch.y.reshape(5, 1, 1, 1)
    assert (pasted | own).all()
    moved = batch.other != batch.y
    if moved.any():
        boxes = pasted[moved].any(1)
        assert (boxes == boxes[0]).all()
        rows, columns = boxes[0].any(1), boxes[0].any(0)
        assert torch.equal(boxes[0], rows.unsqueeze(1) & columns.unsqueeze(0))
        assert batch.share == pytest.approx(1 - boxes[0].double().mean().item())


def test_the_loss_is_that_of_the_mixed_labels():
    x, y = torch.randn(6, 4, generator=generator(0)), torch.tensor([0, 1, 2, 0, 1, 2])
    batch = Mixup()(x, y, generator(1))
    soft = batch.share * one_hot(batch.y, 3) + (1 - batch.share) * one_hot(batch.other, 3)
    output = torch.randn(6, 3, generator=generator(2))
    torch.testing.assert_close(batch.loss(cross_entropy, output), cross_entropy(output, soft.float()))


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_follow_the_beta_law(alpha):
    source = generator(0)
    shares = [Mixup(alpha)(torch.zeros(1, 1), torch.zeros(1), source).share for _ in range(2000)]
    assert kstest(shares, "beta", args=(alpha, alpha)).pvalue > 0.001


def test_boxes_have_the_expected_area():
    source, images = generator(0), torch.zeros(1, 1, 32, 32)
    shares = [CutMix()(images, torch.zeros(1), source).share for _ in range(2000)]
    # By the definition: a side of ⌊32·√u⌋ rounded down to an even number, around each place, in the image.
    centres = np.arange(32)
    halves = np.floor(32 * np.sqrt(np.linspace(0, 1, 1001))) // 2
    lengths = [(np.minimum(centres + half, 32) - np.maximum(centres - half, 0)).mean() for half in halves]
    assert 1 - np.mean(shares) == pytest.approx(np.mean(np.square(lengths)) / 32**2, abs=0.015)


@pytest.mark.parametrize("mixing", [Mixup, CutMix])
def test_the_same_generator_mixes_alike(mixing):
    x, y = torch.randn(8, 3, 5, 5, generator=generator(0)), torch.arange(8)
    one, same, other = (mixing()(x, y, generator(seed)) for seed in (3, 3, 4))
    assert torch.equal(one.x, same.x)
    assert torch.equal(one.other, same.other)
    assert one.share == same.share
    assert not torch.equal(one.x, other.x)


@pytest.mark.parametrize("alpha", [0, -1.0, float("inf"), "1", True])
def test_alpha_must_be_above_0(alpha):
    with pytest.raises(ValueError, match="alpha must be a number above 0"):
        Mixup(alpha)


def test_cutmix_is_for_images():
    with pytest.raises(ValueError, match=r"CutMix takes images .*, got shape \(4, 3\)"):
        CutMix()(torch.zeros(4, 3), torch.zeros(4), generator(0))
