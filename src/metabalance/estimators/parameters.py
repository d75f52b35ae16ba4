"""Checks of an estimator's parameters, with the value found and the remedy in every message."""

from numbers import Integral, Real
from typing import Any

import numpy as np
from skorch.callbacks import Callback

from metabalance.estimators.batches import check_augment, check_mixing
from metabalance.estimators.layout import EMBEDDINGS
from metabalance.estimators.loops import SCHEDULES
from metabalance.estimators.losses import check_label_smoothing
from metabalance.estimators.scoring import check_scoring


def is_whole_number(value: Any) -> bool:
    """Whether value is an integer of Python or NumPy, and not a bool."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_positive_int(name: str, value: Any) -> None:
    """Raise unless value is a whole number of at least 1."""
    _check_whole(name, value, at_least=1)


def check_seed(name: str, value: Any) -> None:
    """Raise unless value is a whole number of at least 0."""
    _check_whole(name, value, at_least=0)


def _check_whole(name: str, value: Any, at_least: int) -> None:
    if not is_whole_number(value):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if value < at_least:
        raise ValueError(f"{name} must be at least {at_least}, got {value!r}")


def check_number(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
) -> None:
    """Raise unless value is a finite real number in its range."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    number = float(value)
    if above is not None and not above < number < float("inf"):
        raise ValueError(f"{name} must be above {above:g} and finite, got {value!r}")
    if at_least is not None and not at_least <= number < float("inf"):
        raise ValueError(f"{name} must be at least {at_least:g} and finite, got {value!r}")
    if below is not None and not number < below:
        raise ValueError(f"{name} must be below {below:g}, got {value!r}")


def check_choice(name: str, value: Any, choices: tuple[str | None, ...]) -> None:
    """Raise unless value is one of the names."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")


def check_shared_parameters(estimator: Any) -> None:
    """Check the training parameters that every estimator has."""
    check_positive_int("n_members", estimator.n_members)
    if estimator.numerical_embedding is not None:
        check_choice("numerical_embedding", estimator.numerical_embedding, EMBEDDINGS)
    _check_whole("n_bins", estimator.n_bins, at_least=2)
    check_number("label_smoothing", estimator.label_smoothing, at_least=0, below=1)
    check_label_smoothing(estimator.loss, estimator.label_smoothing)
    check_number("lr", estimator.lr, above=0)
    check_number("weight_decay", estimator.weight_decay, at_least=0)
    if estimator.max_grad_norm is not None:
        check_number("max_grad_norm", estimator.max_grad_norm, above=0)
    if estimator.ema_decay is not None:
        check_number("ema_decay", estimator.ema_decay, above=0, below=1)
    check_augment(estimator.augment)
    check_mixing(estimator.mixing)
    check_positive_int("max_epochs", estimator.max_epochs)
    check_choice("lr_schedule", estimator.lr_schedule, SCHEDULES)
    if not isinstance(estimator.early_stopping, bool | np.bool_):
        check_positive_int("early_stopping", estimator.early_stopping)
    check_scoring(estimator.scoring)
    _check_callbacks(estimator.callbacks)
    _check_refit(estimator)
    check_number("validation_fraction", estimator.validation_fraction, above=0, below=1)


def _check_callbacks(callbacks: Any) -> None:
    listed = [] if callbacks is None else callbacks
    if isinstance(listed, list | tuple):
        plain = [each[1] if isinstance(each, tuple) and len(each) == 2 else each for each in listed]
        kinds = [each if isinstance(each, type) else type(each) for each in plain]
        if all(issubclass(kind, Callback) for kind in kinds):
            return
    raise TypeError(
        f"callbacks must be a list of skorch callbacks, or of pairs (name, callback), got {callbacks!r}"
    )


def _check_refit(estimator: Any) -> None:
    if not isinstance(estimator.refit, bool | np.bool_):
        raise TypeError(f"refit must be True or False, got {estimator.refit!r}")
    if estimator.refit and not estimator.early_stopping:
        raise ValueError("refit=True needs held-out rows to choose the epochs by: set early_stopping")
    if estimator.refit and estimator.callbacks:
        raise ValueError(
            "refit=True trains a second time, without held-out rows and their scores, which callbacks were "
            "not made for: use one of the two"
        )
