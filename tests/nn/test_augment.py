"""Augmentation against crops and mirror images cut by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metabalance.nn import CropAndFlip


def crops_of(image, padding):
    """Every crop of the padded image, and every one of its mirror image."""
    height, width = image.shape[-2:]
    for picture in (image, image.flip(-1)):
        around = torch.zeros(len(image), height + 2 * padding, width + 2 * padding, dtype=image.dtype)
        around[:, padding : padding + height, padding : padding + width] = picture
        for top in range(2 * padding + 1):
            for left in range(2 * padding + 1):
                yield around[:, top : top + height, left : left + width]


@given(
    padding=st.integers(0, 2),
    height=st.integers(1, 4),
    width=st.integers(1, 4),
    seed=st.integers(0, 2**32),
    dtype=st.sampled_from([torch.uint8, torch.float32]),
)
def test_every_result_is_a_crop_of_the_padded_image_or_its_mirror(padding, height, width, seed, dtype):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(1, 255, (2, 3, 2, height, width), generator=generator).to(dtype)
    before = images.clone()
    found = CropAndFlip(padding)(images, generator)
    assert found.shape == images.shape
    assert found.dtype == dtype
    for image, result in zip(images.flatten(0, 1), found.flatten(0, 1), strict=True):
        assert any(torch.equal(crop, result) for crop in crops_of(image, padding))
    assert torch.equal(images, before)


def test_all_places_and_both_sides_are_equally_likely():
    image = torch.arange(1.0, 10.0).reshape(1, 1, 3, 3)
    found = CropAndFlip(padding=1)(image.expand(18_000, -1, -1, -1), torch.Generator().manual_seed(0))
    kinds, counts = torch.unique(found.flatten(1), dim=0, return_counts=True)
    assert len(kinds) == 18
    # 1,000 are expected of each, with a standard deviation of 31.
    assert (counts - 1000).abs().max() < 4.5 * 31


def test_without_padding_and_flip_images_stay_as_they_are():
    images = torch.rand(4, 3, 5, 6)
    assert torch.equal(CropAndFlip(0, flip=False)(images, torch.Generator()), images)


def test_the_same_generator_gives_the_same_crops():
    images = torch.rand(50, 1, 6, 6)
    one, same, other = (CropAndFlip()(images, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_the_same_crops():
    images = torch.rand(50, 3, 6, 6)
    here = CropAndFlip()(images, torch.Generator().manual_seed(0))
    there = CropAndFlip()(images.cuda(), torch.Generator().manual_seed(0))
    assert torch.equal(here, there.cpu())


@pytest.mark.parametrize("padding", [-1, 1.5, True, "4"])
def test_padding_must_be_a_number_of_pixels(padding):
    with pytest.raises(ValueError, match="padding must be a whole number of at least 0"):
        CropAndFlip(padding)


def test_a_single_image_is_no_batch():
    with pytest.raises(ValueError, match=r"got \(3, 8, 8\)"):
        CropAndFlip()(torch.zeros(3, 8, 8), torch.Generator())
