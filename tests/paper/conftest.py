"""Two small tasks in the shape of the paper's."""

import numpy as np
import pytest
from paper.protocols import make_split


def rows_of(n=240, features=4, seed=0):
    rng = np.random.default_rng(seed)
    y = (np.arange(n) < n // 6).astype(np.int64)
    X = rng.normal(size=(n, features)) + y[:, None]
    mixed = rng.permutation(n)
    return X[mixed], y[mixed]


@pytest.fixture
def splits():
    X, y = rows_of()
    return [make_split(X, y, "sound", run) for run in range(3)]
