"""One column at a time: which kind it is, and its numbers against hand computations."""

from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metabalance.encoding.categories import (
    CategoryColumn,
    CodedColumn,
    rows_of_each,
    warn_of_doubtful_categories,
)
from metabalance.encoding.columns import BooleanColumn, EmptyColumn, NumericColumn, kind_of
from metabalance.encoding.reading import read_numbers


def encode(column: Any, values: np.ndarray) -> np.ndarray:
    out = np.zeros((len(values), len(column.outputs)), dtype=np.float32)
    column.encode(values, out)
    return out


def numbers(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def names(*values: str | None) -> pd.Categorical:
    return CategoryColumn.read(pd.Series(values, dtype=object), "a")


def listed(read: pd.Categorical) -> list[str | None]:
    return [None if code < 0 else read.categories[code] for code in read.codes]


@pytest.mark.parametrize(
    ("series", "kind"),
    [
        (pd.Series([1, 2]), NumericColumn),
        (pd.Series([1.5, None]), NumericColumn),
        (pd.Series([1, None], dtype="Int64"), NumericColumn),
        (pd.Series([0.5, None], dtype="Float64"), NumericColumn),
        (pd.Series([0, 1], dtype="int8"), NumericColumn),
        (pd.Series([1, 2.5, None, Decimal("3.5"), np.float32(2)], dtype=object), NumericColumn),
        (pd.Series([True, 2], dtype=object), NumericColumn),
        (pd.Series([True, False]), BooleanColumn),
        (pd.Series([True, None], dtype="boolean"), BooleanColumn),
        (pd.Series([True, None, np.False_], dtype=object), BooleanColumn),
        (pd.Series(["a", None]), CategoryColumn),
        (pd.Series(["a", None], dtype="string"), CategoryColumn),
        (pd.Series(["a", 1, None], dtype=object), CategoryColumn),
        (pd.Series(["a", "b"], dtype="category"), CategoryColumn),
        (pd.Series([1, 2], dtype="category"), CategoryColumn),
        (pd.Series([True, False], dtype="category"), CategoryColumn),
        (pd.cut(pd.Series([1.0, 2.0]), 2), CategoryColumn),
    ],
)
def test_kind(series: pd.Series, kind: type) -> None:
    assert kind_of(series, "column 'a'") is kind


@pytest.mark.parametrize(
    ("series", "message"),
    [
        (pd.Series(pd.to_datetime(["2020-01-01"])), r"column 'a' has dtype datetime64.*days since"),
        (pd.Series(pd.to_timedelta([1])), "column 'a' has dtype timedelta64"),
        (pd.Series(pd.period_range("2020", periods=1, freq="D")), "column 'a' has dtype period"),
        (pd.Series([date(2020, 1, 1)], dtype=object), "column 'a' .* holds a date"),
        (pd.Series([[1, 2]], dtype=object), "column 'a' .* holds a list"),
        # scikit-learn's estimator checks look for these words.
        (pd.Series([1.0, {"b": 1}], dtype=object), "argument must be a string or a real number"),
        (pd.Series([b"raw"], dtype=object), "holds a bytes"),
    ],
)
def test_what_is_no_number_and_no_category_is_refused(series: pd.Series, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        kind_of(series, "column 'a'")


@pytest.mark.parametrize("series", [pd.Series([1j]), pd.Series([1.0, 1j], dtype=object)])
def test_complex_numbers_are_refused_in_scikit_learns_words(series: pd.Series) -> None:
    with pytest.raises(ValueError, match="Complex data not supported: column 'a'"):
        kind_of(series, "column 'a'")


def test_numeric_scaling_against_hand_computation() -> None:
    # Quartiles of 0, 1, 2, 3, 100: 1, 2 and 3, so z = (x − 2) / 2.
    values = numbers(0, 1, 2, 3, 100)
    column = NumericColumn.fit(values, 32)
    z = np.array([-1, -0.5, 0, 0.5, 49])
    np.testing.assert_allclose(encode(column, values)[:, 0], z / np.sqrt(1 + (z / 3) ** 2), rtol=1e-6)


def test_without_interquartile_range_the_standard_deviation_scales() -> None:
    values = numbers(0, 0, 0, 0, 0, 0, 0, 0, 0, 10)
    z = 10 / 3  # standard deviation of one ten among ten
    encoded = encode(NumericColumn.fit(values, 32), values)
    np.testing.assert_allclose(encoded[-1, 0], z / np.sqrt(1 + (z / 3) ** 2), rtol=1e-6)
    assert not encoded[:-1].any()


def test_missing_numbers_become_the_median_and_are_marked() -> None:
    column = NumericColumn.fit(numbers(1, np.nan, 3, 5), 32)
    assert column.outputs == (False, True)
    encoded = encode(column, numbers(np.nan, 3, 5))
    assert encoded[0].tolist() == [*encode(column, numbers(3))[0].tolist()[:1], 1.0]
    assert encoded[1:, 1].tolist() == [0.0, 0.0]


def test_numbers_missing_only_later_are_not_marked() -> None:
    column = NumericColumn.fit(numbers(1, 3, 5), 32)
    assert column.outputs == (False,)
    assert encode(column, numbers(np.nan)).tolist() == [[0.0]]


@given(
    st.lists(st.floats(-1e30, 1e30), min_size=1, max_size=30),
    st.lists(st.floats(-1e38, 1e38), min_size=1, max_size=10),
)
def test_numeric_output_is_bounded_and_keeps_order(fitted: list[float], later: list[float]) -> None:
    encoded = encode(NumericColumn.fit(numbers(*fitted), 32), numbers(*sorted(later)))
    assert np.isfinite(encoded).all()
    assert (np.abs(encoded) <= 3.0).all()
    assert (np.diff(encoded, axis=0) >= 0.0).all()


def test_booleans_are_imputed_with_the_more_frequent_value() -> None:
    column = BooleanColumn.fit(numbers(1, 1, 0, np.nan), 32)
    assert column.outputs == (True, True)
    assert encode(column, numbers(np.nan, 0, 1)).tolist() == [[1, 1], [0, 0], [1, 0]]
    assert encode(BooleanColumn.fit(numbers(1, 0), 32), numbers(np.nan)).tolist() == [[0]]


def test_booleans_may_come_back_as_zero_and_one_only() -> None:
    assert BooleanColumn.read(pd.Series([0, 1]), "column 'a'").tolist() == [0, 1]
    with pytest.raises(ValueError, match=r"column 'a' held only true and false .* holds 2 \(row 1\)"):
        BooleanColumn.read(pd.Series([0, 2]), "column 'a'")


def test_text_among_numbers_is_named() -> None:
    for dtype in (object, "category"):
        with pytest.raises(ValueError, match=r"column 'a' held numbers in fit.*'x' \(row 2\)"):
            read_numbers(pd.Series([None, "3.5", "x"], dtype=dtype), "column 'a'")
    with pytest.raises(ValueError, match=r"'x' \(row 0\)"):
        read_numbers(pd.Series(["x"]), "column 'a'")


def test_numbers_in_any_dress_read_alike() -> None:
    plain = [1.0, 2.0, np.nan]
    for dtype in ("float64", "float32", "Int64", "Float64", object, "category"):
        read = read_numbers(pd.Series([1, 2, None], dtype=dtype), "column 'a'")
        np.testing.assert_array_equal(read, plain)


def test_one_hot_is_sorted_and_unknown_is_zero() -> None:
    column = CategoryColumn.fit(names("b", "a", "c", "b"), 32)
    assert column == CategoryColumn(("a", "b", "c"), other=False, missing=False)
    assert encode(column, names("c", "a", "z", None)).tolist() == [[0, 0, 1], [1, 0, 0], [0] * 3, [0] * 3]


def test_missing_is_a_category_where_fit_saw_it() -> None:
    column = CategoryColumn.fit(names("b", None, "a"), 32)
    assert encode(column, names(None, "a", "b")).tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]


def test_rare_categories_share_one_output_with_unknown_ones() -> None:
    values = names("d", "d", "d", "b", "b", "c", "a")
    column = CategoryColumn.fit(values, 3)
    assert column == CategoryColumn(("b", "d"), other=True, missing=False)
    assert encode(column, names("a", "c", "unheard", None, "b")).argmax(axis=1).tolist() == [2, 2, 2, 2, 0]
    assert encode(column, values).sum(axis=1).tolist() == [1.0] * 7
    exactly_three = CategoryColumn.fit(names("a", "b", "c"), 3)
    assert not exactly_three.other


def test_equally_frequent_categories_are_kept_by_name() -> None:
    assert CategoryColumn.fit(names("c", "b", "a"), 2).categories == ("a",)


def test_whole_numbers_are_the_same_category_as_integer_float_and_text() -> None:
    for series in (
        pd.Series([1, 2], dtype="category"),
        pd.Series([1.0, 2.0], dtype="category"),
        pd.Series([1.0, 2.0]),
        pd.Series(["1", "2"]),
        pd.Series([1, "2"], dtype=object),
    ):
        assert listed(CategoryColumn.read(series, "column 'a'")) == ["1", "2"]
    assert listed(CategoryColumn.read(pd.Series([1.5, np.inf, None]), "column 'a'")) == ["1.5", "inf", None]
    assert listed(CategoryColumn.read(pd.Series([True, False]), "column 'a'")) == ["True", "False"]


def test_columns_that_do_not_vary_are_dropped() -> None:
    values = EmptyColumn.read(pd.Series(["anything", 1], dtype=object), "column 'a'")
    assert encode(EmptyColumn(), values).shape == (2, 0)
    for column, later in (
        (NumericColumn.fit(numbers(0.1, 0.1, 0.1), 32), numbers(5.0, np.nan)),
        (BooleanColumn.fit(numbers(1, 1), 32), numbers(0, np.nan)),
        (CategoryColumn.fit(names("a", "a"), 32), names("b", None)),
    ):
        assert column.outputs == ()
        assert encode(column, later).shape == (2, 0)


def test_only_the_indicator_stays_where_known_values_do_not_vary() -> None:
    for column, later in (
        (NumericColumn.fit(numbers(0.1, 0.1, np.nan), 32), numbers(5.0, np.nan)),
        (BooleanColumn.fit(numbers(1, 1, np.nan), 32), numbers(0, np.nan)),
    ):
        assert column.outputs == (True,)
        assert encode(column, later).tolist() == [[0.0], [1.0]]


def test_categories_of_few_rows_share_one_output() -> None:
    values = names(*["a"] * 490, *["b"] * 5, *["c"] * 4, "d")
    assert CategoryColumn.fit(values, 32) == CategoryColumn(("a", "b"), other=True, missing=False)
    # In a small table, less than a hundredth of the rows is few.
    assert CategoryColumn.fit(values[400:], 32).categories == ("a", "b", "c", "d")
    assert CategoryColumn.fit(values[300:], 32).categories == ("a", "b", "c")
    assert CategoryColumn.fit(values, 32, fewest_rows=1).categories == ("a", "b", "c", "d")


def test_identifiers_and_spoilt_numbers_are_pointed_out() -> None:
    with pytest.warns(UserWarning, match="'id' holds 60 different texts in 60 rows, like an identifier"):
        warn_of_doubtful_categories(rows_of_each(names(*(f"T{i}" for i in range(60)))), "'id'")
    with pytest.warns(UserWarning, match=r"because of '\?' among 58 numbers"):
        warn_of_doubtful_categories(
            rows_of_each(names(*(str(i % 9) for i in range(58)), "?", "?")), "'amount'"
        )


def test_ordinary_categories_are_not_pointed_out() -> None:
    warn_of_doubtful_categories(rows_of_each(names(*["a", "b", None] * 40)), "'city'")
    warn_of_doubtful_categories(rows_of_each(names(*["1", "2"] * 40)), "'code'")
    warn_of_doubtful_categories(rows_of_each(names(*["1", "x"] * 40)), "'mixed'")
    warn_of_doubtful_categories(rows_of_each(names(*(f"T{i}" for i in range(49)))), "'few'")


def test_true_and_false_may_come_as_text() -> None:
    read = BooleanColumn.read(pd.Series(["True", "false", None, " TRUE"]), "'member'")
    np.testing.assert_array_equal(read, [1.0, 0.0, np.nan, 1.0])
    with pytest.raises(ValueError, match=r"held only true and false in fit, but now holds 'maybe' \(row 1\)"):
        BooleanColumn.read(pd.Series(["True", "maybe"]), "'member'")


def test_codes_are_shares_of_all_codes_and_rare_categories_have_one_in_common() -> None:
    values = names(*["b"] * 5, *["a"] * 7, *["rare"] * 4, None)
    column = CodedColumn.of(rows_of_each(values), len(values))
    assert (column.categories, column.missing, column.n_codes) == (("a", "b"), True, 4)
    found = encode(column, names("a", "b", "rare", "unseen", None))
    assert (found[:, 0] * 4).tolist() == [1.0, 2.0, 0.0, 0.0, 3.0]
    without = CodedColumn.of(rows_of_each(values[:-1]), len(values) - 1)
    assert without.n_codes == 3
    assert encode(without, names(None)).tolist() == [[0.0]]


@given(st.lists(st.sampled_from(["x", "y", "True", "1", "", "é", None]), min_size=1, max_size=30))
def test_texts_are_read_alike_whatever_holds_them(values: list[str | None]) -> None:
    expected = [None if value is None else value for value in values]
    for dtype in (object, "category", "string"):
        series = pd.Series(values, dtype=dtype)
        assert listed(CategoryColumn.read(series, "a")) == expected


def test_equal_values_of_several_kinds_keep_names_of_their_own() -> None:
    series = pd.Series([True, 1, 1.0, "1", 2.5], dtype=object)
    assert listed(CategoryColumn.read(series, "a")) == ["True", "1", "1", "1", "2.5"]
    two_names = pd.Series(pd.Categorical([1, "1", 1], categories=[1, "1"]))
    assert listed(CategoryColumn.read(two_names, "a")) == ["1", "1", "1"]
