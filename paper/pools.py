"""Resampled rows that are made once and kept on disk for all methods and processes that ask for them."""

from pathlib import Path
from typing import Any

import numpy as np
from joblib import Memory
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from metabalance.sampling import STRATEGIES, resample


class Kept(BaseEstimator):
    """The sampler of a strategy; asked for the same rows and seed again, it reads what it made before."""

    def __init__(self, strategy: str, location: Path, random_state: int | None = None) -> None:
        self.strategy = strategy
        self.location = location
        self.random_state = random_state

    def fit_resample(self, X: NDArray[Any], y: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Return the resampled rows and their labels."""
        kept = Memory(self.location, verbose=0).cache(resample)
        found: tuple[NDArray[Any], NDArray[np.int64]] = kept(
            X, y, self.strategy, random_state=self.random_state
        )
        return found


def sampler_for(strategy: str, location: Path) -> str | Kept:
    """A strategy by name where it draws rows as it goes, and with its rows kept where it makes a table."""
    return strategy if STRATEGIES[strategy].kind == "index" else Kept(strategy, location)
