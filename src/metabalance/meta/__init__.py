"""Algorithm 1 of MetaBalance: the exact outer gradient, and predicting at θ'. Imports torch only."""

from metabalance.meta.adapt import adapt, evaluation_mode
from metabalance.meta.dispatch import ENGINES
from metabalance.meta.gradient import MetaGradient, MetaLosses
from metabalance.meta.recomputing import Recomputed
from metabalance.meta.statistics import batch_statistics

__all__ = [
    "ENGINES",
    "MetaGradient",
    "MetaLosses",
    "Recomputed",
    "adapt",
    "batch_statistics",
    "evaluation_mode",
]
