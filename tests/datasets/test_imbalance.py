"""Exact counts, seeds and errors of the imbalance recipes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metabalance.datasets import long_tailed, one_majority, step_imbalance, thin_class

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


@given(st.integers(1, 8), st.integers(0, 12), st.integers(0, 99))
def test_one_majority_with_a_number_of_each_class_own(fewest: int, more: int, seed: int) -> None:
    y = np.repeat(np.arange(7), 20)
    rows = one_majority(y, 3, (fewest, fewest + more), random_state=seed)
    kept = counts(y[rows])
    assert kept.pop(3) == 20
    assert len(kept) == 6
    assert all(fewest <= count <= fewest + more for count in kept.values())


def test_all_numbers_of_a_range_occur() -> None:
    y = np.repeat([0, 1], 30)
    found = {int((y[one_majority(y, 0, (5, 8), seed)] == 1).sum()) for seed in range(60)}
    assert found == {5, 6, 7, 8}


@given(
    st.integers(2, 12),
    st.integers(1, 200),
    st.floats(1, 100),
    st.integers(0, 99),
)
def test_long_tailed_counts(n_classes: int, size: int, factor: float, seed: int) -> None:
    # The closed form of Cui et al., in exact arithmetic of its own: log-linear from size to size / factor.
    exact = [size * np.exp(-np.log(factor) * k / (n_classes - 1)) for k in range(n_classes)]
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(n_classes), size))
    if exact[-1] < 1 - 1e-6:
        with pytest.raises(ValueError, match="leaves no row of class"):
            long_tailed(y, factor, random_state=seed)
        return
    rows = long_tailed(y, factor, random_state=seed)
    found = np.bincount(y[rows], minlength=n_classes)
    assert all(np.floor(e - 1e-6) <= n <= np.floor(e + 1e-6) for e, n in zip(exact, found, strict=True))
    assert found[0] == size
    assert (np.diff(rows) > 0).all()


@given(st.integers(2, 12), st.integers(1, 200), st.integers(1, 50), st.floats(0.01, 0.99))
def test_step_counts(n_classes: int, size: int, factor: int, share: float) -> None:
    y = np.repeat(np.arange(n_classes), size)
    if size < factor:
        with pytest.raises(ValueError, match="leaves no row of class"):
            step_imbalance(y, factor, share, random_state=0)
        return
    found = np.bincount(y[step_imbalance(y, factor, share, random_state=0)], minlength=n_classes)
    assert (np.diff(found) <= 0).all()
    assert set(found) == {size, size // factor}
    if size // factor < size:
        rare = int((found == size // factor).sum())
        assert 1 <= rare <= n_classes - 1
        assert abs(rare - share * n_classes) <= 0.5 or rare in (1, n_classes - 1)


def test_unequal_classes_are_thinned_from_the_size_of_the_smallest() -> None:
    assert counts(LETTERS[long_tailed(LETTERS, 4, 0)]) == {"a": 10, "b": 5, "c": 2}
    assert counts(LETTERS[step_imbalance(LETTERS, 5, 0.4, 0)]) == {"a": 10, "b": 10, "c": 2}


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
        lambda seed: long_tailed(LETTERS, 4, seed),
        lambda seed: step_imbalance(LETTERS, 4, random_state=seed),
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
        (
            lambda: one_majority(LETTERS, "a", (2, 11)),
            r"class 'c' has 10 rows, fewer than minority_count=\(2, 11",
        ),
        (
            lambda: one_majority(LETTERS, "a", (3, 2)),
            r"minority_count=\(3, 2\) must have the smaller number first",
        ),
        (lambda: one_majority(LETTERS, "a", (1, 2, 3)), r"must be a whole number or a pair \(fewest, most\)"),
        (lambda: one_majority(LETTERS, "a", (0, 2)), "minority_count=0 must be a whole number"),
        (lambda: long_tailed(LETTERS, 0.5), "factor=0.5 must be a number of at least 1"),
        (lambda: long_tailed(LETTERS, "10"), "factor='10' must be a number"),
        (lambda: long_tailed(LETTERS, 100), "factor=100 leaves no row of class 'c'"),
        (lambda: long_tailed(["a", "a"], 2), "every label is 'a'"),
        (lambda: step_imbalance(LETTERS, np.inf), "factor=inf must be a number"),
        (lambda: step_imbalance(LETTERS, 2, 1.0), "minority_share=1.0 must lie between 0 and 1"),
        (lambda: step_imbalance(LETTERS, 11), "factor=11 leaves no row of class 'b'"),
        (lambda: one_majority([[1, 2]], 1, 1), r"one label per row, got shape \(1, 2\)"),
        (lambda: one_majority([], 1, 1), r"one label per row, got shape \(0,\)"),
        (lambda: one_majority([1.0, np.nan], 1, 1), "1 of 2 labels are missing"),
        (lambda: thin_class([None, "a"], "a", 0.1), "1 of 2 labels are missing"),
        (lambda: thin_class(LETTERS, 7, 0.1), "no row has the label 7"),
        (lambda: thin_class(LETTERS, "a", 1.0), "fraction=1.0 must lie between 0 and 1"),
        (lambda: thin_class(LETTERS, "a", 5), "fraction=5 must lie between"),
        (lambda: step_imbalance(LETTERS, 2, None), "minority_share=None must lie between"),
        (lambda: one_majority(["a"] * 5, "a", 1), "every label is 'a': at least two classes"),
        (lambda: long_tailed(LETTERS, 2, random_state=-1), "random_state must be a whole number .*got -1"),
        (
            lambda: thin_class(LETTERS, "c", 0.5),
            "class 'c' makes up 0.167 of the rows, less than fraction=0.5",
        ),
        (lambda: thin_class(LETTERS, "c", 0.001), "leaves no row of class 'c' beside 50 others: raise"),
        (lambda: thin_class([1, 1], 1, 0.5), "class 1 is the only one"),
    ],
)
def test_errors(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
