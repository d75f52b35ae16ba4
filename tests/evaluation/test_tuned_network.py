"""The tuned network: what it chooses among, that the best is fitted, and its place in a comparison."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from metabalance import NeuralClassifier, compare
from metabalance.evaluation import tuned_network
from metabalance.evaluation.tuned_network import TunedNetwork

QUICK = {"max_epochs": 2, "n_members": 2, "hidden_sizes": (8,), "random_state": 0, "device": "cpu"}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(240, 4))
    return X, np.where(X[:, 0] + 0.5 * rng.normal(size=240) > 1, "yes", "no")


@pytest.fixture(scope="module")
def tuned(data):
    return TunedNetwork(NeuralClassifier(**QUICK), n_draws=3).fit(*data)


def test_the_defaults_are_among_those_tried_and_the_best_is_fitted(tuned, data) -> None:
    X, y = data
    assert tuned.tried_[0].params == {}
    assert [set(each.params) for each in tuned.tried_[1:]] == [
        {*tuned_network.SETTINGS, "dropout", "label_smoothing"}
    ] * 2
    assert tuned.best_params_ == max(tuned.tried_, key=lambda each: each.score).params
    direct = NeuralClassifier(**QUICK).set_params(**tuned.best_params_).fit(X, y)
    np.testing.assert_array_equal(tuned.predict_proba(X), direct.predict_proba(X))
    assert tuned.predict(X).tolist() == direct.predict(X).tolist()
    assert tuned.classes_.tolist() == ["no", "yes"]


def test_scores_are_means_over_three_folds_and_all_rows_are_counted(tuned, data) -> None:
    X, y = data
    scores, rows = [], 0
    seed = np.random.RandomState(0).randint(2**31 - 1)
    for train, test in StratifiedKFold(3, shuffle=True, random_state=seed).split(X, y):
        net = NeuralClassifier(**QUICK).fit(X[train], y[train])
        scores.append(roc_auc_score(y[test] == "yes", net.predict_proba(X[test])[:, 1]))
        rows += net.rows_drawn_
    assert tuned.tried_[0].score == pytest.approx(np.mean(scores))
    assert tuned.rows_drawn_ > 3 * rows


def test_a_class_too_rare_for_folds_gets_the_defaults(data) -> None:
    X = data[0]
    few = np.where(np.arange(240) < 3, "yes", "no")
    found = TunedNetwork(NeuralClassifier(**QUICK)).fit(X, few)
    assert (found.best_params_, found.tried_) == ({}, [])
    assert found.rows_drawn_ == found.best_estimator_.rows_drawn_


def test_images_are_offered_mixup() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(256, size=(40, 1, 4, 4), dtype=np.uint8)
    found = TunedNetwork(NeuralClassifier(**QUICK), n_draws=2).fit(images, np.arange(40) % 2)
    assert "mixing" in found.tried_[1].params
    assert "dropout" not in found.tried_[1].params


def test_it_is_a_method_that_says_what_it_chose(data, monkeypatch) -> None:
    X, y = data
    monkeypatch.setattr(tuned_network, "SETTINGS", {"lr": [0.00123456]})
    monkeypatch.setattr(tuned_network, "OF_TABLES", {})
    options = {name: QUICK[name] for name in ("n_members", "hidden_sizes", "device")}
    found = compare(
        X, y, methods=["tuned", "naive"], cv=2, max_epochs=1, network=options, balance_by=X[:, 1] > 0
    )
    assert "(" in found.settings["chosen by tuned"]
    assert found.frame.loc["tuned", "rows_drawn"] > 3 * found.frame.loc["naive", "rows_drawn"]


def test_ctrl_c_is_not_taken_for_a_score(data, monkeypatch) -> None:
    monkeypatch.setattr(
        NeuralClassifier, "fit", lambda self, *_: vars(self).update(interrupted_=True, rows_drawn_=1)
    )
    with pytest.raises(KeyboardInterrupt):
        TunedNetwork(NeuralClassifier(**QUICK)).fit(*data)
    with pytest.raises(ValueError, match="lr must be above 0"):
        TunedNetwork(NeuralClassifier(lr=-1)).check_parameters()


def test_settings_suit_the_loss_and_those_that_diverge_are_out(data, monkeypatch) -> None:
    focal = TunedNetwork(NeuralClassifier(**QUICK, loss="focal"), n_draws=2).fit(*data)
    assert "label_smoothing" not in focal.tried_[1].params
    fit = NeuralClassifier.fit

    def diverges(self, *given):
        if self.lr != 0.003:
            raise FloatingPointError("the loss is nan")
        return fit(self, *given)

    monkeypatch.setattr(NeuralClassifier, "fit", diverges)
    found = TunedNetwork(NeuralClassifier(**QUICK), n_draws=2).fit(*data)
    assert (found.best_params_, found.tried_[1].score) == ({}, -np.inf)
    with pytest.raises(FloatingPointError, match="the loss is nan"):
        TunedNetwork(NeuralClassifier(**QUICK, lr=0.1)).fit(*data)
    with pytest.raises(NotFittedError):
        TunedNetwork(NeuralClassifier(**QUICK)).predict(data[0])
