import re

import numpy as np
import pytest
import torch

from metabalance.sampling.checks import as_labels, as_seed, check_count, check_same_length, check_saved


@pytest.mark.parametrize(
    "y",
    [np.array([3, -7, 3], dtype=np.int8), torch.tensor([3, -7, 3], dtype=torch.int32), [3, -7, 3]],
    ids=["array", "tensor", "list"],
)
def test_any_integers_are_labels(y):
    labels = as_labels(y)
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels, [3, -7, 3])


def test_booleans_are_labels():
    np.testing.assert_array_equal(as_labels(np.array([True, False])), [1, 0])


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (np.array([0.0, np.nan, np.nan]), ValueError, "labels are NaN in 2 of 3 rows: drop these rows"),
        (np.array([0.0, 1.0]), TypeError, "labels have dtype float64, but class ids must be integers"),
        (np.array(["a", "b"]), TypeError, "LabelEncoder"),
        (np.array(["a", None], dtype=object), TypeError, "dtype object.*drop missing labels and encode"),
        (torch.tensor([0.0, 1.0]), TypeError, "labels have dtype float32"),
        (np.array([], dtype=int), ValueError, "y holds no labels: pass at least one row of each"),
        (np.array([[0], [1]]), ValueError, r"y has shape \(2, 1\).*try y.ravel\(\)"),
        (np.array([4, 4, 4]), ValueError, "all 3 labels are 4: at least two classes are needed"),
    ],
)
def test_what_are_no_labels(y, error, message):
    with pytest.raises(error, match=message):
        as_labels(y)


@pytest.mark.parametrize(("X", "shape"), [(np.zeros((3, 2)), "(3, 2)"), (np.zeros(()), "()")])
def test_lengths_must_agree(X, shape):
    with pytest.raises(ValueError, match=re.escape(f"X has shape {shape} but y has 2 labels")):
        check_same_length(X, np.array([0, 1]))


def test_counts():
    assert check_count("batch_size", np.int32(3)) == 3
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        check_count("batch_size", 0)
    with pytest.raises(TypeError, match=r"batch_size must be an integer, got 2\.5 of type float"):
        check_count("batch_size", 2.5)


def test_an_int_is_its_own_seed():
    assert as_seed(17) == 17
    assert as_seed(np.int64(2**32 - 1)) == 2**32 - 1


def test_a_generator_gives_a_new_seed_each_time_it_is_asked():
    generator, same = np.random.default_rng(0), np.random.default_rng(0)
    first, second = as_seed(generator), as_seed(generator)
    assert first != second
    assert [first, second] == [as_seed(same), as_seed(same)]


def test_none_is_fresh_entropy():
    assert len({as_seed(None) for _ in range(4)}) > 1


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_out_of_range(seed):
    with pytest.raises(ValueError, match=f"random_state must be between 0 and 4294967295, got {seed}"):
        as_seed(seed)


def test_other_random_states_are_refused():
    with pytest.raises(
        TypeError, match=r"an int, a numpy\.random\.Generator or None, got 'zero' of type str"
    ):
        as_seed("zero")  # type: ignore[arg-type]


def test_saved_states():
    check_saved({"rows": 3, "position": 1, "more": 0}, {"rows": 3}, also=("position",))
    with pytest.raises(ValueError, match="no saved state of such a stream: it lacks rows, position"):
        check_saved({"more": 0}, {"rows": 3}, also=("position",))
    with pytest.raises(
        ValueError, match="the saved stream has rows 4, but this one has 3: build it with the same"
    ):
        check_saved({"rows": 4}, {"rows": 3})
