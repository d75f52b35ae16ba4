import numpy as np
import pandas as pd
import pytest
import torch

from metabalance.evaluation.gallery import as_codes, make_gallery

EMBEDDINGS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
IDENTITY = ["b", "a", "c", "a", "b", "c"]
ORDER = [1, 3, 0, 4, 2, 5]
DIRECTIONS = (EMBEDDINGS / np.linalg.norm(EMBEDDINGS, axis=1, keepdims=True))[ORDER]


def read_only(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "given",
    [
        EMBEDDINGS.tolist(),
        EMBEDDINGS.astype(np.float64),
        EMBEDDINGS[::-1][::-1],
        read_only(EMBEDDINGS),
        EMBEDDINGS * np.float32([[1e30], [1e-30], [1e38], [1e-38], [5], [1]]),
        torch.from_numpy(EMBEDDINGS).double(),
        torch.from_numpy(EMBEDDINGS).requires_grad_(),
    ],
    ids=["list", "float64", "view", "read-only", "any length", "tensor", "with gradient"],
)
def test_directions_are_sorted_by_identity(given):
    gallery = make_gallery(given, IDENTITY)
    assert gallery.directions.dtype == torch.float32
    assert not gallery.directions.requires_grad
    np.testing.assert_allclose(gallery.directions.numpy(), DIRECTIONS, rtol=1e-4, atol=1e-6)
    assert gallery.order.tolist() == ORDER
    assert gallery.people.tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype):
    halves = torch.from_numpy(EMBEDDINGS).to(dtype)
    expected = make_gallery(halves.float(), IDENTITY).directions
    torch.testing.assert_close(make_gallery(halves, IDENTITY).directions, expected, rtol=0, atol=0)


def test_what_is_given_stays_as_it_is():
    array, tensor = EMBEDDINGS.copy(), torch.from_numpy(EMBEDDINGS.copy())
    make_gallery(array, IDENTITY)
    make_gallery(tensor, IDENTITY)
    np.testing.assert_array_equal(array, EMBEDDINGS)
    np.testing.assert_array_equal(tensor.numpy(), EMBEDDINGS)


@pytest.mark.parametrize("size", [1, 2, 4, 5, 6, 100])
def test_blocks_hold_every_pair_of_an_identity(size):
    gallery = make_gallery(EMBEDDINGS, IDENTITY)
    same = np.zeros((6, 6), dtype=bool)
    for rows, columns, block in gallery.blocks(size):
        same[rows, columns] = block.numpy()
        assert rows.stop - rows.start <= size
    np.testing.assert_array_equal(same, gallery.people[:, None] == gallery.people)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["m", "f", "m"], ["f", "m"]),
        (np.array([7, 2, 7]), [2, 7]),
        (torch.tensor([7, 2, 7]), [2, 7]),
        ([True, False, True], [False, True]),
        (pd.Series(["m", "f", "m"], index=[9, 8, 7]), ["f", "m"]),
        (pd.Categorical(["m", "f", "m"], categories=["f", "d", "m"]), ["f", "m"]),
        (["x", 1, "x"], [1, "x"]),
    ],
    ids=["strings", "integers", "tensor", "bools", "series", "categorical", "mixed"],
)
def test_labels_of_any_kind(labels, names):
    codes, found = as_codes("group", labels, 3)
    assert codes.tolist() == [1, 0, 1]
    assert found == names


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA], ids=str)
def test_labels_must_be_there(missing):
    with pytest.raises(ValueError, match="row 1 of group has no label: leave out"):
        as_codes("group", ["m", missing, "f", missing], 4)


@pytest.mark.parametrize(
    ("embeddings", "identity", "message"),
    [
        ([[1.0, 2.0]], [0], r"n ≥ 2 images, got \(1, 2\)"),
        ([1.0, 2.0], [0, 0], r"shape \(n, d\), .* got \(2,\)"),
        (np.empty((2, 0)), [0, 0], r"got \(2, 0\)"),
        ([[1.0], [0.0], [0.0]], [0, 0, 0], "row 1 of embeddings is zero"),
        ([[1.0], [2.0], [np.nan]], [0, 0, 0], "row 2 of embeddings is not finite"),
        (torch.tensor([[1.0, np.inf], [1.0, 2.0]]), [0, 0], "row 0 of embeddings is not finite"),
        ([[1.0], [1e300]], [0, 0], "row 1 of embeddings is not finite in float32"),
        ([[1.0], [2.0]], [0, 0, 0], r"identity must have one label for each of the 2 .* shape \(3,\)"),
        ([[1.0], [2.0]], [[0], [0]], r"identity must have one label .* shape \(2, 1\)"),
        ([[1.0], [2.0]], "ab", r"identity must have one label .* shape \(\)"),
        ([[1.0], [2.0]], [0, None], "row 1 of identity has no label"),
    ],
    ids=range(11),
)
def test_wrong_arguments(embeddings, identity, message):
    with pytest.raises(ValueError, match=message):
        make_gallery(embeddings, identity)


@pytest.mark.parametrize("size", [0, -1, 1.5, True, None], ids=str)
def test_wrong_blocks(size):
    with pytest.raises(ValueError, match="block must be an integer of at least 1, got"):
        next(make_gallery(EMBEDDINGS, IDENTITY).blocks(size))
