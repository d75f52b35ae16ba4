"""Means with their standard errors, and paired differences with confidence intervals."""

import math
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
from scipy.stats import t


class Estimate(NamedTuple):
    """A mean over runs, its standard error (NaN for a single run) and the number of runs."""

    mean: float
    error: float
    runs: int


def estimate(scores: Collection[float]) -> Estimate:
    """Mean and standard error of the mean."""
    values = np.asarray(list(scores), dtype=float)
    error = float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return Estimate(float(values.mean()), error, len(values))


def paired_difference(
    scores: Mapping[int, float], reference: Mapping[int, float], overlap: float = 0.0
) -> tuple[float, float]:
    """Mean of scores − reference over the seeds of both, and half the width of its 95 % interval (t).

    Runs on random splits of the same rows share most of these, so that their differences vary less than
    those of new rows would: ``overlap``, the rows tested over the rows trained on, widens the interval by
    Nadeau and Bengio (2003), "Inference for the generalization error". 0 is for runs on one split, whose
    interval then speaks of that split alone.
    """
    seeds = sorted(set(scores) & set(reference))
    found = estimate([scores[seed] - reference[seed] for seed in seeds])
    if found.runs < 2:
        return found.mean, math.nan
    error = found.error * math.sqrt(1 + overlap * found.runs)
    return found.mean, error * float(t.ppf(0.975, found.runs - 1))


def standard_errors_apart(ours: Estimate, mean: float, error: float) -> float:
    """(ours − theirs) over the standard error of the difference of two independent means."""
    return (ours.mean - mean) / math.hypot(ours.error, error)
