"""Two small tasks in the shape of the paper's."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from paper.protocols import make_split


def rows_of(n=240, features=4, seed=0):
    rng = np.random.default_rng(seed)
    y = (np.arange(n) < n // 6).astype(np.int64)
    X = rng.normal(size=(n, features)) + y[:, None]
    mixed = rng.permutation(n)
    return X[mixed], y[mixed]


@pytest.fixture(autouse=True)
def _tiny_numbers_afterwards() -> Iterator[None]:
    """A run flushes them to 0 in its own process, which here is that of other tests, too."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture
def splits():
    X, y = rows_of()
    return [make_split(X, y, "sound", run) for run in range(3)]
