import numpy as np
import pytest
import torch
from torch import nn

from metabalance.meta import MetaGradient
from metabalance.nn import CrossEntropy
from metabalance.sampling import BatchStream, MetaBatchStream
from metabalance.training import ERM, MetaBalance


def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 3, generator=generator)
    return x, (x[:, 0] > 1).long()


def test_plain_rule_adds_the_gradient_of_the_mean_loss() -> None:
    x, y = data()
    module = nn.Linear(3, 2)
    rule = ERM(module, CrossEntropy(), BatchStream(x, y, batch_size=20, random_state=0))
    assert rule.rows_per_update == 20
    batch = rule.draw()
    loss = rule.backward(batch)
    expected = nn.functional.cross_entropy(module(batch[0]), batch[1])
    assert loss.item() == pytest.approx(expected.item())
    assert not loss.requires_grad
    for found, gradient in zip(
        module.parameters(), torch.autograd.grad(expected, list(module.parameters())), strict=True
    ):
        torch.testing.assert_close(found.grad, gradient)


def test_meta_rule_adds_the_outer_gradient() -> None:
    x, y = data()
    module = nn.Linear(3, 2)
    stream = MetaBatchStream(x, y, meta_steps=3, support_batch_size=8, query_batch_size=6, random_state=0)
    rule = MetaBalance(MetaGradient(module, CrossEntropy(), inner_lr=0.5, beta=0.3), stream)
    assert rule.rows_per_update == 3 * (8 + 6)
    (xs, ys), (zs, ts) = batch = rule.draw()
    loss = rule.backward(batch)
    weight, bias = module.weight.detach().clone(), module.bias.detach().clone()
    theta = [weight.requires_grad_(), bias.requires_grad_()]
    total = torch.tensor(0.0)
    for s in range(3):
        inner = nn.functional.cross_entropy(xs[s] @ theta[0].T + theta[1], ys[s])
        g_weight, g_bias = torch.autograd.grad(inner, theta, create_graph=True)
        moved = zs[s] @ (theta[0] - 0.5 * g_weight).T + theta[1] - 0.5 * g_bias
        total = total + (nn.functional.cross_entropy(moved, ts[s]) + 0.3 * inner) / 3
    assert loss.item() == pytest.approx(total.item(), rel=1e-5)
    for found, gradient in zip(module.parameters(), torch.autograd.grad(total, theta), strict=True):
        torch.testing.assert_close(found.grad, gradient)


def test_a_diverging_loss_is_an_error_and_no_gradient_is_added() -> None:
    x, y = data()
    module = nn.Linear(3, 2)
    rule = ERM(module, lambda output, target: output.sum() * np.inf, BatchStream(x, y, batch_size=20))
    with pytest.raises(FloatingPointError, match=r"the loss of a batch is .*: lower lr"):
        rule.backward(rule.draw())
    assert module.weight.grad is None
