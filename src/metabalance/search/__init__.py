"""MS-MetaBalance: which pair of sampling strategies suits the data, by cross-validation."""

from metabalance.search.classifier import PAPER_STRATEGIES, MSMetaBalanceClassifier

__all__ = ["PAPER_STRATEGIES", "MSMetaBalanceClassifier"]
