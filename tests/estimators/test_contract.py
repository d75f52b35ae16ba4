"""scikit-learn's own checks of an estimator."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import Tensor, nn

from metabalance import FaceEmbedder, MetaBalanceClassifier, MetaWeightNetClassifier, NeuralClassifier

# Enough for the checks that want three blobs to be told apart, in a few large steps of a small network.
OPTIONS = {"max_epochs": 4, "lr": 0.03, "n_members": 2, "hidden_sizes": (32,), "random_state": 0}


class Body(nn.Module):
    """A network for tables that says what its last layer sees, as `FaceEmbedder` wants it."""

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(n_inputs, 5), nn.Linear(5, n_outputs)

    def embed(self, x: Tensor) -> Tensor:
        return self.body(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.embed(x))


@parametrize_with_checks(
    [
        NeuralClassifier(**OPTIONS),
        MetaBalanceClassifier(**OPTIONS),
        MetaWeightNetClassifier(**OPTIONS, batch_size=128, meta_batch_size=128),
        FaceEmbedder(NeuralClassifier(module=Body, max_epochs=2, random_state=0)),
    ]
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_scikit_learn_contract(estimator, check) -> None:
    check(estimator)
