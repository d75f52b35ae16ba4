"""Networks and losses."""

from metabalance.nn.losses import CrossEntropy, FocalLoss, LossFunction, class_logits
from metabalance.nn.mlp import MLP

__all__ = ["MLP", "CrossEntropy", "FocalLoss", "LossFunction", "class_logits"]
