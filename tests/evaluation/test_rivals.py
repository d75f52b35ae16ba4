import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_score

from metabalance.evaluation.rivals import RIVALS, TunedLogisticRegression


@pytest.mark.parametrize("name", RIVALS)
def test_rivals_learn_tables_with_gaps_and_categories(name: str) -> None:
    X, y = make_classification(300, 5, n_informative=4, n_redundant=0, weights=[0.85], random_state=0)
    frame = pd.DataFrame(X, columns=list("abcde"))
    frame["city"] = np.where(y + np.random.default_rng(0).normal(size=300) > 1, "Rome", "Bern")
    frame.loc[::7, "a"] = np.nan
    rival = RIVALS[name].build({}, 0).fit(frame[:200], y[:200])
    proba = rival.predict_proba(frame[200:])
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-6)
    assert roc_auc_score(y[200:], proba[:, 1]) > 0.8
    assert set(rival.predict(frame[200:])) <= {0, 1}


def test_balanced_forms_find_more_of_the_rare_class() -> None:
    X, y = make_classification(600, 5, n_informative=3, weights=[0.9], class_sep=0.5, random_state=0)
    for name in ("logistic-regression", "hist-gradient-boosting", "lightgbm"):
        plain, balanced = (
            RIVALS[n].build({}, 0).fit(X[:400], y[:400]).predict(X[400:]).sum()
            for n in (name, f"{name}:balanced")
        )
        assert balanced > plain


def test_images_are_flattened() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 50)
    X = rng.normal(size=(100, 1, 4, 4)) + y[:, None, None, None]
    assert (RIVALS["logistic-regression"].build({}, 0).fit(X, y).predict(X) == y).mean() > 0.9


def test_the_penalty_of_logistic_regression_is_the_best_by_cross_validation() -> None:
    X, y = make_classification(120, 30, n_informative=2, flip_y=0.3, random_state=0)
    found = TunedLogisticRegression(random_state=1).fit(X, y)
    folds = StratifiedKFold(5, shuffle=True, random_state=1)
    scores = {
        C: cross_val_score(LogisticRegression(C=C, max_iter=2000), X, y, cv=folds, scoring="roc_auc").mean()
        for C in np.logspace(-3, 2, 6)
    }
    best = max(scores, key=lambda C: scores[C])
    assert best != 1.0  # or the test would not tell it from the default
    expected = LogisticRegression(C=best, max_iter=2000).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(found.predict_proba(X), expected, rtol=1e-6)


def test_a_class_of_one_row_leaves_the_penalty_alone() -> None:
    X = np.random.default_rng(0).normal(size=(20, 3))
    y = np.arange(20) == 0
    found = TunedLogisticRegression().fit(X, y)
    expected = LogisticRegression(max_iter=2000).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(found.predict_proba(X), expected)
