"""The adapted parameters against hand computation, and what adapt leaves alone."""

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy, mse_loss

from metabalance.meta import adapt

INNER_LR = 0.3


@pytest.fixture
def net() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Tanh(), nn.Linear(6, 3)
        ).double()
    net[1].running_mean.fill_(0.3)
    return net


@pytest.fixture
def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(23, 4, generator=generator, dtype=torch.float64),
        torch.randint(3, (23,), generator=generator),
    )


@pytest.mark.parametrize("chunk_size", [4096, 23, 10, 1])
def test_it_is_one_step_on_the_mean_gradient_in_evaluation_mode(net, data, chunk_size):
    by_hand = copy.deepcopy(net).eval()
    x, y = data
    cross_entropy(by_hand(x), y).backward()
    adapted = adapt(net, cross_entropy, data, INNER_LR, chunk_size=chunk_size)
    assert adapted.keys() == dict(net.named_parameters()).keys()
    for name, p in by_hand.named_parameters():
        torch.testing.assert_close(adapted[name], (p - INNER_LR * p.grad).detach(), rtol=0, atol=1e-12)
        assert not adapted[name].requires_grad


def test_the_model_is_left_as_it_is(net, data):
    net[2].eval()
    net[0].weight.grad = torch.ones(6, 4, dtype=torch.float64)
    before = copy.deepcopy(net.state_dict())
    adapted = adapt(net, cross_entropy, data, INNER_LR)
    adapted["0.bias"].add_(1)  # its own memory
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert [module.training for module in net] == [True, True, False, True, True]
    assert torch.equal(net[0].weight.grad, torch.ones(6, 4, dtype=torch.float64))
    assert net[4].weight.grad is None


def test_the_training_mode_comes_back_after_an_error(net, data):
    x, y = data
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        adapt(net, cross_entropy, (x[:, :3], y), INNER_LR)
    assert all(module.training for module in net.modules())


def test_frozen_parameters_are_left_out_and_unreached_ones_stay(data):
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.frozen, self.head, self.unused = nn.Linear(4, 4), nn.Linear(4, 3), nn.Linear(1, 1)
            self.frozen.requires_grad_(False)

        def forward(self, *, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.frozen(x))

    model = Net().double()
    x, y = data
    adapted = adapt(model, cross_entropy, ({"x": x}, y), INNER_LR, chunk_size=7)
    assert adapted.keys() == {"head.weight", "head.bias", "unused.weight", "unused.bias"}
    assert torch.equal(adapted["unused.bias"], model.unused.bias)
    assert adapted["unused.bias"].data_ptr() != model.unused.bias.data_ptr()
    before, after = (cross_entropy(functional_call(model, p, (), {"x": x}), y) for p in ({}, adapted))
    assert after < before


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": "net"}, TypeError, "model must be a torch.nn.Module, got str"),
        ({"loss_fn": None}, TypeError, "loss_fn must be a callable .* got NoneType"),
        ({"inner_lr": -1}, ValueError, "inner_lr must be finite and at least 0, got -1"),
        ({"chunk_size": 0}, ValueError, "chunk_size must be at least 1, got 0"),
        ({"chunk_size": 2.5}, TypeError, "chunk_size must be an integer, got 2.5 of type float"),
        ({"data": torch.ones(3)}, TypeError, r"data must be a pair \(inputs, targets\), got Tensor"),
        (
            {"data": (torch.ones(3, 2), torch.ones(4))},
            ValueError,
            r"same number of rows.* data target \(4,\)",
        ),
        ({"data": (torch.ones(0, 2), torch.ones(0))}, ValueError, "at least one"),
        (
            {"data": (torch.full((9, 2), torch.inf), torch.ones(9, 1))},
            FloatingPointError,
            "loss of chunk .* 0 is",
        ),
    ],
)
def test_arguments_are_checked(change, error, message):
    arguments = {
        "model": nn.Linear(2, 1),
        "loss_fn": mse_loss,
        "data": (torch.ones(3, 2), torch.ones(3, 1)),
        "inner_lr": 0.1,
        "chunk_size": 4,
    }
    with pytest.raises(error, match=message):
        adapt(**(arguments | change))


def test_a_gradient_that_is_not_finite_names_the_parameter():
    with pytest.raises(FloatingPointError, match="gradient of weight, bias is not finite"):
        adapt(
            nn.Linear(2, 1), lambda out, _: (out - out).sqrt().mean(), (torch.ones(3, 2), torch.ones(3)), 0.1
        )
