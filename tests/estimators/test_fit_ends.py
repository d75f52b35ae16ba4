"""How a fit comes to its end: the best epoch, patience, being broken off, divergence, errors of callbacks."""

import threading

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch.nn.utils._named_member_accessor import NamedMemberAccessor

from metabalance import MetaBalanceClassifier, MetaWeightNetClassifier, NeuralClassifier
from metabalance.estimators import base, loops
from metabalance.training import ERM, TrainingLoop, stratified_holdout
from tests.estimators.conftest import QUICK

EACH = pytest.mark.parametrize(
    "estimator", [NeuralClassifier, MetaBalanceClassifier, MetaWeightNetClassifier]
)


@EACH
def test_best_epoch_is_restored(estimator, binary) -> None:
    X, y = binary

    def fitted(max_epochs: int):
        scores = iter([0.1, 0.2, 0.3, 0.4, 0.3, 0.2, 0.1])
        options = {**QUICK, "lr": 0.05, "lr_schedule": "constant", "max_epochs": max_epochs}
        return estimator(**options, early_stopping=7, scoring=lambda *about: next(scores)).fit(X, y)

    whole, stopped = fitted(7), fitted(4)
    assert len(whole.history_) == 7
    np.testing.assert_array_equal(whole.predict_proba(X), stopped.predict_proba(X))


@EACH
def test_patience_stops_the_fit(estimator, binary) -> None:
    X, y = binary
    net = estimator(**{**QUICK, "max_epochs": 60, "early_stopping": 2, "lr": 0.05}).fit(X, y)
    scores = [epoch["valid_score"] for epoch in net.history_]
    assert len(scores) == int(np.argmax(scores)) + 1 + 2 < 60


@EACH
def test_verbose_shows_a_bar_with_time_left(estimator, binary, capsys) -> None:
    X, y = binary
    estimator(**QUICK, verbose=1).fit(X, y)
    shown = capsys.readouterr()
    assert "epoch 2" in shown.err
    assert "score" in shown.err
    assert shown.out == ""


def test_breaking_off_keeps_the_best_so_far(binary) -> None:
    class BreakOffInEpochThree(Callback):
        def on_batch_end(self, net, **kwargs):
            if len(net.history) == 3:
                raise KeyboardInterrupt

    X, y = binary
    options = {**QUICK, "lr_schedule": "constant", "max_epochs": 9}
    with pytest.warns(UserWarning, match="broken off after 2 finished epochs; the best parameters so far"):
        net = NeuralClassifier(callbacks=[("stop", BreakOffInEpochThree())], **options).fit(X, y)
    assert net.interrupted_
    whole = NeuralClassifier(**{**options, "max_epochs": 2}).fit(X, y)
    assert not whole.interrupted_
    np.testing.assert_array_equal(net.predict_proba(X), whole.predict_proba(X))


@pytest.mark.parametrize("early_stopping", [True, False])
def test_only_finished_epochs_are_counted(binary, early_stopping) -> None:
    class BreakOff(Callback):
        def __init__(self, at):
            self.at = at

        def on_batch_end(self, net, **kwargs):
            if len(net.history) == self.at:
                raise KeyboardInterrupt

    for at, counted in ((1, "0 finished epochs"), (2, "1 finished epoch;")):
        options = {**QUICK, "early_stopping": early_stopping, "callbacks": [BreakOff(at)]}
        with pytest.warns(UserWarning, match=f"broken off after {counted}"):
            NeuralClassifier(**options).fit(*binary)


@EACH
def test_breaking_off_while_scoring_is_noticed(estimator, binary) -> None:
    X, y = binary
    calls = []

    def scorer(net, X, y):
        calls.append(net)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return float(len(calls))

    options = {**QUICK, "lr_schedule": "constant", "max_epochs": 9}
    with pytest.warns(UserWarning, match="broken off after 2 finished epochs"):
        net = estimator(scoring=scorer, **options).fit(X, y)
    assert net.interrupted_
    whole = estimator(**{**options, "max_epochs": 2, "early_stopping": False})
    assert not whole.fit(X, y).interrupted_


def test_breaking_off_inside_a_vectorized_update_keeps_the_best_so_far(binary, monkeypatch) -> None:
    """torch exchanges the module's parameters for others while it computes under ``vmap``."""
    exchange = NamedMemberAccessor.swap_tensor
    epochs = []

    class Follow(Callback):
        def on_epoch_end(self, net, **kwargs):
            epochs.append(net)

    def interrupted(*args, **kwargs):
        tensor = exchange(*args, **kwargs)
        if len(epochs) == 2:
            monkeypatch.undo()
            raise KeyboardInterrupt
        return tensor

    X, y = binary
    options = {**QUICK, "lr_schedule": "constant", "engine": "vectorized"}
    whole = MetaBalanceClassifier(**{**options, "max_epochs": 2}).fit(X, y)
    monkeypatch.setattr(NamedMemberAccessor, "swap_tensor", interrupted)
    with pytest.warns(UserWarning, match="broken off after"):
        net = MetaBalanceClassifier(callbacks=[Follow()], **{**options, "max_epochs": 9}).fit(X, y)
    assert net.interrupted_
    np.testing.assert_array_equal(net.predict_proba(X), whole.predict_proba(X))


@EACH
def test_the_progress_bar_ends_with_an_error(estimator, binary) -> None:
    class Fail(Callback):
        def on_epoch_end(self, net, **kwargs):
            raise RuntimeError("from a callback")

    X, y = binary
    with pytest.raises(RuntimeError, match="from a callback"):
        estimator(callbacks=[Fail()], verbose=1, **QUICK).fit(X, y)
    refreshing = [thread for thread in threading.enumerate() if "Refresh" in type(thread).__name__]
    for thread in refreshing:
        thread.join(timeout=10)
    assert not any(thread.is_alive() for thread in refreshing)


@EACH
def test_a_network_that_diverged_is_not_taken_for_fitted(estimator, binary) -> None:
    options = {**QUICK, "max_epochs": 1, "lr": 1e20, "early_stopping": False}
    with pytest.raises(FloatingPointError, match=r"lower|diverged|inner_lr"):
        estimator(**options).fit(*binary)


@EACH
def test_scores_must_be_finite(estimator, binary) -> None:
    with pytest.raises(ValueError, match="gave nan on the held-out rows"):
        estimator(scoring=lambda net, X, y: float("nan"), **QUICK).fit(*binary)


@EACH
def test_callbacks_that_are_none_are_not_masked(estimator, binary) -> None:
    with pytest.raises(Exception) as caught:
        estimator(callbacks=["x"], **QUICK).fit(*binary)
    assert "callbacks_" not in str(caught.value)


def test_breaking_off_between_epochs_is_noticed(binary) -> None:
    class BreakOff(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 3:
                raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="broken off after 2 finished epochs"):
        net = NeuralClassifier(callbacks=[BreakOff()], **{**QUICK, "max_epochs": 9}).fit(*binary)
    assert net.interrupted_


def test_a_callback_may_end_the_training_after_an_epoch(binary) -> None:
    class Stop(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 2:
                raise KeyboardInterrupt  # as skorch's own early stopping does

    X, y = binary
    options = {**QUICK, "lr_schedule": "constant", "early_stopping": False}
    net = NeuralClassifier(callbacks=[Stop()], **{**options, "max_epochs": 9}).fit(X, y)
    assert not net.interrupted_
    assert len(net.history_) == 2
    whole = NeuralClassifier(**{**options, "max_epochs": 2}).fit(X, y)
    np.testing.assert_array_equal(net.predict_proba(X), whole.predict_proba(X))


def test_the_score_is_that_of_the_averaged_parameters_which_are_kept(binary) -> None:
    X, y = binary
    seen = []

    def scorer(net, X, y):
        seen.append(net.predict_proba(X))
        return 0.0  # the first epoch is the best

    options = {**QUICK, "n_members": 1, "lr": 0.05, "ema_decay": 0.9, "calibration": None}
    net = NeuralClassifier(**options, scoring=scorer).fit(X, y)
    _, held_out = stratified_holdout(y, 0.2, np.random.default_rng(_split_seed(net)), net.classes_)
    np.testing.assert_allclose(net.predict_proba(X[held_out]), seen[0], rtol=1e-5)
    assert np.abs(seen[1] - seen[0]).max() > 1e-4


def _split_seed(net) -> int:
    return int(np.random.RandomState(net.random_state).randint(2**31 - 1, size=3)[0])


@pytest.fixture
def trainings(monkeypatch) -> list[list]:
    """For each training its rows, then the learning rate of every epoch."""
    begun: list[list] = []

    class Followed(TrainingLoop):
        def train(self):
            begun.append([self.n_rows])
            return super().train()

        def run_single_epoch(self, iterator, training, **kwargs):
            if training:
                begun[-1].append(self.optimizer_.param_groups[0]["lr"])
            super().run_single_epoch(iterator, training, **kwargs)

    monkeypatch.setattr(loops, "TrainingLoop", Followed)
    return begun


@EACH
def test_a_refit_takes_the_best_number_of_epochs_on_all_rows(estimator, binary, trainings) -> None:
    X, y = binary
    scores = iter([0.1, 0.3, 0.2, 0.1])
    options = {**QUICK, "n_members": 1, "max_epochs": 4, "scoring": lambda *about: next(scores)}
    net = estimator(**options, refit=np.True_).fit(X, y)
    (first, *rates), (second, *rates_again) = trainings
    assert (first, second) == (320, 400)
    assert rates_again == rates[:2]  # two epochs were best, and the rate falls as if there were four
    assert len(net.history_) == 4
    assert net.calibrations_["meta"] is not None
    scores = iter([0.1, 0.3, 0.2, 0.1])
    once = estimator(**options).fit(X, y)
    assert net.calibrations_ == once.calibrations_
    assert net.rows_drawn_ > once.rows_drawn_
    assert np.abs(net.predict_proba(X) - once.predict_proba(X)).max() > 1e-4


def test_members_that_hold_out_rows_of_their_own_have_nothing_to_refit(binary, trainings) -> None:
    with pytest.warns(UserWarning, match="refit=True changes nothing here: each member holds out rows"):
        NeuralClassifier(**QUICK, refit=True).fit(*binary)
    assert [rows for rows, *_ in trainings] == [400]


@pytest.mark.parametrize("when", ["before its first epoch", "in its first epoch"])
def test_a_refit_that_is_broken_off_leaves_the_first_network(binary, trainings, monkeypatch, when) -> None:
    owner, name = (base, "choose_loss") if when == "before its first epoch" else (ERM, "backward")
    original = getattr(owner, name)

    def interrupted(*args, **kwargs):
        if len(trainings) == (1 if owner is base else 2):
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    X, y = binary
    options = {**QUICK, "n_members": 1}
    once = NeuralClassifier(**options).fit(X, y)
    trainings.clear()
    monkeypatch.setattr(owner, name, interrupted)
    with pytest.warns(UserWarning, match="the second training, on all rows, was broken off; the network of"):
        net = NeuralClassifier(**options, refit=True).fit(X, y)
    assert net.interrupted_
    np.testing.assert_array_equal(net.predict_proba(X), once.predict_proba(X))


class DivergeInEpoch(Callback):
    """Makes the parameters NaN after so many epochs, as too large a step would."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_epoch_begin(self, net, **kwargs) -> None:
        if len(net.history) == self.epoch:
            with torch.no_grad():
                next(net.module_.parameters()).fill_(torch.nan)


@EACH
def test_divergence_keeps_the_best_epoch(estimator, binary, recwarn) -> None:
    X, y = binary
    options = {**QUICK, "lr_schedule": "constant"}
    whole = estimator(**{**options, "max_epochs": 2}).fit(X, y)
    with pytest.warns(
        UserWarning, match=r"epoch \d, the best, are kept: .* diverged in epoch 3, after 0 of its"
    ):
        kept = estimator(**{**options, "max_epochs": 5}, callbacks=[DivergeInEpoch(3)]).fit(X, y)
    np.testing.assert_array_equal(kept.predict_proba(X), whole.predict_proba(X))
    assert not kept.interrupted_


def test_divergence_before_anything_is_scored_is_an_error(binary) -> None:
    message = r"diverged in epoch 1, after 0 of its updates: the loss of a batch is nan: lower lr"
    with pytest.raises(FloatingPointError, match=message):
        NeuralClassifier(**QUICK, callbacks=[DivergeInEpoch(1)]).fit(*binary)
    with pytest.raises(FloatingPointError, match="diverged in epoch 2"):
        NeuralClassifier(**QUICK, callbacks=[DivergeInEpoch(2)], early_stopping=False).fit(*binary)


def test_a_second_training_that_diverges_leaves_the_first(binary, monkeypatch) -> None:
    X, y = binary
    options = {**QUICK, "n_members": 1}
    first = NeuralClassifier(**options).fit(X, y)
    train = NeuralClassifier._train

    def diverge(self, prepared, group, epochs=None, saver=None):
        if epochs is not None:
            raise FloatingPointError("the loss of a batch is nan")
        return train(self, prepared, group, epochs, saver)

    monkeypatch.setattr(NeuralClassifier, "_train", diverge)
    with pytest.warns(
        UserWarning, match="second training, on all rows, came to nothing; .* loss of a batch is nan"
    ):
        kept = NeuralClassifier(**options, refit=True).fit(X, y)
    np.testing.assert_array_equal(kept.predict_proba(X), first.predict_proba(X))
