import numpy as np
import pytest
import torch
from torch import nn

from metabalance.meta import MetaGradient, adapt, batch_statistics
from metabalance.nn import CrossEntropy
from metabalance.sampling import BatchStream, MetaBatchStream
from metabalance.training import ERM, MetaBalance, PartInMemory


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


def normed() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


def meta_rule(module: nn.Module, **options) -> tuple[MetaBalance, PartInMemory]:
    x, y = data()
    stream = MetaBatchStream(
        x, y, meta_steps=3, support_batch_size=8, query_batch_size=6, random_state=0, **options
    )
    return MetaBalance(MetaGradient(module, CrossEntropy(), inner_lr=0.5), stream), PartInMemory(
        x, y, y.numpy()
    )


def test_statistics_for_predictions_are_those_of_the_judged_batches() -> None:
    x, y = data()
    for rule, balanced in (
        (meta_rule(normed(), query="over")[0], True),
        (ERM(normed(), CrossEntropy(), BatchStream(x, y, batch_size=20, random_state=0)), False),
    ):
        rule.draw()
        state = torch.get_rng_state(), rule.stream.state_dict()
        rule.settle()
        found = rule.module[1].running_mean
        layer = rule.module[0]
        by_class = torch.stack([layer(x[y == label]).mean(0) for label in (0, 1)])
        expected = by_class.mean(0) if balanced else layer(x).mean(0)
        torch.testing.assert_close(found, expected.detach(), atol=0.05, rtol=0)
        again = found.clone()
        rule.settle()
        assert torch.equal(rule.module[1].running_mean, again)
        # Neither torch's generator nor the stream has moved.
        assert torch.equal(torch.get_rng_state(), state[0])
        here = rule.draw()
        rule.stream.load_state_dict(state[1])
        torch.testing.assert_close(here, rule.draw(), rtol=0, atol=0)


def test_without_batch_norm_there_is_nothing_to_settle_and_a_step_takes_all_rows() -> None:
    module = nn.Linear(3, 2)
    before = module.weight.clone()
    rule, train = meta_rule(module)
    rule.settle()
    assert torch.equal(module.weight, before)
    torch.testing.assert_close(rule.adapted(train), adapt(module, CrossEntropy(), (train.x, train.y), 0.5))
    # What the support strategy draws, where that is not the rows as they are.
    over, _ = meta_rule(module, support="over")
    assert not torch.allclose(over.adapted(train)["bias"], rule.adapted(train)["bias"], atol=1e-3)


def test_with_batch_norm_a_step_is_taken_by_support_batches() -> None:
    module = normed()
    rule, train = meta_rule(module)
    found = rule.adapted(train)
    rows = rule.stream.support.again(0).read(60)
    parameters = adapt(module, CrossEntropy(), rows, 0.5, batch_size=8)
    query = rule.stream.query.again(0)
    statistics = batch_statistics(module, [query.read(6)[0] for _ in range(171)], parameters)
    torch.testing.assert_close(found, parameters | statistics)
    assert set(statistics) == {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    at_theta = batch_statistics(module, [rule.stream.query.again(0).read(6)[0]])
    assert not torch.allclose(found["1.running_var"], at_theta["1.running_var"])


def test_a_rule_without_an_inner_step_has_no_other_place() -> None:
    x, y = data()
    rule = ERM(normed(), CrossEntropy(), BatchStream(x, y, batch_size=20))
    assert rule.adapted(PartInMemory(x, y, y.numpy())) is None
