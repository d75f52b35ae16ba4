"""Networks and losses."""

from metabalance.nn.class_weights import effective_number_weights
from metabalance.nn.losses import (
    CrossEntropy,
    FocalLoss,
    LogitAdjustedCrossEntropy,
    LossFunction,
    class_logits,
)
from metabalance.nn.mlp import MLP
from metabalance.nn.resnet import ResNet

__all__ = [
    "MLP",
    "CrossEntropy",
    "FocalLoss",
    "LogitAdjustedCrossEntropy",
    "LossFunction",
    "ResNet",
    "class_logits",
    "effective_number_weights",
]
