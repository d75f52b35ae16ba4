"""scikit-learn's own checks, as for the estimator that is searched."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from metabalance import MetaBalanceClassifier, MSMetaBalanceClassifier


@parametrize_with_checks(
    [
        MSMetaBalanceClassifier(
            MetaBalanceClassifier(max_epochs=10),
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
