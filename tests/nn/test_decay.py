import pytest
import torch
from torch import nn

from metabalance.nn import weight_decay_groups


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.norm = nn.BatchNorm1d(2)
        self.frozen = nn.Linear(2, 2).requires_grad_(False)


def test_biases_and_norms_are_spared_and_nothing_is_lost() -> None:
    net = Net()
    decayed, spared = weight_decay_groups(net, 0.1)
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert decayed["params"] == [net.linear.weight]
    assert {id(each) for each in spared["params"]} == {
        id(each) for each in (net.linear.bias, net.norm.weight, net.norm.bias)
    }


def test_a_step_without_gradient_shrinks_only_weights() -> None:
    net = Net()
    before = {name: each.detach().clone() for name, each in net.named_parameters()}
    optimizer = torch.optim.SGD(weight_decay_groups(net, 0.1), lr=1.0)
    for each in net.parameters():
        each.grad = torch.zeros_like(each)
    optimizer.step()
    for name, now in net.named_parameters():
        torch.testing.assert_close(now, (0.9 if name == "linear.weight" else 1.0) * before[name])


def test_a_group_that_would_be_empty_is_left_out() -> None:
    assert len(weight_decay_groups(nn.Linear(2, 2, bias=False), 0.1)) == 1


@pytest.mark.parametrize(
    ("module", "weight_decay", "message"),
    [
        (nn.Linear(2, 2), -1.0, "weight_decay must be at least 0 and finite, got -1.0"),
        (nn.ReLU(), 0.1, "ReLU has no parameter to train: call requires_grad_"),
    ],
)
def test_bad_arguments(module: nn.Module, weight_decay: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        weight_decay_groups(module, weight_decay)
