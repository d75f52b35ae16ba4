"""Curves of one method, averaged over splits; scores of different models are never pooled to be ranked.

Two models trained on different splits may rank their own test parts perfectly and still disagree on the
scale of their scores, so that a curve through the pooled scores shows less than either model does. Here
every test part gives its own curve; curves are averaged at common places, over the classes first (one against
the rest, as in the metrics), then over the seeds of a split, then over the splits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from sklearn.metrics import precision_recall_curve, roc_curve

from metabalance.evaluation.comparison import Comparison, FoldResult

Array: TypeAlias = npt.NDArray[np.float64]

GRID: Array = np.linspace(0.0, 1.0, 201)


def mean_roc_curve(comparison: Comparison, method: str) -> Array:
    """Return the mean true positive rates of a method at the false positive rates :data:`GRID`.

    Returns
    -------
    ndarray of shape (201,)
        NaN where no test part holds both a class and its rest, or the predictions were not kept.
    """
    return _mean_over_splits(comparison, method, _roc)


def mean_precision_recall_curve(comparison: Comparison, method: str) -> Array:
    """Return the mean precisions of a method at the recalls :data:`GRID`.

    Precision is a step function of recall, as in average precision, so that the area under the mean curve
    is the mean average precision. Recall 0 has no precision of its own and takes that of the next place.

    Returns
    -------
    ndarray of shape (201,)
        NaN where no test part holds both a class and its rest, or the predictions were not kept.
    """
    return _mean_over_splits(comparison, method, _precision)


def _roc(is_class: npt.NDArray[np.bool_], score: Array) -> Array:
    false_positive, true_positive, _ = roc_curve(is_class, score)
    curve: Array = np.interp(GRID, false_positive, true_positive)
    curve[0] = 0.0
    return curve


def _precision(is_class: npt.NDArray[np.bool_], score: Array) -> Array:
    precision, recall, _ = precision_recall_curve(is_class, score)
    # From the highest threshold down, without scikit-learn's artificial start at recall 0, precision 1.
    precision, recall = precision[-2::-1], recall[-2::-1]
    first_reaching = np.searchsorted(recall, np.maximum(GRID, GRID[1]), side="left")
    curve: Array = precision[first_reaching]
    return curve


def _mean_over_splits(
    comparison: Comparison, method: str, curve: Callable[[npt.NDArray[np.bool_], Array], Array]
) -> Array:
    by_split: defaultdict[int, list[Array]] = defaultdict(list)
    for result in comparison.results:
        if result.method == method:
            of_classes = [curve(is_class, score) for is_class, score in _one_against_rest(result)]
            if of_classes:
                by_split[result.split].append(np.mean(of_classes, axis=0))
    if not by_split:
        return np.full_like(GRID, np.nan)
    mean: Array = np.mean([np.mean(curves, axis=0) for curves in by_split.values()], axis=0)
    return mean


def _one_against_rest(result: FoldResult) -> Iterator[tuple[npt.NDArray[np.bool_], Array]]:
    n_classes = result.proba.shape[1]
    for code in [1] if n_classes == 2 else range(n_classes):
        is_class = result.y_true == code
        if 0 < is_class.sum() < len(is_class):
            yield is_class, result.proba[:, code].astype(np.float64)
