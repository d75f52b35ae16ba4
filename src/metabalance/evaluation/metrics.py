"""How good predictions are on imbalanced data: ranking, decisions and probabilities."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, f1_score, recall_score, roc_auc_score

from metabalance.evaluation.confidence import Confidence

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Metric:
    """What a number is: its key, its name for humans, which end is good, and its definition."""

    name: str
    label: str
    greater_is_better: bool
    description: str


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric(
                "roc_auc",
                "ROC-AUC",
                True,
                "Area under the ROC curve: the chance that a random row of the class ranks above a random "
                "row of another. Two classes: of class 1; more: mean of one class against the rest.",
            ),
            Metric(
                "average_precision",
                "Average precision",
                True,
                "Area under the precision-recall curve. Two classes: of class 1; more: mean of one class "
                "against the rest.",
            ),
            Metric(
                "balanced_accuracy",
                "Balanced accuracy",
                True,
                "Mean of the recalls of all classes.",
            ),
            Metric(
                "macro_f1",
                "Macro F1",
                True,
                "Mean over classes of the harmonic mean of precision and recall.",
            ),
            Metric(
                "geometric_mean",
                "Geometric mean",
                True,
                "Geometric mean of the recalls of all classes: 0 as soon as one class is never found.",
            ),
            Metric(
                "brier",
                "Brier score",
                False,
                "Mean squared distance of the probabilities from the truth, halved: 0 is perfect, 1 is sure "
                "and wrong.",
            ),
            Metric(
                "ece",
                "Calibration error",
                False,
                "Expected calibration error: mean distance between the highest probability and how often "
                "that class is right, in 15 bins.",
            ),
        )
    }
)


def score_predictions(y: Any, proba: Any, predicted: Any = None) -> dict[str, float]:
    """Compute every metric of ``METRICS``, in that order.

    A class that does not occur in ``y`` is left out of the means over
    classes. With fewer than two classes in ``y`` there is nothing to rank: ``roc_auc`` and
    ``average_precision`` are NaN.

    - ``brier`` is the mean over rows of Σ_k (p_k − 1[y = k])² / 2. The half makes it the usual
      mean of (p_1 − y)² for two classes.
    - ``ece`` is Σ_b |B_b| / n · |acc(B_b) − conf(B_b)| over 15 bins of equal width (b/15, (b+1)/15] of the
      most probable class's probability; acc is how often that class is right in a bin and conf its mean
      probability (Guo et al., "On calibration of modern neural networks", ICML 2017, equation 3).

    Parameters
    ----------
    y : array-like of int, shape (n,)
        True classes as codes 0 … K−1.
    proba : array-like of float, shape (n, K)
        Probabilities; each row sums to 1.
    predicted : array-like of int, shape (n,), optional
        Codes of the predicted classes; the most probable ones by default.

    Returns
    -------
    scores : dict of float
        One value for each key of ``METRICS``.

    Raises
    ------
    ValueError
        Shapes that do not fit, no rows, codes out of range, NaN, or rows that are no probabilities.
    TypeError
        Codes that are not integers.

    Examples
    --------
    >>> from metabalance.evaluation.metrics import score_predictions
    >>> scores = score_predictions([0, 0, 1], [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])
    >>> scores["roc_auc"], scores["balanced_accuracy"], round(scores["brier"], 4)
    (1.0, 0.75, 0.1367)
    """
    codes, proba = _checked(y, proba)
    predicted = _decided(predicted, proba)
    occurring = np.unique(codes)
    recalls = recall_score(codes, predicted, labels=occurring, average=None, zero_division=0)
    roc_auc, average_precision = _ranking(codes, proba)
    confidence = Confidence.of(codes, proba)
    scores = {
        "roc_auc": roc_auc,
        "average_precision": average_precision,
        "balanced_accuracy": recalls.mean(),
        "macro_f1": f1_score(codes, predicted, labels=occurring, average="macro", zero_division=0),
        "geometric_mean": recalls.prod() ** (1.0 / len(occurring)),
        "brier": confidence.brier,
        "ece": confidence.error,
    }
    return {name: float(scores[name]) for name in METRICS}


def recall_per_class(y: Any, proba: Any, predicted: Any = None) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Share of each class's rows for which it is predicted.

    Parameters
    ----------
    y, proba, predicted
        As for `score_predictions`, with the same errors.

    Returns
    -------
    recall : ndarray of float64, shape (K,)
        NaN for a class that does not occur in ``y``.

    Examples
    --------
    >>> from metabalance.evaluation.metrics import recall_per_class
    >>> recall_per_class([0, 0, 1], [[0.9, 0.1, 0.0], [0.4, 0.6, 0.0], [0.2, 0.8, 0.0]])
    array([0.5, 1. , nan])
    """
    codes, proba = _checked(y, proba)
    recall = np.full(proba.shape[1], np.nan)
    occurring = np.unique(codes)
    recall[occurring] = recall_score(
        codes, _decided(predicted, proba), labels=occurring, average=None, zero_division=0
    )
    return recall


def _decided(predicted: Any, proba: Array) -> Array:
    """The predicted classes, checked."""
    if predicted is None:
        most_probable: Array = proba.argmax(axis=1)
        return most_probable
    codes = np.asarray(predicted)
    if codes.shape != (len(proba),) or codes.dtype.kind not in "iu":
        raise ValueError(
            f"predicted must be one code of a class for each of {len(proba)} rows, got {codes.dtype} of "
            f"shape {codes.shape}"
        )
    if len(codes) and not 0 <= codes.min() <= codes.max() < proba.shape[1]:
        raise ValueError(
            f"predicted holds codes from {codes.min()} to {codes.max()}, proba has {proba.shape[1]} columns"
        )
    return codes


def _ranking(codes: Array, proba: Array) -> tuple[float, float]:
    """ROC-AUC and average precision, of class 1 of two or averaged over the classes that occur."""
    occurring = np.unique(codes)
    if len(occurring) < 2:
        return float("nan"), float("nan")
    ranked = [1] if proba.shape[1] == 2 else list(occurring)
    areas = [roc_auc_score(codes == k, proba[:, k]) for k in ranked]
    precisions = [average_precision_score(codes == k, proba[:, k]) for k in ranked]
    return float(np.mean(areas)), float(np.mean(precisions))


def _checked(y: Any, proba: Any) -> tuple[Array, Array]:
    codes, probabilities = np.asarray(y), np.asarray(proba, dtype=np.float64)
    if probabilities.ndim != 2 or probabilities.shape[1] < 2:
        raise ValueError(f"proba must have shape (n, K) with K ≥ 2, got {probabilities.shape}")
    if codes.shape != probabilities.shape[:1]:
        raise ValueError(
            f"y must have one code per row of proba: got shape {codes.shape} for {len(probabilities)} rows"
        )
    if len(codes) == 0:
        raise ValueError("there are no predictions to score: y is empty")
    if codes.dtype.kind not in "iu":
        raise TypeError(
            f"y must hold integer codes 0 … K−1, got dtype {codes.dtype}: encode the labels first"
        )
    n_classes = probabilities.shape[1]
    if codes.min() < 0 or codes.max() >= n_classes:
        raise ValueError(
            f"y holds codes from {codes.min()} to {codes.max()}, but proba has {n_classes} columns: "
            f"codes must lie in 0 … {n_classes - 1}"
        )
    undefined = int(np.isnan(probabilities).any(axis=1).sum())
    if undefined:
        raise ValueError(f"proba has NaN in {undefined} of {len(codes)} rows: did the training diverge?")
    unfit = (probabilities < 0.0).any(axis=1) | (np.abs(probabilities.sum(axis=1) - 1.0) > 1e-3)
    if unfit.any():
        row = int(unfit.argmax())
        raise ValueError(
            f"row {row} of proba is no probability distribution, its sum is {probabilities[row].sum():g}: "
            "give predict_proba's result, not scores or logits"
        )
    return codes.astype(np.int64), probabilities
