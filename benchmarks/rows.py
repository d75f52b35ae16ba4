"""A table like that of the card-fraud task, of any length, for measuring speed and memory."""

import numpy as np
from numpy.typing import NDArray

SHIFT = 1.0


def make_rows(
    n_rows: int, *, n_features: int = 29, positives: float = 0.0017, seed: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return float32 rows and 0/1 labels in random order.

    Negatives are standard normal. Positives come from three clusters, each shifted at random in a third of
    the features, and by so little that a neural network reaches a ROC-AUC of about 0.95. The clusters are the
    same for every seed, so rows of another seed are test rows.

    Parameters
    ----------
    n_rows : int
    n_features : int, default=29
    positives : float, default=0.0017
        Share of the rare class, as in the paper's fraud task.
    seed : int, default=0
    """
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_rows, n_features), dtype=np.float32)
    y = np.zeros(n_rows, dtype=np.int64)
    rare = rng.choice(n_rows, size=round(positives * n_rows), replace=False)
    y[rare] = 1
    cluster = rng.integers(3, size=len(rare))
    shifted = np.arange(n_features) % 3 == np.arange(3)[:, None]
    centres = np.where(shifted, np.random.default_rng(0).normal(scale=SHIFT, size=(3, n_features)), 0.0)
    X[rare] += centres[cluster].astype(np.float32)
    return X, y
