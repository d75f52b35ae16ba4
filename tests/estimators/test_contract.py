"""scikit-learn's own checks of an estimator."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from metabalance import MetaBalanceClassifier, MetaWeightNetClassifier, NeuralClassifier


# Enough epochs for the checks that want three blobs to be told apart.
@parametrize_with_checks(
    [
        NeuralClassifier(max_epochs=10, random_state=0),
        MetaBalanceClassifier(max_epochs=10, random_state=0),
        MetaWeightNetClassifier(max_epochs=10, random_state=0),
    ]
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learn_contract(estimator, check) -> None:
    check(estimator)
