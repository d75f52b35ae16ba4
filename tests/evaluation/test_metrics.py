"""Every metric against hand computations and against scikit-learn and imbalanced-learn."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imblearn.metrics import geometric_mean_score
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    roc_auc_score,
)

from metabalance.evaluation.metrics import METRICS, recall_per_class, score_predictions


def binary(*p1: float) -> np.ndarray:
    return np.column_stack([1.0 - np.array(p1), p1])


def random_problem(n_classes: int, seed: int, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(n_classes), rng.integers(n_classes, size=n - n_classes)])
    return y, rng.dirichlet(np.ones(n_classes), size=n)


def test_binary_by_hand() -> None:
    y = [0, 0, 0, 1, 1]
    proba = binary(0.1, 0.2, 0.7, 0.6, 0.9)
    scores = score_predictions(y, proba)
    assert list(scores) == list(METRICS)
    # Of 3 × 2 pairs only (0.7 against 0.6) is ranked wrongly.
    assert scores["roc_auc"] == pytest.approx(5 / 6)
    # Found in order 0.9 (right), 0.7 (wrong), 0.6 (right): precision 1 and 2/3 at the two hits.
    assert scores["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    # Recalls 2/3 and 1; precisions 1 and 2/3.
    assert scores["balanced_accuracy"] == pytest.approx(5 / 6)
    assert scores["macro_f1"] == pytest.approx(0.8)
    assert scores["geometric_mean"] == pytest.approx(np.sqrt(2 / 3))
    assert scores["brier"] == pytest.approx((0.01 + 0.04 + 0.49 + 0.16 + 0.01) / 5)
    # Confidences .9 .8 .7 .6 .9 fall into the bins 14, 12, 11, 9 and 14 of 15; only the third is wrong.
    assert scores["ece"] == pytest.approx((abs(2 - 1.8) + abs(1 - 0.8) + 0.7 + abs(1 - 0.6)) / 5)


def test_multi_class_by_hand() -> None:
    y = [0, 1, 2, 2]
    proba = [[0.6, 0.2, 0.2], [0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.2, 0.6, 0.2]]
    scores = score_predictions(y, proba)
    assert scores["balanced_accuracy"] == pytest.approx((1 + 0 + 0.5) / 3)
    assert scores["geometric_mean"] == 0.0
    # One against the rest: class 0 ranks its row first; class 1 has one of three others above its row; of the
    # rows of class 2, 0.7 beats both others and 0.2 ties with both.
    by_hand = [1.0, 2 / 3, (2 + 1) / 4]
    assert scores["roc_auc"] == pytest.approx(np.mean(by_hand))
    squares = [0.16 + 0.04 + 0.04, 0.25 + 0.49 + 0.04, 0.01 + 0.04 + 0.09, 0.04 + 0.36 + 0.64]
    assert scores["brier"] == pytest.approx(np.mean(squares) / 2)


@pytest.mark.parametrize("seed", range(5))
def test_binary_agrees_with_the_libraries(seed: int) -> None:
    y, proba = random_problem(2, seed)
    predicted = proba.argmax(axis=1)
    scores = score_predictions(y, proba)
    assert scores["roc_auc"] == pytest.approx(roc_auc_score(y, proba[:, 1]))
    assert scores["average_precision"] == pytest.approx(average_precision_score(y, proba[:, 1]))
    assert scores["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(y, predicted))
    assert scores["geometric_mean"] == pytest.approx(geometric_mean_score(y, predicted))
    assert scores["brier"] == pytest.approx(brier_score_loss(y, proba[:, 1]))


@pytest.mark.parametrize("seed", range(5))
def test_multi_class_agrees_with_the_libraries(seed: int) -> None:
    y, proba = random_problem(4, seed)
    predicted = proba.argmax(axis=1)
    scores = score_predictions(y, proba)
    assert scores["roc_auc"] == pytest.approx(roc_auc_score(y, proba, multi_class="ovr"))
    onehot = np.eye(4)[y]
    assert scores["average_precision"] == pytest.approx(
        average_precision_score(onehot, proba, average="macro")
    )
    assert scores["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(y, predicted))
    assert scores["macro_f1"] == pytest.approx(f1_score(y, predicted, average="macro"))
    assert scores["geometric_mean"] == pytest.approx(geometric_mean_score(y, predicted))
    assert np.nanmean(recall_per_class(y, proba)) == pytest.approx(scores["balanced_accuracy"])


def test_calibration_error_bin_by_bin() -> None:
    y, proba = random_problem(3, 7, n=500)
    confidence, right = proba.max(axis=1), proba.argmax(axis=1) == y
    expected = 0.0
    for b in range(15):
        inside = (confidence > b / 15) & (confidence <= (b + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert score_predictions(y, proba)["ece"] == pytest.approx(expected)


def test_perfect_predictions() -> None:
    scores = score_predictions([0, 1, 2, 1], np.eye(3)[[0, 1, 2, 1]])
    for name, metric in METRICS.items():
        assert scores[name] == pytest.approx(1.0 if metric.greater_is_better else 0.0)


def test_absent_classes_are_left_out() -> None:
    y, proba = random_problem(3, 1)
    wider = np.column_stack([proba * 0.9, np.full(len(y), 0.1)])
    scores, wide_scores = score_predictions(y, proba), score_predictions(y, wider)
    for name in ("roc_auc", "average_precision", "balanced_accuracy", "macro_f1", "geometric_mean"):
        assert wide_scores[name] == pytest.approx(scores[name])
    recall = recall_per_class(y, wider)
    np.testing.assert_allclose(recall[:3], recall_per_class(y, proba))
    assert np.isnan(recall[3])


def test_an_absent_class_that_is_predicted_costs_recall_without_a_warning() -> None:
    scores = score_predictions([0, 0, 1], [[0.1, 0.1, 0.8], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])
    assert scores["balanced_accuracy"] == pytest.approx(0.75)
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 1) / 2)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_one_class_in_y_has_no_ranking(n_classes: int) -> None:
    proba = np.full((3, n_classes), 1 / n_classes)
    scores = score_predictions([0, 0, 0], proba)
    assert np.isnan(scores["roc_auc"])
    assert np.isnan(scores["average_precision"])
    assert scores["balanced_accuracy"] == 1.0


@given(st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_scores_lie_between_0_and_1_and_do_not_depend_on_row_order(n_classes: int, seed: int) -> None:
    y, proba = random_problem(n_classes, seed, n=20)
    scores = score_predictions(y, proba.astype(np.float32))
    assert all(0.0 <= value <= 1.0 for value in scores.values())
    order = np.random.default_rng(seed).permutation(20)
    assert score_predictions(y[order], proba[order].astype(np.float32)) == pytest.approx(scores)


def test_metrics_is_read_only_and_says_what_each_is() -> None:
    assert list(METRICS) == [
        "roc_auc",
        "average_precision",
        "balanced_accuracy",
        "macro_f1",
        "geometric_mean",
        "brier",
        "ece",
    ]
    assert [name for name, metric in METRICS.items() if not metric.greater_is_better] == ["brier", "ece"]
    assert all(metric.name == name and metric.description.endswith(".") for name, metric in METRICS.items())
    with pytest.raises(TypeError):
        METRICS["new"] = METRICS["ece"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("y", "proba", "error", "message"),
    [
        ([0, 1], [0.2, 0.8], ValueError, r"shape \(n, K\) with K ≥ 2, got \(2,\)"),
        ([0, 0], [[1.0], [1.0]], ValueError, r"K ≥ 2, got \(2, 1\)"),
        ([0], binary(0.5, 0.5), ValueError, r"one code per row of proba: got shape \(1,\) for 2 rows"),
        ([], np.empty((0, 2)), ValueError, "no predictions to score"),
        ([0.0, 1.0], binary(0.5, 0.5), TypeError, "integer codes .* got dtype float64"),
        (["a", "b"], binary(0.5, 0.5), TypeError, "encode the labels first"),
        ([0, 2], binary(0.5, 0.5), ValueError, "codes from 0 to 2, but proba has 2 columns"),
        ([-1, 1], binary(0.5, 0.5), ValueError, "codes from -1 to 1"),
        ([0, 1], binary(0.5, np.nan), ValueError, "NaN in 1 of 2 rows"),
        ([0, 1], [[0.5, 0.5], [3.0, 1.0]], ValueError, "row 1 of proba .* its sum is 4"),
        ([0, 1], [[-0.5, 1.5], [0.5, 0.5]], ValueError, "row 0 of proba"),
    ],
)
def test_errors(y: Any, proba: Any, error: type[Exception], message: str) -> None:
    for function in (score_predictions, recall_per_class):
        with pytest.raises(error, match=message):
            function(y, proba)
