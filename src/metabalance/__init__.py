"""Neural networks for class-imbalanced data, trained by exact meta-gradients and compared honestly."""

from metabalance.estimators import (
    Checkpoint,
    FaceEmbedder,
    MetaBalanceClassifier,
    MetaWeightNetClassifier,
    NeuralClassifier,
)
from metabalance.evaluation import Comparison, compare, correct_prior
from metabalance.meta import MetaGradient, adapt
from metabalance.sampling import BatchStream, MetaBatchStream
from metabalance.search import MSMetaBalanceClassifier

__version__ = "0.1.0"

__all__ = [
    "BatchStream",
    "Checkpoint",
    "Comparison",
    "FaceEmbedder",
    "MSMetaBalanceClassifier",
    "MetaBalanceClassifier",
    "MetaBatchStream",
    "MetaGradient",
    "MetaWeightNetClassifier",
    "NeuralClassifier",
    "adapt",
    "compare",
    "correct_prior",
]
