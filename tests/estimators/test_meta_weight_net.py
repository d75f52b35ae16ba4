import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.metrics import roc_auc_score
from torch import nn

from metabalance import MetaWeightNetClassifier, NeuralClassifier
from tests.estimators.conftest import QUICK


class Normed(nn.Module):
    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_inputs, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, n_outputs)
        )

    def forward(self, x):
        return self.layers(x)


def test_it_learns(binary) -> None:
    X, y = binary
    net = MetaWeightNetClassifier(random_state=0, max_epochs=30).fit(X[:200], y[:200])
    assert roc_auc_score(y[200:], net.predict_proba(X[200:])[:, 1]) > 0.75


@pytest.mark.parametrize(
    "options",
    [
        {"sampler": "over"},
        {"meta_sampler": "natural"},
        {"inner_lr": 1.0},
        {"weight_lr": 0.1},
        {"batch_size": 16},
        {"meta_batch_size": 16},
        {"loss": "focal"},
        {"loss": "logit_adjusted"},
        {"class_weight": "balanced"},
        {"module": Normed},
    ],
    ids=str,
)
def test_every_option_changes_the_result(binary, options) -> None:
    X, y = binary
    default = MetaWeightNetClassifier(**QUICK).fit(X, y).predict_proba(X)
    changed = MetaWeightNetClassifier(**{**QUICK, **options}).fit(X, y).predict_proba(X)
    assert np.abs(default - changed).max() > 1e-4


def test_the_rare_class_gets_more_probability_than_from_plain_training() -> None:
    # Classes that overlap: where they do not, plain training is sure of the rare one, too.
    X, y = make_classification(
        400, 6, n_informative=4, weights=[0.9], class_sep=0.5, flip_y=0, random_state=0
    )
    options = {"random_state": 0, "max_epochs": 10, "calibration": None, "ema_decay": None}
    plain = NeuralClassifier(**options).fit(X, y).predict_proba(X)
    weighted = MetaWeightNetClassifier(**options).fit(X, y).predict_proba(X)
    assert weighted[:, 1].mean() > 1.4 * plain[:, 1].mean()


@pytest.mark.parametrize("module", [None, Normed])
def test_same_seed_same_result(binary, module) -> None:
    X, y = binary
    first, second = (
        MetaWeightNetClassifier(module=module, **QUICK).fit(X, y).predict_proba(X) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


def test_both_batches_count_in_the_budget(binary) -> None:
    X, y = binary
    plain = NeuralClassifier(batch_size=128, **QUICK).fit(X, y)
    weighted = MetaWeightNetClassifier(batch_size=96, meta_batch_size=32, **QUICK).fit(X, y)
    assert plain.rows_drawn_ == weighted.rows_drawn_ == 2 * 4096


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"inner_lr": 0}, ValueError, "inner_lr must be above 0"),
        ({"weight_lr": "slow"}, TypeError, "weight_lr must be a number"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
        ({"meta_batch_size": 2.0}, TypeError, "meta_batch_size must be a whole number"),
        ({"meta_sampler": "smot"}, ValueError, "smote"),
    ],
    ids=str,
)
def test_wrong_parameters_are_named(binary, options, error, message) -> None:
    X, y = binary
    with pytest.raises(error, match=message):
        MetaWeightNetClassifier(**{**QUICK, **options}).fit(X, y)
