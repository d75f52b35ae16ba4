"""Splits with one majority class in training."""

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from tests.datasets.test_imbalance import counts

from metabalance.datasets import OneMajoritySplit


@pytest.mark.parametrize(
    ("call", "message"),
    [
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
