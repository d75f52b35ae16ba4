"""SAM against Algorithm 1 of its paper done by hand: move, differentiate, move back."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from metabalance.sampling import BatchStream
from metabalance.training import ERM, SAM, seeded


def data(rows=60):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, 4, generator=generator)
    return x, (x[:, 0] + 0.3 * torch.randn(rows, generator=generator) > 0.5).long()


def network(norm=True):
    with seeded(0):
        layers = [nn.Linear(4, 6), *([nn.BatchNorm1d(6)] if norm else []), nn.Tanh(), nn.Linear(6, 2)]
        return nn.Sequential(*layers)


def rule(module, rho):
    return SAM(module, cross_entropy, BatchStream(*data(), batch_size=16, random_state=0), rho)


@pytest.mark.parametrize("rho", [0.05, 0.5])
def test_the_gradient_is_that_of_the_worst_place_nearby(rho):
    module, by_hand = network(), network()
    sam = rule(module, rho)
    assert sam.rows_per_update == 16
    x, y = sam.draw()
    loss = sam.backward((x, y))

    expected_loss = cross_entropy(by_hand(x), y)
    statistics = copy.deepcopy(dict(by_hand.named_buffers()))
    gradients = torch.autograd.grad(expected_loss, list(by_hand.parameters()))
    norm = torch.sqrt(sum((g**2).sum() for g in gradients))
    with torch.no_grad():
        for parameter, gradient in zip(by_hand.parameters(), gradients, strict=True):
            parameter.add_(rho * gradient / norm)
    cross_entropy(by_hand(x), y).backward()
    torch.testing.assert_close(loss, expected_loss.detach())
    for found, expected in zip(module.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad)
    for found, before in zip(module.parameters(), network().parameters(), strict=True):
        assert torch.equal(found, before)  # θ itself has not moved
    for name, buffer in module.named_buffers():
        torch.testing.assert_close(buffer, statistics[name])  # of the first pass alone


def test_a_tiny_radius_is_plain_training():
    one, other = network(norm=False), network(norm=False)
    rule(one, 1e-7).backward(data())
    ERM(other, cross_entropy, BatchStream(*data(), batch_size=16)).backward(data())
    for found, expected in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-4, atol=1e-6)


def test_gradients_add_up_and_unreached_parameters_have_none():
    module = network(norm=False)
    module.register_parameter("idle", nn.Parameter(torch.ones(2)))
    sam = rule(module, 0.1)
    sam.backward(data())
    once = [p.grad.clone() for p in module[0].parameters()]
    sam.backward(data())
    for parameter, gradient in zip(module[0].parameters(), once, strict=True):
        torch.testing.assert_close(parameter.grad, 2 * gradient)
    assert module.idle.grad is None


def test_a_loss_that_is_not_finite_is_said():
    x, y = data()
    with pytest.raises(FloatingPointError, match="the loss of a batch is nan: lower lr"):
        rule(network(), 0.1).backward((x * torch.nan, y))
