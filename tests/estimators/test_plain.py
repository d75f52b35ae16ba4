import numpy as np
import pytest
import torch
from imblearn.over_sampling import RandomOverSampler
from sklearn.metrics import roc_auc_score
from torch import nn

from metabalance import NeuralClassifier
from tests.estimators.conftest import QUICK


class TwoLogits(nn.Module):
    def __init__(self, n_inputs: int, n_outputs: int, width: int = 4) -> None:
        super().__init__()
        self.hidden = nn.Linear(n_inputs, width)
        self.out = nn.Linear(width, 2)

    def forward(self, x):
        return self.out(torch.tanh(self.hidden(x)))


def test_it_learns(binary) -> None:
    X, y = binary
    net = NeuralClassifier(random_state=0, max_epochs=30).fit(X[:200], y[:200])
    assert roc_auc_score(y[200:], net.predict_proba(X[200:])[:, 1]) > 0.75


@pytest.mark.parametrize("sampler", ["over", "under", "smote", RandomOverSampler(random_state=0)])
def test_samplers_raise_minority_probability(binary, sampler) -> None:
    X, y = binary
    natural = NeuralClassifier(calibration=None, **QUICK).fit(X, y)
    resampled = NeuralClassifier(sampler=sampler, calibration=None, **QUICK).fit(X, y)
    assert resampled.predict_proba(X)[:, 1].mean() > 1.5 * natural.predict_proba(X)[:, 1].mean()


@pytest.mark.parametrize(
    "options",
    [
        {"class_weight": "balanced"},
        {"class_weight": {0: 1.0, 1: 20.0}},
        {"class_weight": "effective_number"},
        {"loss": "focal"},
        {"loss": "logit_adjusted"},
        {"loss": lambda logits, y: nn.functional.cross_entropy(logits, y, label_smoothing=0.2)},
        {"optimizer": "sgd"},
        {"optimizer": "adam", "weight_decay": 1.0},
        {"optimizer": torch.optim.RMSprop},
        {"optimizer__betas": (0.5, 0.9)},
        {"hidden_sizes": (8,)},
        {"dropout": 0.5},
        {"lr": 0.1},
        {"lr_schedule": "constant"},
        {"weight_decay": 10.0},
        {"label_smoothing": 0.2},
        {"sam_rho": 0.5},
        {"loss": "logit_adjusted", "label_smoothing": 0.2},
        {"max_grad_norm": 0.01},
        {"ema_decay": None},
        {"ema_decay": 0.5},
        {"batch_size": 16},
        {"sampler": "over"},
        {"max_epochs": 1},
        {"module": TwoLogits},
        {"module": TwoLogits, "module__width": 9},
        {"validation_fraction": 0.5},
        {"early_stopping": False},
        {"random_state": 1},
    ],
    ids=lambda options: ",".join(options),
)
def test_every_option_changes_the_result(binary, options) -> None:
    X, y = binary
    default = NeuralClassifier(**QUICK).fit(X, y).predict_proba(X)
    changed = NeuralClassifier(**{**QUICK, **options}).fit(X, y).predict_proba(X)
    assert np.abs(default - changed).max() > 1e-4


def test_same_seed_same_result_and_no_global_randomness(binary) -> None:
    X, y = binary
    torch_before, numpy_before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 (the global state is the point)
    first = NeuralClassifier(dropout=0.3, sampler="over", **QUICK).fit(X, y).predict_proba(X)
    assert torch.equal(torch.random.get_rng_state(), torch_before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002
    second = NeuralClassifier(dropout=0.3, sampler="over", **QUICK).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(first, second)


def test_a_module_instance_is_copied(binary) -> None:
    X, y = binary
    mine = TwoLogits(6, 2)
    before = {name: value.clone() for name, value in mine.state_dict().items()}
    net = NeuralClassifier(module=mine, **QUICK).fit(X, y)
    assert all(torch.equal(before[name], value) for name, value in mine.state_dict().items())
    assert not torch.equal(net.module_.out.weight, mine.out.weight)


def test_logit_adjustment_raises_minority_probability_in_prediction(binary) -> None:
    X, y = binary
    options = {"random_state": 0, "max_epochs": 10, "calibration": None}
    plain = NeuralClassifier(**options).fit(X, y).predict_proba(X)
    adjusted = NeuralClassifier(loss="logit_adjusted", **options).fit(X, y)
    assert adjusted.predict_proba(X)[:, 1].mean() > 1.5 * plain[:, 1].mean()


def test_focal_loss_with_class_weight_differs_from_without(binary) -> None:
    X, y = binary
    options = {**QUICK, "loss": "focal", "calibration": None}
    plain = NeuralClassifier(**options).fit(X, y).predict_proba(X)
    weighted = NeuralClassifier(class_weight="balanced", **options).fit(X, y).predict_proba(X)
    assert weighted[:, 1].mean() > plain[:, 1].mean()
