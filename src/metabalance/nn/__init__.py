"""Networks and losses."""

from metabalance.nn.augment import CropAndFlip
from metabalance.nn.class_weights import effective_number_weights
from metabalance.nn.decay import weight_decay_groups
from metabalance.nn.losses import (
    CrossEntropy,
    FocalLoss,
    LogitAdjustedCrossEntropy,
    LossFunction,
    RowLoss,
    class_logits,
)
from metabalance.nn.margins import CosFaceLoss, CosineLinear, LDAMLoss, MarginLoss
from metabalance.nn.member_loss import MemberLoss
from metabalance.nn.mixing import CutMix, MixedBatch, MixedLoss, Mixing, Mixup
from metabalance.nn.mlp import MLP
from metabalance.nn.piecewise import PiecewiseLinear
from metabalance.nn.resnet import ResNet
from metabalance.nn.table_network import TableNetwork

__all__ = [
    "MLP",
    "CosFaceLoss",
    "CosineLinear",
    "CropAndFlip",
    "CrossEntropy",
    "CutMix",
    "FocalLoss",
    "LDAMLoss",
    "LogitAdjustedCrossEntropy",
    "LossFunction",
    "MarginLoss",
    "MemberLoss",
    "MixedBatch",
    "MixedLoss",
    "Mixing",
    "Mixup",
    "PiecewiseLinear",
    "ResNet",
    "RowLoss",
    "TableNetwork",
    "class_logits",
    "effective_number_weights",
    "weight_decay_groups",
]
