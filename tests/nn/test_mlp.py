import numpy as np
import pytest
import torch
from torch import nn

from metabalance.nn import MLP


def test_the_papers_fraud_network_has_its_layers() -> None:
    model = MLP(29, 1, hidden_sizes=(16, 24, 20, 24), dropout=(0, 0.5, 0, 0))
    widths = [(layer.in_features, layer.out_features) for layer in model if isinstance(layer, nn.Linear)]
    assert widths == [(29, 16), (16, 24), (24, 20), (20, 24), (24, 1)]
    dropped = [position for position, layer in enumerate(model) if isinstance(layer, nn.Dropout)]
    assert dropped == [4]  # after the second layer and its ReLU
    assert model[4].p == 0.5


def test_no_hidden_layer_is_a_linear_model() -> None:
    model = MLP(3, 2, hidden_sizes=())
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model(x), x @ model[0].weight.T + model[0].bias)


def test_one_dropout_value_goes_after_every_hidden_layer() -> None:
    model = MLP(3, 2, hidden_sizes=(4, 4, 4), dropout=0.2)
    assert [layer.p for layer in model if isinstance(layer, nn.Dropout)] == [0.2, 0.2, 0.2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_sizes": (0,)}, r"layer widths must be whole numbers of at least 1, got \[3, 0, 2\]"),
        ({"hidden_sizes": (2.5,)}, "whole numbers"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\), got 1.0"),
        ({"dropout": (-0.1, 0)}, r"dropout must lie in \[0, 1\)"),
        ({"dropout": (0.1,)}, "dropout has 1 values for 2 hidden layers"),
    ],
)
def test_wrong_sizes_and_probabilities(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MLP(3, 2, **options)


@pytest.mark.parametrize("dropout", [None, "0.1", ["0.1"], 1j])
def test_dropout_that_is_no_number(dropout) -> None:
    with pytest.raises(TypeError, match="dropout must be a number in"):
        MLP(3, 2, hidden_sizes=(4,), dropout=dropout)


def test_numbers_of_numpy_and_whole_floats_will_do() -> None:
    net = MLP(3, 2, hidden_sizes=(8.0, np.int64(4)), dropout=np.float32(0.25))
    assert [layer.out_features for layer in net if isinstance(layer, nn.Linear)] == [8, 4, 2]
    assert [layer.p for layer in net if isinstance(layer, nn.Dropout)] == [0.25, 0.25]
    with pytest.raises(TypeError, match="layer widths must be whole numbers"):
        MLP(3, 2, hidden_sizes=("8",))
