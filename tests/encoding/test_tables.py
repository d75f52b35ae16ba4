"""Whole tables: input types, names, states, and errors that name columns."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import RobustScaler

from metabalance.encoding.arrays import ArrayEncoder
from metabalance.encoding.tables import TableEncoder, encoder_from_state, make_encoder


@pytest.fixture
def people() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "age": [30.0, None, 50.0, 41.0],
            "city": ["Bern", "Rome", None, "Bern"],
            "member": [True, False, True, True],
            "visits": pd.array([1, None, 3, 4], dtype="Int64"),
            "grade": pd.Categorical(["b", "a", "b", "c"]),
            "blank": [None, None, None, None],
        }
    )


def test_purely_numeric_data_keeps_its_width_and_matches_scikit_learns_scaler() -> None:
    X = np.random.default_rng(0).normal(size=(200, 5)) * [1, 10, 100, 0.1, 1e6]
    encoder = TableEncoder().fit(X)
    z = RobustScaler().fit_transform(X)
    assert encoder.n_outputs_ == encoder.n_features_in_ == 5
    assert encoder.feature_names_in_ is None
    assert not encoder.categorical_outputs_.any()
    encoded = encoder.transform(X)
    assert encoded.dtype == np.float32
    np.testing.assert_allclose(encoded, z / np.sqrt(1 + (z / 3) ** 2), rtol=1e-5, atol=1e-6)


def test_mixed_table(people: pd.DataFrame) -> None:
    encoder = TableEncoder().fit(people)
    encoded = encoder.transform(people)
    assert encoder.feature_names_in_ == list(people.columns)
    #        age, missing | Bern, Rome, missing | member | visits, missing | a, b, c; blank is dropped
    flags = [0, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1]
    np.testing.assert_array_equal(encoder.categorical_outputs_, np.array(flags, dtype=bool))
    assert encoder.categorical_outputs_.dtype == bool
    assert encoded.shape == (4, encoder.n_outputs_)
    chosen = encoded[:3][:, encoder.categorical_outputs_]
    assert chosen.tolist() == [
        [0, 1, 0, 0, 1, 0, 0, 1, 0],
        [1, 0, 1, 0, 0, 1, 1, 0, 0],
        [0, 0, 0, 1, 1, 0, 0, 1, 0],
    ]
    assert encoded[1, [0, 6]].tolist() == [0, 0]


def test_json_round_trip_is_bit_identical(people: pd.DataFrame) -> None:
    encoder = TableEncoder(max_categories=2).fit(people)
    state = json.loads(json.dumps(encoder.to_state(), allow_nan=False))
    restored = encoder_from_state(state)
    assert isinstance(restored, TableEncoder)
    np.testing.assert_array_equal(restored.transform(people), encoder.transform(people))
    np.testing.assert_array_equal(restored.categorical_outputs_, encoder.categorical_outputs_)
    assert restored.feature_names_in_ == encoder.feature_names_in_
    assert restored.max_categories == 2
    assert restored.to_state() == encoder.to_state()


@pytest.mark.filterwarnings("ignore:no column of X holds anything")
@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False, width=32)),
            st.one_of(st.none(), st.text(max_size=3), st.integers(-3, 3)),
            st.one_of(st.none(), st.booleans()),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_any_table_encodes_finitely_row_by_row_and_after_saving(rows: list[tuple[Any, ...]]) -> None:
    table = pd.DataFrame(rows, columns=["number", "word", "flag"], dtype=object)
    encoder = TableEncoder(max_categories=3).fit(table)
    encoded = encoder.transform(table)
    assert np.isfinite(encoded).all()
    categorical = encoded[:, encoder.categorical_outputs_]
    assert ((categorical == 0.0) | (categorical == 1.0)).all()
    one_by_one = [encoder.transform(table.iloc[[row]]) for row in range(len(table))]
    np.testing.assert_array_equal(np.concatenate(one_by_one), encoded)
    restored = encoder_from_state(json.loads(json.dumps(encoder.to_state())))
    np.testing.assert_array_equal(restored.transform(table), encoded)


def test_input_is_left_untouched(people: pd.DataFrame) -> None:
    before = people.copy(deep=True)
    TableEncoder().fit(people).transform(people)
    pd.testing.assert_frame_equal(people, before)


def test_the_index_of_a_frame_does_not_matter(people: pd.DataFrame) -> None:
    encoder = TableEncoder().fit(people)
    shuffled = people.set_axis([7, 7, 3, 1])
    np.testing.assert_array_equal(encoder.transform(shuffled), encoder.transform(people))


def test_lists_and_object_arrays_are_inferred_column_by_column() -> None:
    rows = [[1, "a", True], [2, "b", False], [4, "a", None]]
    from_list = TableEncoder().fit(rows)
    from_array = TableEncoder().fit(np.array(rows, dtype=object))
    assert from_list.to_state() == from_array.to_state()
    assert from_list.categorical_outputs_.tolist() == [False, True, True, True, True]
    assert TableEncoder().fit(np.array([["a", "b"], ["c", "b"]])).n_outputs_ == 2


def test_a_table_of_constants_is_a_single_zero() -> None:
    with pytest.warns(UserWarning, match="no column of X holds anything to learn from"):
        encoder = TableEncoder().fit([[1, "a"], [1, "a"]])
    assert encoder.categorical_outputs_.tolist() == [False]
    assert encoder.transform([[2, "b"], [1, "a"]]).tolist() == [[0.0], [0.0]]


def test_few_categories_are_not_coded_for_rare_ones_among_them() -> None:
    rows = [["a"]] * 500 + [["rare"]]
    assert TableEncoder(coded=True).fit(rows).n_codes_ == {}
    many = [[f"k{number}"] for number in range(33)] * 20
    assert TableEncoder(coded=True).fit(many).n_codes_ == {0: 34}


def test_boolean_arrays_are_zero_and_one() -> None:
    X = np.array([[True, False], [False, True]])
    encoder = TableEncoder().fit(X)
    np.testing.assert_array_equal(encoder.transform(X), X)
    assert encoder.categorical_outputs_.all()


def test_no_rows_at_transform(people: pd.DataFrame) -> None:
    encoder = TableEncoder().fit(people)
    assert encoder.transform(people.iloc[:0]).shape == (0, encoder.n_outputs_)
    assert TableEncoder().fit(np.eye(3)).transform(np.empty((0, 3))).shape == (0, 3)


def test_columns_are_matched_by_name(people: pd.DataFrame) -> None:
    encoder = TableEncoder().fit(people)
    np.testing.assert_array_equal(encoder.transform(people[people.columns[::-1]]), encoder.transform(people))


def test_missing_and_added_columns_are_listed(people: pd.DataFrame) -> None:
    encoder = TableEncoder().fit(people)
    other = people.rename(columns={"age": "years"})
    message = (
        "The feature names should match those that were passed during fit.\n"
        "Feature names unseen at fit time:\n- years\n"
        "Feature names seen at fit time, yet now missing:\n- age\n"
    )
    with pytest.raises(ValueError, match=message):
        encoder.transform(other)
    wide = people.join(pd.DataFrame(0, index=people.index, columns=list("uvwxyz")))
    with pytest.raises(ValueError, match=r"- u\n- v\n- w\n- x\n- y\n- \.\.\.\n$"):
        encoder.transform(wide)


def test_array_for_a_frame_is_taken_by_position_with_scikit_learns_warning() -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0, 4.0], "b": [0.0, 1.0, 2.0]})
    encoder = TableEncoder().fit(frame)
    with pytest.warns(UserWarning, match="X does not have valid feature names, but TableEncoder was fitted"):
        encoded = encoder.transform(frame.to_numpy())
    np.testing.assert_array_equal(encoded, encoder.transform(frame))
    with pytest.warns(UserWarning, match="X has feature names, but TableEncoder was fitted without"):
        TableEncoder().fit(frame.to_numpy()).transform(frame)


def test_frames_without_string_names_go_by_position() -> None:
    frame = pd.DataFrame(np.eye(3))
    encoder = TableEncoder().fit(frame)
    assert encoder.feature_names_in_ is None
    np.testing.assert_array_equal(encoder.transform(np.eye(3)), encoder.transform(frame))


def test_another_width_is_refused() -> None:
    encoder = TableEncoder().fit(np.eye(5))
    message = "X has 3 features, but TableEncoder is expecting 5 features as input"
    with pytest.raises(ValueError, match=message):
        encoder.transform(np.eye(3))


def test_names_that_repeat_or_mix_types_are_refused() -> None:
    with pytest.raises(ValueError, match="column names occur more than once: a; rename"):
        TableEncoder().fit(pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"]))
    with pytest.raises(TypeError, match=r"all strings, but 1 is a int.*astype\(str\)"):
        TableEncoder().fit(pd.DataFrame([[1, 2]], columns=["a", 1]))


def test_infinite_columns_are_all_named(people: pd.DataFrame) -> None:
    people["far"] = [1.0, np.inf, 2.0, 3.0]
    people["farther"] = [1.0, 1e39, 2.0, -np.inf]
    with pytest.raises(ValueError, match=r"infinity or a value too large .* 'far', column 'farther': "):
        TableEncoder().fit(people)
    encoder = TableEncoder().fit(np.eye(2))
    with pytest.raises(ValueError, match=r"infinity .* in column 1: "):
        encoder.transform([[0.0, -np.inf]])
    with pytest.raises(ValueError, match=r"infinity .* in column 0: "):
        encoder.transform([[10**400, 0]])


def test_a_numeric_column_that_now_holds_text_is_named(people: pd.DataFrame) -> None:
    encoder = TableEncoder().fit(people)
    people["age"] = ["30", "unknown", "50", "41"]
    with pytest.raises(
        ValueError, match=r"column 'age' held numbers in fit, but now holds 'unknown' \(row 1\)"
    ):
        encoder.transform(people)


def test_wrong_shapes_have_scikit_learns_words() -> None:
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array instead"):
        TableEncoder().fit(np.zeros(3))
    with pytest.raises(ValueError, match=r"Expected a 2-dimensional container but got .*Series"):
        TableEncoder().fit(pd.Series([1.0, 2.0], name="a"))
    with pytest.raises(ValueError, match="Found array with dim 3"):
        TableEncoder().fit(np.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match=r"0 sample\(s\) \(shape=\(0, 3\)\)"):
        TableEncoder().fit(np.empty((0, 3)))
    for empty in (np.empty((3, 0)), pd.DataFrame(index=[0, 1, 2])):
        with pytest.raises(ValueError, match=r"0 feature\(s\) \(shape=\(3, 0\)\) while a minimum of 1"):
            TableEncoder().fit(empty)


def test_sparse_and_complex_matrices_are_refused() -> None:
    with pytest.raises(TypeError, match=r"[Ss]parse.*toarray\(\)"):
        TableEncoder().fit(scipy.sparse.eye_array(3).tocsr())
    with pytest.raises(TypeError, match=r"Sparse.*toarray\(\)"):
        make_encoder(scipy.sparse.dia_array(np.eye(3)))
    with pytest.raises(ValueError, match="Complex data not supported"):
        TableEncoder().fit(np.eye(2) * 1j)


@pytest.mark.parametrize("limit", [1, 0, 2.5, True, None])
def test_max_categories_is_checked_in_fit(limit: Any) -> None:
    with pytest.raises(ValueError, match=r"max_categories=.* whole number of at least 2"):
        TableEncoder(max_categories=limit).fit(np.eye(2))


def test_an_unfitted_encoder_says_so() -> None:
    with pytest.raises(NotFittedError, match="call fit"):
        TableEncoder().transform(np.eye(2))


def test_make_encoder_goes_by_dimension() -> None:
    assert isinstance(make_encoder(np.zeros((2, 2))), TableEncoder)
    assert isinstance(make_encoder(pd.DataFrame({"a": [1]})), TableEncoder)
    assert isinstance(make_encoder(np.zeros((2, 2, 2, 2))), ArrayEncoder)
    assert isinstance(make_encoder([[[1, 2]], [[3, 4]]]), ArrayEncoder)
    assert isinstance(make_encoder([[1, "a"], [2, None]]), TableEncoder)


def test_array_states_are_told_apart_and_unknown_ones_refused() -> None:
    X = np.arange(24.0).reshape(2, 3, 4)
    encoder = ArrayEncoder().fit(X)
    restored = encoder_from_state(json.loads(json.dumps(encoder.to_state())))
    np.testing.assert_array_equal(restored.transform(X), encoder.transform(X))
    with pytest.raises(ValueError, match=r"unknown encoder 'graph'.*table, array"):
        encoder_from_state({"encoder": "graph"})
