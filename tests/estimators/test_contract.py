"""scikit-learn's own checks of an estimator."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from metabalance import MetaBalanceClassifier, MetaWeightNetClassifier, NeuralClassifier

# Enough epochs for the checks that want three blobs to be told apart; fewer and smaller members, for speed.
OPTIONS = {"max_epochs": 10, "n_members": 4, "hidden_sizes": (32,), "random_state": 0}


@parametrize_with_checks(
    [NeuralClassifier(**OPTIONS), MetaBalanceClassifier(**OPTIONS), MetaWeightNetClassifier(**OPTIONS)]
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learn_contract(estimator, check) -> None:
    check(estimator)
