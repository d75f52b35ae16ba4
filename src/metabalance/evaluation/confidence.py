"""How sure predictions are of themselves, and how often they are right."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

N_BINS = 15

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Confidence:
    """Rows in 15 bins of equal width, (b/15, (b+1)/15], by their highest probability, and their Brier score.

    Parameters
    ----------
    rows : tuple of int
        Rows in each bin.
    confidence : tuple of float
        Sum of their highest probabilities.
    right : tuple of int
        For how many of them that class is the true one.
    brier : float
        Mean over rows of Σ_k (p_k − 1[y = k])² / 2.
    """

    rows: tuple[int, ...]
    confidence: tuple[float, ...]
    right: tuple[int, ...]
    brier: float

    @classmethod
    def of(cls, codes: Array, proba: Array) -> Self:
        """Look at rows: true codes of shape (n,), probabilities of shape (n, K).

        Examples
        --------
        >>> round(Confidence.of(np.array([0, 1]), np.array([[0.9, 0.1], [0.6, 0.4]])).error, 6)
        0.35
        """
        highest = proba.max(axis=1).astype(np.float64)
        bins = np.clip(np.ceil(highest * N_BINS).astype(int) - 1, 0, N_BINS - 1)
        right = proba.argmax(axis=1) == codes
        onehot = np.eye(proba.shape[1])[codes]
        return cls(
            tuple(np.bincount(bins, minlength=N_BINS).tolist()),
            tuple(np.bincount(bins, highest, N_BINS).tolist()),
            tuple(np.bincount(bins[right], minlength=N_BINS).tolist()),
            float(np.square(proba - onehot).sum(axis=1).mean() / 2),
        )

    @classmethod
    def pooled(cls, each: Iterable[Self]) -> Self:
        """Take the rows of several together, of which there is at least one."""
        parts = list(each)
        sizes = [sum(part.rows) for part in parts]
        rows, confidence, right = (
            tuple(map(sum, zip(*(getattr(part, name) for part in parts), strict=True)))
            for name in ("rows", "confidence", "right")
        )
        return cls(rows, confidence, right, float(np.average([p.brier for p in parts], weights=sizes)))

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Undo ``dataclasses.asdict`` and JSON."""
        return cls(
            tuple(stored["rows"]), tuple(stored["confidence"]), tuple(stored["right"]), stored["brier"]
        )

    @property
    def error(self) -> float:
        """Expected calibration error: mean distance of confidence and share of right rows in the bins."""
        gaps = np.abs(np.array(self.right) - np.array(self.confidence))
        return float(gaps.sum() / sum(self.rows))
