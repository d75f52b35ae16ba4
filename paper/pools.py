"""Resampled rows that are made once and kept on disk for all methods and processes that ask for them."""

from pathlib import Path

from joblib import Memory

from metabalance.sampling import STRATEGIES, Remembered


def sampler_for(strategy: str, location: Path) -> str | Remembered:
    """A strategy by name where it draws rows as it goes, and with its rows kept where it makes a table."""
    if STRATEGIES[strategy].kind == "index":
        return strategy
    return Remembered(strategy, Memory(location, verbose=0))
