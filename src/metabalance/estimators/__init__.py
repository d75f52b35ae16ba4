"""The scikit-learn face: classifiers for imbalanced tables, images and arrays."""

from metabalance.estimators.checkpoints import Checkpoint
from metabalance.estimators.decisions import AlertsAtMost, Costs, PrecisionAtLeast, RecallAtLeast
from metabalance.estimators.faces import FaceEmbedder
from metabalance.estimators.meta_weight_net import MetaWeightNetClassifier
from metabalance.estimators.metabalance import MetaBalanceClassifier
from metabalance.estimators.plain import NeuralClassifier

__all__ = [
    "AlertsAtMost",
    "Checkpoint",
    "Costs",
    "FaceEmbedder",
    "MetaBalanceClassifier",
    "MetaWeightNetClassifier",
    "NeuralClassifier",
    "PrecisionAtLeast",
    "RecallAtLeast",
]
