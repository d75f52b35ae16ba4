import numpy as np
import pandas as pd
import pytest

from metabalance.encoding.labels import encode_known_labels, encode_labels


@pytest.mark.parametrize(
    "y",
    [
        ["b", "a", "b"],
        np.array([5, -1, 5]),
        [True, False, True],
        pd.Series(["b", "a", "b"], dtype="category"),
        pd.Series(["b", "a", "b"], dtype="string"),
        np.array([2.0, 1.0, 2.0]),
        np.array([5, -1, 5], dtype=object),
        pd.Series([True, False, True], dtype=object),
    ],
    ids=range(8),
)
def test_codes_number_the_sorted_labels(y) -> None:
    classes, codes = encode_labels(y)
    assert codes.tolist() == [1, 0, 1]
    assert codes.dtype == np.int64
    assert classes[codes].tolist() == list(y)
    np.testing.assert_array_equal(encode_known_labels(y, classes), codes)


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (
            ["a", float("nan"), "b"],
            ValueError,
            "y contains NaN: 1 of 3 labels are missing, the first in row 1",
        ),
        (np.array(["2020-01-01", "2021-01-01"], dtype="M8[D]"), TypeError, "labels have dtype datetime64"),
        ([1, None, 2], ValueError, "y contains NaN: 1 of 3 labels are missing, the first in row 1"),
        ([np.inf, 1.0], ValueError, "infinity"),
        ([0.1, 0.2, 0.3], ValueError, "continuous"),
        ([1, "a"], TypeError, r"labels mix types \(int, str\)"),
        (["a", "a"], ValueError, "got 1 class: every label is 'a'"),
        ([], ValueError, "empty"),
        ([[0, 1], [1, 0]], ValueError, "1d array|multilabel"),
    ],
    ids=range(9),
)
def test_labels_that_cannot_be_used(y, error, message) -> None:
    with pytest.raises(error, match=message):
        encode_labels(y)


@pytest.mark.parametrize(
    ("known", "y", "message"),
    [
        (["ab", "b"], ["b", "abc"], "the label 'abc', which was not there in fit; known are 'ab', 'b'"),
        ([0, 1], ["1"], "the label '1', which was not there in fit"),
        ([0, 1], [1, None], "the label None"),
        ([0, 1], [[0, 1]], "1d array"),
    ],
    ids=range(4),
)
def test_labels_that_were_not_there(known, y, message) -> None:
    with pytest.raises(ValueError, match=message):
        encode_known_labels(y, encode_labels(known)[0])
