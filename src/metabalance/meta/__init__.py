"""Algorithm 1 of MetaBalance: the exact outer gradient, and the adapted parameters. Imports torch only."""

from metabalance.meta.adapt import adapt, evaluation_mode
from metabalance.meta.dispatch import ENGINES
from metabalance.meta.gradient import MetaGradient, MetaLosses
from metabalance.meta.recomputing import Recomputed

__all__ = ["ENGINES", "MetaGradient", "MetaLosses", "Recomputed", "adapt", "evaluation_mode"]
