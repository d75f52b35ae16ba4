import tracemalloc

import imblearn.over_sampling
import numpy as np
import pytest

from metabalance.sampling import smote
from metabalance.sampling.smote import SMOTE


@pytest.mark.parametrize("rows_at_once", [1, 7, 50, 8192])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_rows_are_those_of_imbalanced_learn_however_they_are_cut(table, rows_at_once, dtype, monkeypatch):
    monkeypatch.setattr(smote, "ROWS_AT_ONCE", rows_at_once)
    X, y = table(60, 10, 60, 21, labels=(4, -1, 0, 9))
    mixed = np.random.default_rng(0).permutation(len(y))
    X, y = X[mixed].astype(dtype), y[mixed]
    theirs = imblearn.over_sampling.SMOTE(k_neighbors=3, random_state=5).fit_resample(X, y)
    for mine, expected in zip(SMOTE(k_neighbors=3, random_state=5).fit_resample(X, y), theirs, strict=True):
        assert mine.dtype == expected.dtype
        np.testing.assert_array_equal(mine, expected)


def test_the_neighbours_and_the_seed_decide(table):
    X, y = table(60, 10)
    first, again = (SMOTE(random_state=0).fit_resample(X, y)[0] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, SMOTE(random_state=1).fit_resample(X, y)[0])
    assert not np.array_equal(first, SMOTE(k_neighbors=2, random_state=0).fit_resample(X, y)[0])


def test_too_few_rows_are_named(table):
    X, y = table(60, 5, 60)
    with pytest.raises(
        ValueError, match=r"class 1 has 5 rows, too few for k_neighbors=5: SMOTE needs 6 rows"
    ):
        SMOTE().fit_resample(X, y)
    assert len(SMOTE(k_neighbors=4).fit_resample(X, y)[0]) == 180


def test_little_more_memory_is_needed_than_for_the_result():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((200_500, 29), dtype=np.float32), np.repeat([0, 1], [200_000, 500])
    tracemalloc.start()
    try:
        X_new, y_new = SMOTE(random_state=0).fit_resample(X, y)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert X_new.shape == (400_000, 29)
    # In float64, or with the new rows twice, it would be at least 1.5 times the result.
    assert peak < 1.4 * (X_new.nbytes + y_new.nbytes)
