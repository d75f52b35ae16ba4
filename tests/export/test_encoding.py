"""The encoders as networks against the encoders themselves."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metabalance.encoding.arrays import ArrayEncoder
from metabalance.encoding.tables import TableEncoder
from metabalance.export.encoding import EncodeArray, EncodeTable, places_of


def encoded(encoder: TableEncoder, frame: pd.DataFrame) -> np.ndarray:
    """What the network makes of a frame."""
    encode = EncodeTable(encoder)
    given = []
    if encode.number_columns:
        given.append(torch.tensor(frame.iloc[:, encode.number_columns].to_numpy(dtype=np.float64)))
    if encode.category_columns:
        places = []
        for index in encode.category_columns:
            known, other = places_of(encoder.columns_[index])
            values = frame.iloc[:, index].astype(object)
            places.append(["" if gone else text for text, gone in zip(values, values.isna(), strict=True)])
            places[-1] = [known.get(text, other) for text in places[-1]]
        given.append(torch.tensor(places, dtype=torch.int64).T)
    return encode(*given).numpy()


texts = st.one_of(st.none(), st.sampled_from("abcdefgh"), st.text("xyz", min_size=1, max_size=2))
numbers = st.one_of(st.just(np.nan), st.floats(-1e30, 1e30), st.integers(-3, 3).map(float))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(numbers, numbers, st.sampled_from([0.0, 1.0, np.nan]), texts, texts),
        min_size=1,
        max_size=40,
    ),
    st.integers(1, 40),
    st.booleans(),
)
def test_it_is_the_encoder_to_the_last_bit(rows, n_fitted, coded) -> None:
    frame = pd.DataFrame(rows, columns=["a", "b", "flag", "city", "other"])
    frame["flag"] = frame["flag"].map({0.0: False, 1.0: True, np.nan: None}).astype("boolean")
    for name in ("city", "other"):
        frame[name] = frame[name].astype("category")  # a column of nothing but None has no kind
    encoder = TableEncoder(max_categories=3, coded=coded)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a table in which nothing varies
        encoder.fit(frame[:n_fitted])
    if any(column.outputs for column in encoder.columns_):
        np.testing.assert_array_equal(encoded(encoder, frame), encoder.transform(frame))


def test_a_coded_column_of_many_categories() -> None:
    frame = pd.DataFrame({"zip": [f"z{index % 50}" for index in range(400)] + ["rare", None]})
    encoder = TableEncoder(max_categories=5, coded=True).fit(frame)
    assert encoder.n_codes_ == {0: 52}
    np.testing.assert_array_equal(encoded(encoder, frame), encoder.transform(frame))


def test_an_empty_text_that_is_a_category_is_no_missing_value() -> None:
    frame = pd.DataFrame({"city": ["", "Bern"] * 10 + [None] * 5})
    (column,) = TableEncoder().fit(frame).columns_
    assert places_of(column) == ({"": 0, "Bern": 1}, -1)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32", "float64"])
@pytest.mark.parametrize("shape", [(3, 5, 4), (6, 2)])
def test_arrays(dtype, shape) -> None:
    rng = np.random.default_rng(0)
    images = (255 * rng.random((20, *shape))).astype(dtype)
    images[:, 0] = 7  # a constant channel, in the one case
    encoder = ArrayEncoder().fit(images)
    found = EncodeArray(encoder)(torch.from_numpy(images)).numpy()
    np.testing.assert_array_equal(found, encoder.transform(images))
