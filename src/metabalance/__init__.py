"""Neural networks for class-imbalanced data, trained by exact meta-gradients and compared honestly."""

from metabalance.estimators import (
    AlertsAtMost,
    Checkpoint,
    Costs,
    FaceEmbedder,
    MetaBalanceClassifier,
    MetaWeightNetClassifier,
    NeuralClassifier,
    PrecisionAtLeast,
    RecallAtLeast,
)
from metabalance.evaluation import Comparison, compare, correct_prior
from metabalance.large import LargeTable
from metabalance.meta import MetaGradient, adapt
from metabalance.sampling import BatchStream, MetaBatchStream
from metabalance.search import MSMetaBalanceClassifier

__version__ = "0.1.0"

__all__ = [
    "AlertsAtMost",
    "BatchStream",
    "Checkpoint",
    "Comparison",
    "Costs",
    "FaceEmbedder",
    "LargeTable",
    "MSMetaBalanceClassifier",
    "MetaBalanceClassifier",
    "MetaBatchStream",
    "MetaGradient",
    "MetaWeightNetClassifier",
    "NeuralClassifier",
    "PrecisionAtLeast",
    "RecallAtLeast",
    "adapt",
    "compare",
    "correct_prior",
]
