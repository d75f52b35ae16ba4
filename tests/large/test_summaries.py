import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metabalance.encoding.tables import TableEncoder, refuse_large
from metabalance.large import summaries
from metabalance.large.summaries import LabelSummary, NumericSummary, summary_for


def encoder_by_pieces(frame: pd.DataFrame, cuts: list[int], coded: bool = False) -> TableEncoder:
    schema = pa.Schema.from_pandas(frame, preserve_index=False)
    found = [summary_for(field) for field in schema]
    for start, stop in zip([0, *cuts], [*cuts, len(frame)], strict=True):
        piece = frame.iloc[start:stop]
        for each, name in zip(found, frame.columns, strict=True):
            each.add(piece[name], np.arange(len(piece)))
    refuse_large([each.label for each in found if isinstance(each, NumericSummary) and each.too_large])
    return TableEncoder(coded=coded).with_columns(found, list(frame.columns))


def a_table(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "plain": rng.normal(size=n) * 10.0 ** rng.integers(-3, 9),
            "gaps": np.where(rng.random(n) < 0.2, np.nan, rng.integers(0, 5, n)),
            "mostly_0": (rng.random(n) < 0.1) * rng.normal(size=n),
            "constant": 0.1,
            "flag": pd.array(rng.choice([True, False, None], n), dtype="boolean"),
            "sure": np.ones(n, dtype=bool),
            "city": pd.Categorical(rng.choice(["Bern", "Rome", "Oslo", "Linz"], n, p=[0.6, 0.3, 0.09, 0.01])),
            "none": pd.Categorical([None] * n, categories=["a"]),
            "empty": np.full(n, np.nan),
        }
    )
    frame.loc[rng.random(n) < 0.1, "city"] = None
    return frame


@given(st.integers(1, 400), st.integers(0, 1000), st.lists(st.integers(0, 400), max_size=4))
@settings(max_examples=60, deadline=None)
def test_pieces_say_what_the_whole_says(n: int, seed: int, cuts: list[int]) -> None:
    frame = a_table(n, seed)
    by_pieces = encoder_by_pieces(frame, sorted(min(cut, n) for cut in cuts))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="no column of X holds anything")
        whole = TableEncoder().fit(frame)
    np.testing.assert_allclose(by_pieces.transform(frame), whole.transform(frame), rtol=1e-5, atol=1e-6)
    kinds = [(type(one), one.outputs) for one in by_pieces.columns_]
    assert kinds == [(type(one), one.outputs) for one in whole.columns_]


def test_one_piece_is_bit_for_bit_the_whole() -> None:
    frame = a_table(1000, 0)
    assert encoder_by_pieces(frame, []).to_state() == TableEncoder().fit(frame).to_state()


def test_many_categories_are_coded_alike() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"shop": rng.choice([f"s{number}" for number in range(60)], 2000)})
    frame.loc[:50, "shop"] = None
    found, whole = encoder_by_pieces(frame, [7, 900], coded=True), TableEncoder(coded=True).fit(frame)
    assert found.to_state() == whole.to_state()


def test_what_only_rare_rows_show_is_not_lost() -> None:
    summary = NumericSummary("column 'a'")
    nothing_sampled = np.arange(0)
    summary.add(pd.Series([2.0] * 100), np.arange(100))
    summary.add(pd.Series([2.0, 5.0, np.nan]), nothing_sampled)
    column = summary.column(32, False)
    assert (column.center, column.indicator) == (2.0, True)
    assert column.scale == pytest.approx(np.std([2.0] * 101 + [5.0]))


def test_a_sample_without_a_known_value() -> None:
    summary = NumericSummary("column 'a'")
    summary.add(pd.Series([np.nan, 1.0, 3.0]), np.array([0]))
    column = summary.column(32, False)
    assert (column.center, column.scale) == (2.0, 1.0)


def test_infinite_numbers_are_refused_all_at_once() -> None:
    frame = pd.DataFrame({"a": [1.0, np.inf], "b": [0.0, 1.0], "c": [-1e39, 0.0]})
    with pytest.raises(ValueError, match=r"too large for float32 in column 'a', column 'c'"):
        encoder_by_pieces(frame, [1])


def test_very_many_categories_are_counted_while_they_are_frequent(monkeypatch) -> None:
    monkeypatch.setattr(summaries, "MOST_COUNTED", 10)
    rng = np.random.default_rng(0)
    names = np.where(rng.random(5000) < 0.6, rng.choice(["x", "y"], 5000), rng.permutation(5000).astype(str))
    frame = pd.DataFrame({"id": names})
    with pytest.warns(UserWarning, match=r"column 'id' holds more than 10 different texts"):
        column = encoder_by_pieces(frame, list(range(50, 5000, 50))).columns_[0]
    assert {"x", "y"} <= set(column.categories)
    assert column.other
    assert not column.missing


@pytest.mark.parametrize("kind", [pa.timestamp("s"), pa.date32(), pa.list_(pa.int32()), pa.binary()])
def test_columns_that_are_neither_numbers_nor_text(kind) -> None:
    with pytest.raises(TypeError, match=r"column 'when' has dtype .* turn it into numbers first"):
        summary_for(pa.field("when", kind))


def test_labels() -> None:
    labels = LabelSummary("late", most=3)
    labels.add(pd.Series(["no", "yes", "no"], dtype="category"))
    labels.add(pd.Series(["no"], dtype=pd.CategoricalDtype(["no", "never"])))
    assert labels.counts == {"no": 3, "yes": 1}
    assert labels.labels() == ["no", "yes"]
    with pytest.raises(
        ValueError, match=r"'late' looks like a quantity .* more than 3 different values in the first 8"
    ):
        labels.add(pd.Series(["a", "b", "c", "d"]))


def test_labels_that_are_missing() -> None:
    labels = LabelSummary("late", most=3)
    labels.add(pd.Series([0, 1]))
    labels.add(pd.Series([1.0, np.nan, np.nan]))
    with pytest.raises(
        ValueError, match=r"2 of 5 labels in 'late' are missing, the first in row 3, counted from 0"
    ):
        labels.labels()
    with pytest.raises(ValueError, match=r"the table has no rows"):
        LabelSummary("late", most=3).labels()


def test_decimal_numbers_are_numbers(tmp_path: Path) -> None:
    field = pa.field("price", pa.decimal128(5, 2))
    assert isinstance(summary_for(field), NumericSummary)
