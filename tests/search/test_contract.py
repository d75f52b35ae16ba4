"""What scikit-learn asks of an estimator: its own checks, and searches over the search."""

import pytest
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

from metabalance import MetaBalanceClassifier, MSMetaBalanceClassifier
from tests.search.conftest import quick_net, quick_search


@parametrize_with_checks(
    [
        MSMetaBalanceClassifier(
            # Few large updates: every check fits it several times, and fits it three times itself.
            MetaBalanceClassifier(
                max_epochs=4, lr=0.05, n_members=2, hidden_sizes=(32,), early_stopping=False
            ),
            support_samplers=("natural",),
            query_samplers=("under",),
            cv=2,
            random_state=0,
        )
    ]
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learn_contract(estimator, check) -> None:
    check(estimator)


def test_it_can_be_cloned_and_searched_over(binary) -> None:
    search = quick_search(query_samplers=["under"])
    assert clone(search).get_params()["estimator__support_batch_size"] == 512
    outer = GridSearchCV(search, {"estimator__beta": [0.0, 0.5]}, cv=2, error_score="raise").fit(*binary)
    expected = roc_auc_score(binary[1], outer.predict_proba(binary[0])[:, 1])
    assert outer.score(*binary) == pytest.approx(expected, rel=1e-12)
    assert outer.best_estimator_.best_estimator_.beta == outer.best_params_["estimator__beta"]


def test_a_search_leaves_what_it_was_given_alone(binary) -> None:
    net, grid = quick_net(), {"beta": [0.0]}
    before = net.get_params()
    quick_search(net, param_grid=grid, scoring="f1").fit(*binary)
    assert net.get_params() == before
    assert grid == {"beta": [0.0]}
