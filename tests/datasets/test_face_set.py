"""Sets of faces and parts of them."""

import numpy as np
import pytest
import torch

from metabalance.datasets import FaceSet
from metabalance.datasets.image_set import row_numbers

FACES = FaceSet(
    title="four",
    images=torch.arange(4 * 3 * 2 * 2, dtype=torch.uint8).reshape(4, 3, 2, 2),
    identity=np.array([70, 70, 8, 9]),
    group=np.array([1, 1, 0, 1]),
    group_names=("female", "male"),
    names=("a.jpg", "b.jpg", "c.jpg", "d.jpg"),
)


def test_some_of_the_images():
    some = FACES.take(np.array([3, 0]))
    assert len(FACES) == 4
    assert len(some) == 2
    assert some.images.equal(FACES.images[[3, 0]])
    assert some.identity.tolist() == [9, 70]
    assert some.group.tolist() == [1, 1]
    assert some.names == ("d.jpg", "a.jpg")
    assert (some.title, some.group_names) == (FACES.title, FACES.group_names)


def test_a_part_is_a_copy():
    FACES.take(np.arange(4)).images.zero_()
    assert FACES.images.any()


def test_none_of_the_images():
    assert FACES.take(np.array([], dtype=np.int64)).images.shape == (0, 3, 2, 2)


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        (np.array([True, False]), ValueError, r"a mask of 6 images must have the shape \(6,\), got \(2,\)"),
        ([0.5, 1.9], TypeError, "rows must be whole numbers or a mask, got float64"),
        ([0, 99], ValueError, "there is no row 99: the set has 6 images"),
    ],
)
def test_rows_to_take_that_are_none(rows, error, message) -> None:
    with pytest.raises(error, match=message):
        row_numbers(rows, 6)


def test_a_mask_takes_where_it_is_true() -> None:
    assert row_numbers(np.array([True, False, True]), 3).tolist() == [0, 2]
    assert row_numbers([2, 0, -1], 3).tolist() == [2, 0, -1]
    assert row_numbers([], 3).tolist() == []
