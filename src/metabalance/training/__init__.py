"""Update rules and the loop that runs them."""

from metabalance.training.budget import MAX_ROWS_PER_EPOCH, MIN_ROWS_PER_EPOCH, EpochBudget
from metabalance.training.callbacks import CosineSchedule, EpochProgress, EpochScores, WeightAveraging
from metabalance.training.changed import Augmentation, ChangedBatches
from metabalance.training.data import Part, PartInMemory, StoredPart, stratified_holdout
from metabalance.training.deferred import DeferredReweighting, LateEarlyStopping
from metabalance.training.embedding import Embeds, embed_rows
from metabalance.training.holdouts import Holdouts, cross_fitted_holdouts
from metabalance.training.looks import Look, look_at_members, look_at_parts
from metabalance.training.loop import TrainingLoop, resolve_device
from metabalance.training.meta_weight_net import MetaWeightNet
from metabalance.training.prediction import predict_members, predict_probabilities, rows_per_chunk
from metabalance.training.processes import Shared, agreed, check_same_fit
from metabalance.training.rules import ERM, MetaBalance, UpdateRule
from metabalance.training.sam import SAM
from metabalance.training.saver import Saver, check_same_run
from metabalance.training.seeding import seeded
from metabalance.training.threads import is_small, one_thread

__all__ = [
    "ERM",
    "MAX_ROWS_PER_EPOCH",
    "MIN_ROWS_PER_EPOCH",
    "SAM",
    "Augmentation",
    "ChangedBatches",
    "CosineSchedule",
    "DeferredReweighting",
    "Embeds",
    "EpochBudget",
    "EpochProgress",
    "EpochScores",
    "Holdouts",
    "LateEarlyStopping",
    "Look",
    "MetaBalance",
    "MetaWeightNet",
    "Part",
    "PartInMemory",
    "Saver",
    "Shared",
    "StoredPart",
    "TrainingLoop",
    "UpdateRule",
    "WeightAveraging",
    "agreed",
    "check_same_fit",
    "check_same_run",
    "cross_fitted_holdouts",
    "embed_rows",
    "is_small",
    "look_at_members",
    "look_at_parts",
    "one_thread",
    "predict_members",
    "predict_probabilities",
    "resolve_device",
    "rows_per_chunk",
    "seeded",
    "stratified_holdout",
]
