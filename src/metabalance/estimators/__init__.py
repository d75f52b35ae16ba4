"""The scikit-learn face: classifiers for imbalanced tables, images and arrays."""

from metabalance.estimators.metabalance import MetaBalanceClassifier
from metabalance.estimators.plain import NeuralClassifier

__all__ = ["MetaBalanceClassifier", "NeuralClassifier"]
