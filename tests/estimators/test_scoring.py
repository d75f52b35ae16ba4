"""Scores against scikit-learn's."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, make_scorer, roc_auc_score

from metabalance.estimators.scoring import choose_score, roc_auc

PROBA = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
CODES = np.array([0, 1, 1, 0])
LABELS = np.array(["no", "yes"])


def test_scores_are_those_of_scikit_learn() -> None:
    by_rank = choose_score("roc_auc", LABELS, np.array([9, 1]))(PROBA, CODES)
    assert by_rank == roc_auc_score(CODES, PROBA[:, 1])
    by_name = choose_score("average_precision", LABELS, np.array([9, 1]))(PROBA, CODES)
    assert by_name == average_precision_score(CODES, PROBA[:, 1])
    own = make_scorer(f1_score, pos_label="yes")
    assert choose_score(own, LABELS, np.array([9, 1]))(PROBA, CODES) == f1_score(CODES, PROBA.argmax(axis=1))


@pytest.mark.parametrize("decimals", [1, 3, 16])
def test_roc_auc_is_that_of_scikit_learn_with_and_without_ties(decimals: int) -> None:
    rng = np.random.default_rng(0)
    codes = (rng.random(500) < 0.1).astype(np.int64)
    risk = np.clip(rng.normal(0.4 + 0.2 * codes, 0.2), 0, 1).round(decimals)
    found = roc_auc(np.stack([1 - risk, risk], axis=1), codes)
    assert found == pytest.approx(roc_auc_score(codes, risk), rel=1e-12)


@pytest.mark.parametrize(("codes", "found"), [([0, 0], "2 of one and 0"), ([1, 1], "0 of one and 2")])
def test_roc_auc_needs_both_classes(codes: list[int], found: str) -> None:
    with pytest.raises(ValueError, match=f"rows of both classes, got {found} of the other"):
        roc_auc(PROBA[:2], np.array(codes))


@pytest.mark.parametrize("name", ["average_precision", "f1", "recall", "roc_auc", "balanced_accuracy"])
def test_named_scores_are_about_the_rarer_class(name: str) -> None:
    as_it_is = choose_score(name, np.array(["common", "rare"]), np.array([9, 1]))(PROBA, CODES)
    alphabet_turned = choose_score(name, np.array(["fraud", "ok"]), np.array([1, 9]))
    assert alphabet_turned(PROBA[:, ::-1], 1 - CODES) == as_it_is


def test_many_classes_are_scored_one_against_the_rest() -> None:
    rng = np.random.default_rng(0)
    proba, codes = rng.dirichlet([1, 1, 1], 30), rng.integers(3, size=30)
    expected = roc_auc_score(codes, proba, multi_class="ovr")
    found = choose_score("roc_auc_ovr", np.arange(3), np.array([1, 1, 1]))(proba, codes)
    assert found == pytest.approx(expected)


def test_a_score_for_two_classes_is_refused_for_three_before_training() -> None:
    with pytest.raises(ValueError, match="scoring='f1' cannot score 3 classes: Target is multiclass"):
        choose_score("f1", np.arange(3), np.array([5, 5, 5]))


def test_roc_auc_of_many_classes_has_another_name() -> None:
    with pytest.raises(ValueError, match="scoring='roc_auc' is for two classes, got 3: use 'roc_auc_ovr'"):
        choose_score("roc_auc", np.arange(3), np.array([5, 3, 2]))
