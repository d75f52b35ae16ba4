"""Exact counts, seeds and errors of the imbalance recipes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from metabalance.datasets import OneMajoritySplit, one_majority, thin_class

LETTERS = np.array(["a"] * 30 + ["b"] * 20 + ["c"] * 10)


def counts(labels: np.ndarray) -> dict[Any, int]:
    return dict(zip(*(part.tolist() for part in np.unique(labels, return_counts=True)), strict=True))


@given(
    st.lists(st.integers(5, 30), min_size=2, max_size=6),
    st.integers(1, 5),
    st.integers(0, 5),
    st.integers(0, 99),
)
def test_one_majority_counts(sizes: list[int], minority: int, which: int, seed: int) -> None:
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    majority = which % len(sizes)
    rows = one_majority(y, majority, minority, random_state=seed)
    expected = dict.fromkeys(range(len(sizes)), minority) | {majority: sizes[majority]}
    assert counts(y[rows]) == expected
    assert (np.diff(rows) > 0).all()


@given(st.integers(1, 400), st.integers(1, 400), st.floats(0.001, 0.999))
def test_thin_class_counts(n_rare: int, n_others: int, fraction: float) -> None:
    y = np.array([1] * n_rare + [0] * n_others)
    wanted = round(fraction * n_others / (1 - fraction))
    if not 1 <= wanted <= n_rare:
        with pytest.raises(ValueError, match="fraction"):
            thin_class(y, 1, fraction, random_state=0)
        return
    rows = thin_class(y, 1, fraction, random_state=0)
    assert counts(y[rows]) == {0: n_others, 1: wanted}
    # The closest whole number: one row more or less is no nearer to the share asked for.
    assert abs(wanted - fraction * (wanted + n_others)) <= 0.5 + 1e-9
    assert (np.diff(rows) > 0).all()


def test_seeds_decide_the_rows() -> None:
    for recipe in (
        lambda seed: one_majority(LETTERS, "a", 4, seed),
        lambda seed: thin_class(LETTERS, "a", 0.1, seed),
    ):
        np.testing.assert_array_equal(recipe(3), recipe(3))
        np.testing.assert_array_equal(recipe(3), recipe(np.random.default_rng(3)))
        assert recipe(3).tolist() != recipe(4).tolist()


def test_every_minority_row_can_be_chosen() -> None:
    rng = np.random.default_rng(0)
    chosen = np.concatenate([one_majority(LETTERS, "a", 3, rng) for _ in range(100)])
    assert set(chosen) == set(range(60))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: one_majority(LETTERS, "z", 5), "no row has the label 'z'; there are 'a', 'b', 'c'"),
        (lambda: one_majority(LETTERS, "a", 11), "class 'c' has 10 rows, fewer than minority_count=11"),
        (lambda: one_majority(LETTERS, "a", 0), "minority_count=0 must be a whole number"),
        (lambda: one_majority(LETTERS, "a", 2.5), "minority_count=2.5 must be a whole number"),
        (lambda: one_majority([[1, 2]], 1, 1), r"one label per row, got shape \(1, 2\)"),
        (lambda: one_majority([], 1, 1), r"one label per row, got shape \(0,\)"),
        (lambda: one_majority([1.0, np.nan], 1, 1), "1 of 2 labels are missing"),
        (lambda: thin_class([None, "a"], "a", 0.1), "1 of 2 labels are missing"),
        (lambda: thin_class(LETTERS, 7, 0.1), "no row has the label 7"),
        (lambda: thin_class(LETTERS, "a", 1.0), "fraction=1.0 must lie between 0 and 1"),
        (lambda: thin_class(LETTERS, "a", 5), "fraction=5 must lie between"),
        (
            lambda: thin_class(LETTERS, "c", 0.5),
            "class 'c' makes up 0.167 of the rows, less than fraction=0.5",
        ),
        (lambda: thin_class(LETTERS, "c", 0.001), "leaves no row of class 'c' beside 50 others: raise"),
        (lambda: thin_class([1, 1], 1, 0.5), "class 1 is the only one"),
        (lambda: OneMajoritySplit(0), "n_splits=0 must be a whole number"),
        (lambda: OneMajoritySplit(minority_count=True), "minority_count=True must be a whole"),
        (lambda: OneMajoritySplit(test_size=1.0), "test_size=1.0 must lie between"),
        (lambda: next(OneMajoritySplit().split(None, [1, 1])), "every label is 1: at least two classes"),
        (lambda: next(OneMajoritySplit().split(None, [0] * 20 + [1] * 8)), "class 1 has 4 rows, fewer than"),
    ],
)
def test_errors(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_each_split_has_its_own_majority_and_a_balanced_test_half() -> None:
    y = np.random.default_rng(0).permutation(np.repeat(["x", "y", "z"], 40))
    splits = list(OneMajoritySplit(n_splits=4, minority_count=5).split(np.zeros((120, 2)), y))
    majorities = []
    for train, test in splits:
        assert counts(y[test]) == {"x": 20, "y": 20, "z": 20}
        assert sorted(counts(y[train]).values()) == [5, 5, 20]
        assert not set(train) & set(test)
        majorities.append(max(counts(y[train]).items(), key=lambda item: item[1])[0])
    assert majorities == ["x", "y", "z", "x"]
    assert splits[0][1].tolist() != splits[3][1].tolist()


def test_splits_repeat_with_an_integer_seed_and_differ_between_seeds() -> None:
    y = np.repeat([0, 1], 50)

    def rows(seed: int) -> list[list[int]]:
        splitter = OneMajoritySplit(n_splits=2, random_state=seed)
        return [part.tolist() for _ in range(2) for split in splitter.split(None, y) for part in split]

    first = rows(0)
    assert first[:4] == first[4:]
    assert first != rows(1)


def test_scikit_learn_takes_it_as_cv() -> None:
    y = np.repeat([0, 1, 2], 30)
    splitter = OneMajoritySplit(n_splits=3, test_size=0.3)
    assert splitter.get_n_splits() == 3
    assert repr(splitter) == "OneMajoritySplit(n_splits=3, minority_count=5, test_size=0.3, random_state=0)"
    scores = cross_val_score(LogisticRegression(), np.eye(3)[y] * 5, y, cv=splitter)
    assert scores.tolist() == [1.0, 1.0, 1.0]
