from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from metabalance.evaluation.comparison import Comparison, FoldResult
from metabalance.report.curves import GRID, mean_precision_recall_curve, mean_roc_curve

Make = Callable[..., Comparison]


def of_method(comparison: Comparison, method: str) -> list[FoldResult]:
    return [result for result in comparison.results if result.method == method]


@pytest.mark.parametrize("classes", [("no", "yes"), ("a", "b", "c")])
def test_area_under_the_mean_roc_curve_is_the_mean_auc(
    make_comparison: Make, classes: tuple[str, ...]
) -> None:
    comparison = make_comparison(2, classes, n_seeds=2, n_rows=1500)
    for method in comparison.methods:
        areas = [
            roc_auc_score(result.y_true == code, result.proba[:, code])
            for result in of_method(comparison, method.name)
            for code in ([1] if len(classes) == 2 else range(len(classes)))
        ]
        area = np.trapezoid(mean_roc_curve(comparison, method.name), GRID)
        assert area == pytest.approx(np.mean(areas), abs=0.004)


@pytest.mark.parametrize("classes", [("no", "yes"), ("a", "b", "c")])
def test_area_under_the_mean_precision_recall_curve_is_the_mean_average_precision(
    make_comparison: Make, classes: tuple[str, ...]
) -> None:
    comparison = make_comparison(2, classes, n_rows=1500)
    for method in comparison.methods:
        areas = [
            average_precision_score(result.y_true == code, result.proba[:, code])
            for result in of_method(comparison, method.name)
            for code in ([1] if len(classes) == 2 else range(len(classes)))
        ]
        # A step function that is open to the left: its value at a place holds since the place before.
        area = mean_precision_recall_curve(comparison, method.name)[1:].mean()
        assert area == pytest.approx(np.mean(areas), abs=0.004)


def with_scores(comparison: Comparison, y: list[int], scores: list[float]) -> Comparison:
    first = comparison.results[0]
    proba = np.column_stack([1 - np.array(scores), scores]).astype(np.float32)
    return replace(comparison, results=(replace(first, y_true=np.array(y), proba=proba),))


def test_curves_of_a_hand_made_ranking(make_comparison: Make) -> None:
    # From the highest score down: yes, no, yes, no.
    comparison = with_scores(make_comparison(1), [1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1])
    roc = mean_roc_curve(comparison, "method-0")
    precision = mean_precision_recall_curve(comparison, "method-0")
    below, above = GRID <= 0.5, GRID > 0.5
    np.testing.assert_allclose(precision[below], 1.0)
    np.testing.assert_allclose(precision[above], 2 / 3)
    assert roc[0] == 0.0
    np.testing.assert_allclose(roc[1:][GRID[1:] < 0.5], 0.5)
    np.testing.assert_allclose(roc[above], 1.0)


def test_test_parts_with_one_class_have_no_curve(make_comparison: Make) -> None:
    comparison = with_scores(make_comparison(1), [0, 0, 0], [0.9, 0.8, 0.1])
    assert np.isnan(mean_roc_curve(comparison, "method-0")).all()
    assert np.isnan(mean_precision_recall_curve(comparison, "method-0")).all()
