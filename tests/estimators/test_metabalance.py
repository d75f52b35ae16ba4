import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn
from torch._dynamo.utils import counters

from metabalance import MetaBalanceClassifier, NeuralClassifier
from metabalance.training import predict_probabilities
from tests.estimators.conftest import QUICK


def test_it_learns(binary) -> None:
    X, y = binary
    net = MetaBalanceClassifier(random_state=0, max_epochs=30).fit(X[:200], y[:200])
    assert roc_auc_score(y[200:], net.predict_proba(X[200:])[:, 1]) > 0.75


@pytest.mark.parametrize(
    "options",
    [
        {"support_sampler": "over"},
        {"query_sampler": "natural"},
        {"query_sampler": "over"},
        {"query_sampler": "smote"},
        {"inner_lr": 1.0},
        {"inner_lr": 0.0},
        {"beta": 5.0},
        {"meta_steps": 2},
        {"support_batch_size": 8},
        {"query_batch_size": 8},
        {"order": "first", "inner_lr": 1.0},
        {"predict_with": "adapted", "inner_lr": 1.0},
    ],
    ids=str,
)
def test_every_option_changes_the_result(binary, options) -> None:
    X, y = binary
    default = MetaBalanceClassifier(**QUICK).fit(X, y).predict_proba(X)
    changed = MetaBalanceClassifier(**{**QUICK, **options}).fit(X, y).predict_proba(X)
    assert np.abs(default - changed).max() > 1e-4


def test_engines_train_the_same_network(binary) -> None:
    X, y = binary
    loop, vectorized, compiled = (
        MetaBalanceClassifier(engine=engine, dropout=0.0, **QUICK).fit(X, y).predict_proba(X)
        for engine in ("loop", "vectorized", "compiled")
    )
    np.testing.assert_allclose(loop, vectorized, atol=1e-3)
    np.testing.assert_allclose(compiled, vectorized, atol=1e-3)


def test_fits_of_the_same_shape_share_what_is_compiled(binary) -> None:
    X, y = binary
    torch.compiler.reset()
    counters.clear()
    compiled_graphs = []
    for seed, inner_lr in ((0, 0.1), (1, 0.2)):
        MetaBalanceClassifier(engine="compiled", **{**QUICK, "random_state": seed, "inner_lr": inner_lr}).fit(
            X, y
        )
        compiled_graphs.append(counters["stats"]["unique_graphs"])
    torch.compiler.reset()
    assert compiled_graphs == [1, 1]


def test_compiling_is_left_to_fits_whose_sure_epochs_pay_for_it(monkeypatch) -> None:
    asked = []

    def remember(model, meta_steps, rows, updates):
        asked.append(updates)
        return False

    monkeypatch.setattr("metabalance.meta.choice.pays_to_compile", remember)
    X = np.random.default_rng(0).normal(size=(5120, 3))
    y = np.arange(5120) % 2
    for options in ({"early_stopping": False, "max_epochs": 2}, {"early_stopping": 3, "max_epochs": 5}):
        MetaBalanceClassifier(module=nn.Linear(3, 1), random_state=0, **options).fit(X, y)
    # 128 rows an update; 5,120 rows an epoch, and 4,096 where a fifth is held out.
    assert asked == [2 * 40, 4 * 32]


def test_adapted_parameters_are_one_inner_step_on_the_training_rows(binary) -> None:
    X, y = binary
    net = MetaBalanceClassifier(inner_lr=0.7, early_stopping=False, **QUICK).fit(X, y)
    x = torch.from_numpy(net.encoder_.transform(X))
    logits = net.module_(x)[..., 0]
    target = torch.from_numpy(y).float().unsqueeze(1).expand_as(logits)
    loss = 4 * nn.functional.binary_cross_entropy_with_logits(logits, target)  # the sum over 4 members
    gradients = torch.autograd.grad(loss, list(net.module_.parameters()))
    expected = {
        name: (parameter - 0.7 * gradient).detach()
        for (name, parameter), gradient in zip(net.module_.named_parameters(), gradients, strict=True)
    }
    for name, parameter in expected.items():
        torch.testing.assert_close(net.adapted_parameters_[name], parameter)
    net.set_params(predict_with="adapted")
    np.testing.assert_allclose(
        net.predict_proba(X), predict_probabilities(net.module_, x, expected), rtol=1e-5, atol=1e-7
    )


class Normed(nn.Sequential):
    def __init__(self, n_features=6):
        super().__init__(nn.Linear(n_features, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))


def test_networks_with_batch_norm_predict_at_the_adapted_parameters(binary, tmp_path) -> None:
    X, y = binary
    net = MetaBalanceClassifier(module=Normed, inner_lr=0.5, **QUICK).fit(X, y)
    auto = net.predict_proba(X)
    assert "1.running_mean" in net.adapted_parameters_
    x = torch.from_numpy(net.encoder_.transform(X))
    at_adapted = torch.func.functional_call(net.module_, net.adapted_parameters_, (x,)).detach()
    uncalibrated = torch.cat([-at_adapted, at_adapted], dim=1).div(2).softmax(1).double().numpy()
    np.testing.assert_allclose(auto, net.calibrations_["adapted"](uncalibrated), rtol=1e-4, atol=1e-6)
    assert np.abs(net.set_params(predict_with="meta").predict_proba(X) - auto).max() > 1e-3
    net.set_params(predict_with="auto").save(tmp_path / "model")
    loaded = MetaBalanceClassifier.load(tmp_path / "model", module=Normed)
    np.testing.assert_array_equal(loaded.predict_proba(X), auto)
    plain = MetaBalanceClassifier(inner_lr=0.5, **QUICK).fit(X, y)
    np.testing.assert_array_equal(
        plain.predict_proba(X), plain.set_params(predict_with="meta").predict_proba(X)
    )


def test_statistics_of_batch_norm_are_settled_for_every_estimator(binary) -> None:
    X, y = binary
    for net in (
        NeuralClassifier(module=Normed, sampler="over", batch_size=16, **QUICK),
        MetaBalanceClassifier(module=Normed, query_sampler="over", predict_with="meta", **QUICK),
    ):
        net.fit(X, y)
        x = torch.from_numpy(net.encoder_.transform(X))
        hidden = net.module_[0](x)
        balanced = torch.stack([hidden[y == label].mean(0) for label in (0, 1)]).mean(0)
        natural = hidden.mean(0)
        found = net.module_[1].running_mean
        assert (found - balanced).norm() < 0.4 * (found - natural).norm()


def test_predict_with_may_be_changed_after_the_fit(binary) -> None:
    X, y = binary
    net = MetaBalanceClassifier(inner_lr=1.0, predict_with="meta", **QUICK).fit(X, y)
    at_meta = net.predict_proba(X)
    at_adapted = net.set_params(predict_with="adapted").predict_proba(X)
    assert np.abs(at_meta - at_adapted).max() > 1e-4
    with pytest.raises(
        ValueError, match="predict_with must be one of 'auto', 'meta', 'adapted', got 'theta'"
    ):
        net.set_params(predict_with="theta").predict_proba(X)


def test_equal_budget_of_rows(binary) -> None:
    X, y = binary
    plain = NeuralClassifier(batch_size=128, **QUICK).fit(X, y)
    meta = MetaBalanceClassifier(meta_steps=4, support_batch_size=16, query_batch_size=16, **QUICK).fit(X, y)
    assert plain.rows_drawn_ == meta.rows_drawn_ == 2 * 4096


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"inner_lr": -0.1}, ValueError, "inner_lr must be at least 0"),
        ({"inner_lr": float("inf")}, ValueError, "inner_lr must be at least 0 and finite"),
        ({"beta": "none"}, TypeError, "beta must be a number"),
        ({"meta_steps": 0}, ValueError, "meta_steps must be at least 1"),
        ({"query_batch_size": 2.0}, TypeError, "query_batch_size must be a whole number"),
        ({"order": "second"}, ValueError, "order must be one of 'exact', 'first', got 'second'"),
        ({"engine": "fast"}, ValueError, "engine must be one of"),
        ({"predict_with": "theta"}, ValueError, "predict_with must be one of"),
        ({"query_sampler": "smot"}, ValueError, "smote"),
        ({"support_sampler": 5}, TypeError, "fit_resample"),
    ],
    ids=str,
)
def test_wrong_parameters_are_named(binary, options, error, message) -> None:
    X, y = binary
    with pytest.raises(error, match=message):
        MetaBalanceClassifier(**{**QUICK, **options}).fit(X, y)


def test_divergence_is_an_error_that_names_the_step(binary) -> None:
    X, y = binary
    with pytest.raises(FloatingPointError, match="inner_lr"):
        MetaBalanceClassifier(inner_lr=1e30, **QUICK).fit(X, y)
