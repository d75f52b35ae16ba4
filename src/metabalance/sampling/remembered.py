"""A strategy whose resampled rows are kept, so that many fits on the same rows resample them once."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Memory
from numpy.typing import NDArray

from metabalance.sampling.resampling import resample
from metabalance.sampling.strategies import SamplerLike, resolve_strategy


@dataclass(frozen=True)
class Remembered:
    """A strategy that looks at the rows, and where its results are kept.

    What is kept is found by the contents of rows, labels, strategy, seed and column kinds: a fit on anything
    else resamples anew, and never gets rows that are not its own.

    Parameters
    ----------
    strategy : str or object with ``fit_resample``
        Not an index strategy, which has nothing to keep.
    memory : joblib.Memory
        May be shared by processes.
    """

    strategy: str | SamplerLike
    memory: Memory

    def resample(
        self, X: NDArray[Any], y: NDArray[Any], **options: Any
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """As `metabalance.sampling.resample`; warnings come only where the rows are new."""
        with warnings.catch_warnings():
            # joblib's, of a slow disk: nothing that the user could change by calling this otherwise.
            warnings.filterwarnings("ignore", message="Persisting input arguments took")
            kept: tuple[NDArray[Any], NDArray[np.int64]] = self.memory.cache(resample)(
                X, y, self.strategy, **options
            )
        return kept


def chooses_rows(strategy: str | SamplerLike | Remembered) -> bool:
    """Whether a strategy draws rows of the data as they are, by their numbers."""
    spec = strategy.strategy if isinstance(strategy, Remembered) else strategy
    return resolve_strategy(spec).kind == "index"
