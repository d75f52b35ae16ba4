"""Metrics, methods and the cross-validated comparison."""

from metabalance.evaluation.compare import compare
from metabalance.evaluation.comparison import Comparison, FoldResult, MethodInfo
from metabalance.evaluation.environment import describe_environment
from metabalance.evaluation.identification import Identification, identification_rates
from metabalance.evaluation.methods import DEFAULT_METHODS, method_names
from metabalance.evaluation.metrics import METRICS, recall_per_class, score_predictions
from metabalance.evaluation.posthoc import correct_prior, predict_at_recall
from metabalance.evaluation.verification import Verification, verification_rates

__all__ = [
    "DEFAULT_METHODS",
    "METRICS",
    "Comparison",
    "FoldResult",
    "Identification",
    "MethodInfo",
    "Verification",
    "compare",
    "correct_prior",
    "describe_environment",
    "identification_rates",
    "method_names",
    "predict_at_recall",
    "recall_per_class",
    "score_predictions",
    "verification_rates",
]
