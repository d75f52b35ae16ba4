"""What the loop of a fit makes of the parameters: here, of class weights that wait."""

import numpy as np
import pytest
import torch
from sklearn.metrics import make_scorer, roc_auc_score
from skorch.callbacks import Callback

from metabalance import NeuralClassifier
from metabalance.estimators.loops import epochs_before_weights
from metabalance.nn import CosFaceLoss, FocalLoss
from tests.estimators.conftest import QUICK


class _Falling:
    """A score that is lower every time it is asked for."""

    __name__ = "falling"

    def __init__(self) -> None:
        self.score = 0.0

    def __call__(self, y: object, probabilities: object) -> float:
        self.score -= 1.0
        return self.score


@pytest.mark.parametrize("loss", ["cross_entropy", "ldam"])
def test_a_fit_is_the_unweighted_one_at_first(binary, loss) -> None:
    options = QUICK | {"max_epochs": 4, "early_stopping": False, "loss": loss, "calibration": None}
    plain = NeuralClassifier(**options).fit(*binary)
    weighted = NeuralClassifier(**options, class_weight="balanced").fit(*binary)
    deferred = NeuralClassifier(**options, class_weight="balanced", reweight_from=0.5).fit(*binary)
    losses = [[epoch["train_loss"] for epoch in each.history_] for each in (plain, weighted, deferred)]
    assert losses[2][:2] == losses[0][:2]
    assert losses[2][:2] != losses[1][:2]
    assert losses[2][2:] != losses[0][2:]
    X, y = binary
    recalls = [(each.predict(X)[y == 1] == 1).mean() for each in (plain, deferred)]
    assert recalls[1] > recalls[0]


def test_early_stopping_waits_for_the_weights(binary) -> None:
    options = QUICK | {"max_epochs": 10, "early_stopping": 1, "lr": 0.05, "ema_decay": None}
    plain = NeuralClassifier(**options, class_weight="balanced").fit(*binary)
    deferred = NeuralClassifier(**options, class_weight="balanced", reweight_from=0.6).fit(*binary)
    assert len(plain.history_) < 7 < len(deferred.history_)


def test_a_refit_goes_on_to_the_weights(binary) -> None:
    options = QUICK | {"max_epochs": 5, "n_members": 1, "early_stopping": 1, "refit": True}
    # The score falls from epoch to epoch: of all, the first would be the best one.
    options["scoring"] = make_scorer(_Falling(), response_method="predict_proba")
    model = NeuralClassifier(**options, class_weight="balanced", reweight_from=0.6).fit(*binary)
    assert len(model.history_) == 5
    assert model.rows_drawn_ == 4096 * (5 + 4)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"reweight_from": 0.8}, ValueError, "defers class weights, but there are none: give class_weight"),
        (
            {"reweight_from": 1, "class_weight": "balanced"},
            ValueError,
            "reweight_from must be below 1, got 1",
        ),
        ({"reweight_from": "late"}, TypeError, "reweight_from must be a number, got 'late'"),
    ],
    ids=range(3),
)
def test_bad_parameters(binary, options, error, message) -> None:
    with pytest.raises(error, match=message):
        NeuralClassifier(**QUICK, **options).fit(*binary)


def test_a_network_for_margins_has_a_cosine_for_each_class(binary) -> None:
    X, y = binary
    with pytest.raises(ValueError, match=r"logits of shape \(batch, 2\) for 2 classes, got \(2, 1\)"):
        NeuralClassifier(**QUICK, loss="ldam", module=torch.nn.Linear(6, 1)).fit(X, y)


def test_breaking_off_before_the_weights_count_is_said(binary) -> None:
    class CtrlC(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 3:
                raise KeyboardInterrupt

    options = QUICK | {"max_epochs": 10, "callbacks": [CtrlC()], "class_weight": "balanced"}
    with pytest.warns(UserWarning, match="after 2 finished epochs; the parameters as they were are kept"):
        NeuralClassifier(**options, reweight_from=0.8).fit(*binary)


@pytest.mark.parametrize(
    ("share", "epochs", "first"), [(0.29, 100, 29), (0.58, 50, 29), (0.8, 5, 4), (0.0, 5, 0)]
)
def test_the_epoch_that_weights_count_from(share, epochs, first) -> None:
    net = NeuralClassifier(max_epochs=epochs, reweight_from=share, class_weight="balanced")
    assert epochs_before_weights(net) == first


@pytest.mark.parametrize("images", [False, True])
def test_margins_from_fit_to_a_saved_model(binary, tmp_path, images) -> None:
    X, y = binary
    if images:
        X = X[:, :4].reshape(-1, 1, 2, 2)
    options = QUICK | {"loss": "ldam", "class_weight": "effective_number", "reweight_from": 0.5}
    model = NeuralClassifier(**options).fit(X, y)
    x = torch.from_numpy(model.encoder_.transform(X))
    assert model.module_(x).shape[-1] == 2
    assert model.module_(x).abs().max() <= 30 + 1e-4
    model.save(tmp_path)
    np.testing.assert_array_equal(NeuralClassifier.load(tmp_path).predict_proba(X), model.predict_proba(X))
    assert roc_auc_score(y, model.predict_proba(X)[:, 1]) > 0.6


def test_a_margin_loss_of_ones_own_says_how_the_network_ends(binary, tmp_path) -> None:
    X, y = binary
    model = NeuralClassifier(**QUICK, loss=CosFaceLoss(0.2, scale=12, loss=FocalLoss())).fit(X, y)
    logits = model.module_(torch.from_numpy(model.encoder_.transform(X)))
    assert logits.shape[-1] == 2
    assert 1 < logits.abs().max() <= 12 + 1e-4
    model.save(tmp_path)
    with pytest.warns(UserWarning, match="loss=CosFaceLoss"):
        loaded = NeuralClassifier.load(tmp_path)
    assert loaded.loss == "cross_entropy"  # objects are not saved; what they made of the network is
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
