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


def paired_difference(scores: Mapping[int, float], reference: Mapping[int, float]) -> tuple[float, float]:
    """Mean of scores − reference over the seeds of both, and half the width of its 95 % interval (t)."""
    seeds = sorted(set(scores) & set(reference))
    found = estimate([scores[seed] - reference[seed] for seed in seeds])
    return found.mean, found.error * float(t.ppf(0.975, found.runs - 1)) if found.runs > 1 else math.nan


def standard_errors_apart(ours: Estimate, mean: float, error: float) -> float:
    """(ours − theirs) over the standard error of the difference of two independent means."""
    return (ours.mean - mean) / math.hypot(ours.error, error)
