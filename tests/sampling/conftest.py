"""Tables of Gaussian classes, one per class along the diagonal."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

Table = tuple[NDArray[np.float32], NDArray[np.int64]]


@pytest.fixture
def table() -> Callable[..., Table]:
    """Make rows of each class around (distance·i, distance·i, …); classes count from 0 unless named."""

    def make(*counts: int, distance: float = 2.0, labels: tuple[int, ...] | None = None) -> Table:
        rng = np.random.default_rng(0)
        X = np.concatenate([rng.normal(i * distance, 1.0, size=(n, 3)) for i, n in enumerate(counts)])
        return X.astype(np.float32), np.repeat(range(len(counts)) if labels is None else labels, counts)

    return make
