import warnings

import numpy as np
import pytest
from joblib import Memory
from sklearn.base import BaseEstimator

from metabalance.sampling import MetaBatchStream, Remembered, resample


class Counting(BaseEstimator):
    """A sampler that writes a line for every use, and keeps the rows of even numbers."""

    def __init__(self, log):
        self.log = log

    def fit_resample(self, X, y):
        with self.log.open("a") as file:
            file.write("used\n")
        return X[::2], y[::2]


@pytest.fixture
def memory(tmp_path) -> Memory:
    return Memory(tmp_path / "memory", verbose=0)


def test_the_rows_are_those_of_the_strategy(table, memory) -> None:
    X, y = table(30, 10)
    for _ in range(2):
        kept = Remembered("smote", memory).resample(X, y, random_state=3)
        for got, expected in zip(kept, resample(X, y, "smote", random_state=3), strict=True):
            np.testing.assert_array_equal(got, expected)


def test_only_other_rows_labels_seeds_and_strategies_are_resampled_anew(table, memory, tmp_path) -> None:
    X, y = table(30, 10)
    sampler = Remembered(Counting(tmp_path / "log"), memory)
    moved, relabelled = X.copy(), y.copy()
    moved[7, 1] += 1
    relabelled[7] = 1
    for _ in range(2):
        sampler.resample(X, y, random_state=0)
        sampler.resample(moved, y, random_state=0)
        sampler.resample(X, relabelled, random_state=0)
        sampler.resample(X, y, random_state=1)
    Remembered(Counting(tmp_path / "other"), memory).resample(X, y, random_state=0)
    assert (tmp_path / "log").read_text().count("used") == 4
    assert (tmp_path / "other").read_text().count("used") == 1


def test_streams_draw_what_they_draw_without_memory(table, memory) -> None:
    X, y = table(30, 10)
    plain = MetaBatchStream(X, y, support="enn", query="smote", random_state=0)
    kept = MetaBatchStream(
        X, y, support=Remembered("enn", memory), query=Remembered("smote", memory), random_state=0
    )
    for expected, got in zip(plain.draw(), kept.draw(), strict=True):
        for one, other in zip(expected, got, strict=True):
            np.testing.assert_array_equal(one, other)
    assert kept.state_dict()["query"]["strategy"] == "smote"


def test_errors_are_those_of_the_strategy_and_warnings_come_once(table, memory) -> None:
    X, y = table(30, 4)
    sampler = Remembered("smote", memory)
    with pytest.raises(ValueError, match="means nothing for categories"):
        sampler.resample(X, y, random_state=0, categorical=np.ones(3, dtype=bool))
    with pytest.warns(UserWarning, match="smote uses k=3 neighbours"):
        sampler.resample(X, y, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sampler.resample(X, y, random_state=0)
