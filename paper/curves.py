"""ROC-AUC after each epoch of one run, and what is reported of it."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata


def roc_auc(scores: NDArray[Any], y: NDArray[np.int64]) -> float:
    """Chance that a positive row scores higher than a negative one; ties count half (Mann and Whitney)."""
    positive = y == 1
    count = int(positive.sum())
    rank_sum = float(rankdata(scores)[positive].sum())
    return (rank_sum - count * (count + 1) / 2) / (count * (len(y) - count))


def ends_of_epochs(epochs: int, pass_size: int, rows: int) -> list[int]:
    """The updates (from 1) after which scores are taken, where an update draws ``rows`` of a stream's pass.

    An epoch is one pass; where that is less than one update, several epochs end with the same one.
    """
    return sorted({math.ceil(epoch * pass_size / rows) for epoch in range(1, epochs + 1)})


@dataclass
class Curve:
    """Scores after each epoch; the validation ones are missing where the protocol has no such rows.

    ``failure`` says why there are none after some epoch, where training diverged.
    """

    test: list[float] = field(default_factory=list)
    valid: list[float] = field(default_factory=list)
    failure: str | None = None

    def summary(self) -> dict[str, float | int]:
        """Return the reported score, the best by validation or else the last, and when it was taken.

        ``epoch`` counts scorings from 1. These are as many as epochs, but where a pass is shorter than a
        batch: epochs that end with the same update then count once (see `ends_of_epochs`).
        ``oracle_auc``, the best on the test rows, is no result but an upper bound for any choice of epoch.
        """
        at = int(np.argmax(self.valid)) if self.valid else len(self.test) - 1
        found: dict[str, float | int] = {
            "test_auc": round(self.test[at], 6),
            "epoch": at + 1,
            "epochs": len(self.test),
            "last_test_auc": round(self.test[-1], 6),
            "oracle_auc": round(max(self.test), 6),
        }
        if self.valid:
            found["valid_auc"] = round(self.valid[at], 6)
        return found
