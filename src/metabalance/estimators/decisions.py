"""Which class is predicted, given probabilities: what errors cost, or how many may be missed or raised."""

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metabalance.estimators.parameters import check_number, check_positive_int

NAMES = ("auto", "balanced", "most_probable")
NEVER = 800.0  # log-odds that no probability has, however it is rounded
SMALLEST_SHARE = 1e-100
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Costs:
    """Predict so that errors cost least on average, of two classes; the rarer one is the positive one.

    Of two classes of the same size that is the second in ``classes_``, here as wherever one is meant.
    The rarer class is predicted where its probability is above false_positive / (false_positive +
    false_negative) [1]_: that asks for probabilities of the frequencies where the predictions are used
    (``prior``).

    Parameters
    ----------
    false_positive, false_negative : float
        Cost of a false alarm and of a miss, above 0; only their ratio matters.

    References
    ----------
    .. [1] Elkan. The Foundations of Cost-Sensitive Learning. IJCAI 2001, eq. 2.

    Examples
    --------
    >>> from metabalance import Costs, NeuralClassifier
    >>> net = NeuralClassifier(decision=Costs(false_positive=1, false_negative=50))
    """

    false_positive: float
    false_negative: float

    def __post_init__(self) -> None:
        check_number("false_positive", self.false_positive, above=0)
        check_number("false_negative", self.false_negative, above=0)


@dataclass(frozen=True)
class RecallAtLeast:
    """Predict the rarer of two classes as seldom as finding this share of its held-out rows allows.

    Parameters
    ----------
    recall : float in (0, 1]

    Examples
    --------
    >>> from metabalance import NeuralClassifier, RecallAtLeast
    >>> net = NeuralClassifier(decision=RecallAtLeast(0.9))
    """

    recall: float

    def __post_init__(self) -> None:
        _check_share("recall", self.recall)


@dataclass(frozen=True)
class PrecisionAtLeast:
    """Predict the rarer of two classes as often as this share of right ones among held-out rows allows.

    The share is that at the frequencies that the probabilities speak of (``prior``). Where it is reached at
    no threshold, `fit` warns and takes the one with the highest.

    Parameters
    ----------
    precision : float in (0, 1]

    Examples
    --------
    >>> from metabalance import NeuralClassifier, PrecisionAtLeast
    >>> net = NeuralClassifier(decision=PrecisionAtLeast(0.5))
    """

    precision: float

    def __post_init__(self) -> None:
        _check_share("precision", self.precision)


@dataclass(frozen=True)
class AlertsAtMost:
    """Predict the rarer of two classes for so many rows at most, of so many: say, a day's.

    Held-out rows say which threshold that is, on average, at the frequencies that the probabilities speak of
    (``prior``).

    Parameters
    ----------
    alerts : float
        Rows that may be predicted to be of the rarer class, above 0.
    rows : int
        Rows that these are among.

    Examples
    --------
    >>> from metabalance import AlertsAtMost, NeuralClassifier
    >>> net = NeuralClassifier(decision=AlertsAtMost(100, rows=50_000))
    """

    alerts: float
    rows: int

    def __post_init__(self) -> None:
        check_number("alerts", self.alerts, above=0)
        check_positive_int("rows", self.rows)
        if self.alerts > self.rows:
            raise ValueError(f"alerts must be at most rows, {self.rows}, got {self.alerts}")


BinaryDecision = Costs | RecallAtLeast | PrecisionAtLeast | AlertsAtMost


def check_decision(decision: Any) -> None:
    """Raise unless decision is a known name or one of the objects here."""
    if isinstance(decision, str) and decision not in NAMES:
        raise ValueError(f"decision must be one of {', '.join(map(repr, NAMES))}, got {decision!r}")
    if not isinstance(decision, str | BinaryDecision):
        raise TypeError(
            "decision must be a name, or Costs(…), RecallAtLeast(…), PrecisionAtLeast(…) or AlertsAtMost(…), "
            f"got {decision!r}"
        )


def log_weights(
    decision: Any,
    probabilities: NDArray[np.float64],
    codes: NDArray[np.int64],
    prior: NDArray[np.float64],
    aim: NDArray[np.float64],
    positive: int,
) -> NDArray[np.float64]:
    """Return what is to be added to the logarithm of each class's probability before the largest is taken.

    Parameters
    ----------
    decision : str or object
        As checked by `check_decision`.
    probabilities : array of shape (n, K)
        Of held-out rows, at the frequencies of ``prior``.
    codes : array of int, shape (n,)
    prior : array of shape (K,)
        Class frequencies that the probabilities speak of.
    aim : array of shape (K,)
        Frequencies at which "auto" would be right most often; only ratios matter. For "balanced" they are
        equal ones.
    positive : int
        Code of the class that decisions between two are about.

    Raises
    ------
    ValueError
        If the decision is one between two classes, and there are more.
    """
    n_classes = probabilities.shape[1]
    if decision == "most_probable":
        return np.zeros(n_classes)
    if isinstance(decision, str):
        wanted = np.ones(n_classes) if decision == "balanced" else aim
        shares = np.maximum(wanted / wanted.sum(), SMALLEST_SHARE)  # a class of weight 0 is never predicted
        weights: NDArray[np.float64] = np.log(shares) - np.log(prior / prior.sum())
        return weights
    if n_classes != 2:
        raise ValueError(
            f"decision={decision!r} is between two classes, got {n_classes}: use 'balanced' or "
            "'most_probable', and prior= for frequencies"
        )
    share = prior[positive] / prior.sum()
    weights = np.zeros(2)
    weights[positive] = -_log_odds(decision, probabilities[:, positive], codes == positive, share)
    return weights


def _log_odds(
    decision: BinaryDecision, probability: NDArray[np.float64], is_positive: NDArray[np.bool_], share: float
) -> float:
    """Logarithm of the odds above which the positive class is predicted."""
    if isinstance(decision, Costs):
        return math.log(decision.false_positive) - math.log(decision.false_negative)
    values = np.unique(-probability)
    order = np.argsort(-probability, kind="stable")
    last_of_value = np.append(np.searchsorted(-probability[order], values)[1:], len(order)) - 1
    found = np.cumsum(is_positive[order])[last_of_value] / is_positive.sum()  # by threshold, falling
    false = np.cumsum(~is_positive[order])[last_of_value] / (~is_positive).sum()
    alerts = share * found + (1 - share) * false
    if isinstance(decision, RecallAtLeast):
        return _below(-values, int((found >= decision.recall - _ROUNDING).argmax()))
    if isinstance(decision, AlertsAtMost):
        return _below(-values, int((alerts <= decision.alerts / decision.rows + _ROUNDING).sum()) - 1)
    precision = share * found / alerts
    good = np.flatnonzero(precision >= decision.precision - _ROUNDING)
    if not len(good):
        warnings.warn(
            f"a precision of {decision.precision:g} is not reached on held-out rows at any threshold: the "
            f"one with the highest precision, {precision.max():.3g}, is taken",
            UserWarning,
            stacklevel=2,
        )
        good = np.flatnonzero(precision == precision.max())
    return _below(-values, int(good[-1]))


def _below(values: NDArray[np.float64], place: int) -> float:
    """Log-odds half-way between a value and the next lower one; above all of them for place −1."""
    upper = values[place] if place >= 0 else 1.0
    lower = values[place + 1] if place + 1 < len(values) else 0.0
    probability = float(upper + lower) / 2
    if not 0 < probability < 1:
        return math.copysign(NEVER, probability - 0.5)
    return math.log(probability) - math.log1p(-probability)


def _check_share(name: str, value: Any) -> None:
    check_number(name, value, above=0)
    if value > 1:
        raise ValueError(f"{name} must be at most 1, got {value!r}")
