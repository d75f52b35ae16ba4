import numpy as np
import pytest
from skorch.callbacks import Callback

from metabalance import NeuralClassifier
from metabalance.estimators.loops import sure_epochs
from metabalance.estimators.parameters import check_choice, check_number, check_positive_int


@pytest.mark.parametrize("value", [1, 7, np.int64(3)])
def test_whole_numbers(value) -> None:
    check_positive_int("n", value)


@pytest.mark.parametrize(
    ("value", "error"),
    [(0, ValueError), (-2, ValueError), (True, TypeError), (1.0, TypeError), ("1", TypeError)],
)
def test_not_whole_numbers(value, error) -> None:
    with pytest.raises(error, match=f"n must be .*, got {value!r}"):
        check_positive_int("n", value)


def test_numbers_and_their_ranges() -> None:
    check_number("lr", np.float32(0.1), above=0)
    check_number("beta", 0, at_least=0)
    for value in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="lr must be above 0 and finite"):
            check_number("lr", value, above=0)
    for value in (-0.1, float("nan")):
        with pytest.raises(ValueError, match="beta must be at least 0 and finite"):
            check_number("beta", value, at_least=0)
    check_number("fraction", 0.5, above=0, below=1)
    with pytest.raises(ValueError, match="fraction must be below 1, got 1"):
        check_number("fraction", 1, above=0, below=1)
    for value in (None, "0.1", True):
        with pytest.raises(TypeError, match="lr must be a number"):
            check_number("lr", value, above=0)


def test_choices_are_listed() -> None:
    check_choice("order", "exact", ("exact", "first"))
    with pytest.raises(ValueError, match="order must be one of 'exact', 'first', got 'third'"):
        check_choice("order", "third", ("exact", "first"))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"label_smoothing": 1.0}, ValueError, "label_smoothing must be below 1, got 1.0"),
        ({"label_smoothing": -0.1}, ValueError, "label_smoothing must be at least 0"),
        (
            {"label_smoothing": 0.1, "loss": "focal"},
            ValueError,
            "label_smoothing=0.1 goes with loss='cro",
        ),
        (
            {"label_smoothing": 0.1, "loss": len},
            ValueError,
            "label_smoothing=0.1 goes with loss='cross_entropy",
        ),
        ({"max_grad_norm": 0.0}, ValueError, "max_grad_norm must be above 0"),
        ({"max_grad_norm": "1"}, TypeError, "max_grad_norm must be a number"),
        ({"ema_decay": 1.0}, ValueError, "ema_decay must be below 1, got 1.0"),
        ({"ema_decay": 0}, ValueError, "ema_decay must be above 0"),
        ({"refit": 1}, TypeError, "refit must be True or False, got 1"),
        ({"refit": True, "early_stopping": False}, ValueError, "refit=True needs held-out rows"),
        ({"refit": True, "callbacks": [Callback()]}, ValueError, "refit=True trains a second time"),
        ({"callbacks": "x"}, TypeError, "callbacks must be a list of skorch callbacks.*got 'x'"),
        ({"callbacks": Callback()}, TypeError, "callbacks must be a list of skorch callbacks"),
        ({"callbacks": [3]}, TypeError, "callbacks must be a list of skorch callbacks"),
        ({"callbacks": [("name", "x")]}, TypeError, "callbacks must be a list of skorch callbacks"),
    ],
)
def test_options_of_the_recipe(options, error, message) -> None:
    with pytest.raises(error, match=message):
        NeuralClassifier(**options).check_parameters()


@pytest.mark.parametrize("callbacks", [None, [], (Callback(),), [Callback], [("name", Callback())]])
def test_callbacks_as_skorch_takes_them(callbacks) -> None:
    NeuralClassifier(callbacks=callbacks).check_parameters()


def test_early_stopping_may_be_a_bool_of_numpy() -> None:
    for value in (np.True_, np.False_):
        net = NeuralClassifier(early_stopping=value)
        net.check_parameters()
        assert sure_epochs(net) == sure_epochs(NeuralClassifier(early_stopping=bool(value)))
