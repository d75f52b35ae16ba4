"""scikit-learn's own checks, as for the estimator that is searched."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from metabalance import MetaBalanceClassifier, MSMetaBalanceClassifier


@parametrize_with_checks(
    [
        MSMetaBalanceClassifier(
            # Few large updates: every check fits it several times, and fits it three times itself.
            MetaBalanceClassifier(
                max_epochs=4, lr=0.05, support_batch_size=128, query_batch_size=128, early_stopping=False
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
