"""The score that early stopping follows, on probabilities and class codes."""

import difflib
import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import get_scorer, get_scorer_names

from metabalance.encoding.labels import positive_code
from metabalance.estimators.calibration import refinement

Codes = NDArray[np.int64]


class Score(Protocol):
    """Higher is better."""

    def __call__(
        self, probabilities: NDArray[np.float64], codes: Codes, predicted: Codes | None = None, /
    ) -> float:
        """Return the score of probabilities of shape (n, K), true codes and predicted ones of shape (n,)."""


def check_scoring(scoring: Any) -> None:
    """Raise unless scoring is None, a function or the name of a scikit-learn scorer."""
    if scoring is None or callable(scoring):
        return
    names = get_scorer_names()
    if scoring not in names:
        close = difflib.get_close_matches(str(scoring), names, n=1, cutoff=0.3)
        raise ValueError(
            f"scoring={scoring!r} is no scikit-learn scorer{f'; did you mean {close[0]!r}?' if close else ''}"
        )


def ranking_scorer(n_classes: int) -> str:
    """Name of the scorer that is ROC-AUC, one-vs-rest for many classes."""
    return "roc_auc" if n_classes == 2 else "roc_auc_ovr"


def choose_score(scoring: Any, classes: NDArray[Any], counts: NDArray[np.int64]) -> Score:
    """Return score(probabilities, codes) from a scikit-learn scorer, its name, or None for refinement.

    A third argument, the codes of the classes that are predicted, takes the place of the most probable ones
    where a scorer looks at labels.

    ROC-AUC of two classes is computed here: on small data scikit-learn's checks would cost a tenth of the
    fit. A scorer given by name sees codes instead of labels, with 1 for the rarer of two classes: names like
    "average_precision" or "f1" then are about the rare class, whatever the labels. A scorer object sees the
    user's own labels.
    """
    if scoring is None:
        return lambda probabilities, codes, predicted=None: refinement(probabilities, codes)
    if scoring == "roc_auc" and len(classes) == 2:
        return lambda probabilities, codes, predicted=None: roc_auc(probabilities, codes)
    if scoring == "roc_auc":
        raise ValueError(f"scoring='roc_auc' is for two classes, got {len(classes)}: use 'roc_auc_ovr'")
    scorer = get_scorer(scoring)
    by_name = isinstance(scoring, str)
    labels = np.arange(len(classes)) if by_name else classes
    swapped = by_name and len(classes) == 2 and positive_code(counts) == 0

    def score(
        probabilities: NDArray[np.float64], codes: NDArray[np.int64], predicted: Codes | None = None
    ) -> float:
        predicted = probabilities.argmax(axis=1) if predicted is None else predicted
        if swapped:
            probabilities, codes, predicted = probabilities[:, ::-1], 1 - codes, 1 - predicted
        fixed = _FixedPredictions(probabilities, labels[predicted], labels)
        value = float(scorer(fixed, codes, labels[codes]))
        if not math.isfinite(value):
            raise ValueError(
                f"scoring={scoring!r} gave {value} on the held-out rows: scores must be finite, use another "
                "scorer"
            )
        return value

    if by_name:
        try:  # now rather than after the first epoch
            score(np.eye(len(classes)), np.arange(len(classes)))
        except ValueError as error:
            raise ValueError(f"scoring={scoring!r} cannot score {len(classes)} classes: {error}") from error
    return score


def roc_auc(probabilities: NDArray[np.float64], codes: NDArray[np.int64]) -> float:
    """Chance that a row of class 1 gets more probability of it than one of class 0; ties count half.

    Parameters
    ----------
    probabilities : array of float, shape (n, 2)
    codes : array of int in {0, 1}, shape (n,)

    Raises
    ------
    ValueError
        If a class does not occur.
    """
    positive = codes == 1
    n_positive = int(positive.sum())
    n_negative = len(codes) - n_positive
    if not n_positive or not n_negative:
        raise ValueError(
            f"ROC-AUC needs rows of both classes, got {n_negative} of one and {n_positive} of the other: "
            "give more rows, or another scoring"
        )
    rank_sum = rankdata(probabilities[:, 1])[positive].sum()
    # A rank counts rows of both classes below; those of its own are taken off (Mann and Whitney 1947).
    pairs_won = rank_sum - n_positive * (n_positive + 1) / 2
    return float(pairs_won / (n_positive * n_negative))


class _FixedPredictions(ClassifierMixin, BaseEstimator):
    """A fitted classifier, to a scorer, whose predictions are known beforehand."""

    def __init__(self, probabilities: Any, labels: Any, classes: Any) -> None:
        self.probabilities = probabilities
        self.labels = labels
        self.classes = classes
        self.classes_ = classes

    def predict_proba(self, X: Any) -> Any:
        return self.probabilities

    def predict(self, X: Any) -> Any:
        return self.labels
