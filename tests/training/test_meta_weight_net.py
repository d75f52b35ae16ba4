import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from metabalance.nn import CrossEntropy, FocalLoss, LogitAdjustedCrossEntropy
from metabalance.sampling import MetaBatchStream
from metabalance.training import MetaWeightNet
from metabalance.training.meta_weight_net import row_losses


def data(n_rare: int = 20, n_common: int = 180) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    y = torch.tensor([0] * n_common + [1] * n_rare)
    return torch.randn(len(y), 3, generator=generator) + 1.5 * y[:, None], y


def make_rule(module: nn.Module, loss_fn=None, **options) -> MetaWeightNet:
    stream = MetaBatchStream(
        *data(), meta_steps=1, support_batch_size=32, query_batch_size=16, random_state=0
    )
    return MetaWeightNet(
        module, loss_fn or CrossEntropy(), stream, **{"inner_lr": 0.5, "weight_lr": 0.01, **options}
    )


def double_batch(rule: MetaWeightNet):
    return tuple((x.double(), y) for x, y in rule.draw())


def test_both_batches_count_in_the_budget() -> None:
    rule = make_rule(nn.Linear(3, 2))
    (x, y), (z, t) = rule.draw()
    assert rule.rows_per_update == 32 + 16
    assert (x.shape, y.shape, z.shape, t.shape) == ((1, 32, 3), (1, 32), (1, 16, 3), (1, 16))
    assert t.sum() == 8  # the meta batch is balanced


def test_the_weight_gradient_is_that_of_finite_differences() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    rule = make_rule(module)
    rule.weight_net.double()
    batch = double_batch(rule)
    (x, y), (z, t) = ((x[0], y[0]) for x, y in batch)
    theta = [parameter.detach().clone() for parameter in rule.weight_net.parameters()]
    w = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
    costs, row_gradients = [], []
    for i in range(32):  # ∇L_i(w), one row at a time
        cost = F.cross_entropy(module(x[i : i + 1]), y[i : i + 1])
        costs.append(cost.item())
        row_gradients.append(torch.autograd.grad(cost, list(module.parameters())))
    losses = torch.tensor(costs, dtype=torch.float64)[:, None]

    def loss_after_virtual_step() -> float:
        a, b, c, d = theta
        weights = torch.sigmoid(torch.relu(losses @ a.T + b) @ c.T + d)[:, 0]
        stepped = {
            name: start - 0.5 * sum(v * g[k] for v, g in zip(weights, row_gradients, strict=True)) / 32
            for k, (name, start) in enumerate(w.items())
        }
        return F.cross_entropy(torch.func.functional_call(module, stepped, (z,)), t).item()

    rule.backward(batch)
    generator = torch.Generator().manual_seed(1)
    for parameter, value in zip(rule.weight_net.parameters(), theta, strict=True):
        flat = value.view(-1)
        for index in torch.randint(len(flat), (8,), generator=generator).tolist():
            ends = []
            for shift in (1e-5, -2e-5):
                flat[index] += shift
                ends.append(loss_after_virtual_step())
            flat[index] += 1e-5
            numeric = (ends[0] - ends[1]) / 2e-5
            assert parameter.grad.view(-1)[index].item() == pytest.approx(numeric, rel=1e-5, abs=1e-10)
    assert rule.weight_net[0].weight.grad.abs().max() > 1e-6


def test_the_classifier_gets_the_gradient_of_the_newly_weighted_loss() -> None:
    module = nn.Linear(3, 2).double()
    rule = make_rule(module)
    rule.weight_net.double()
    batch = double_batch(rule)
    before = copy.deepcopy(rule.weight_net)
    loss = rule.backward(batch)
    x, y = batch[0][0][0], batch[0][1][0]
    costs = F.cross_entropy(module(x), y, reduction="none")
    weights = torch.sigmoid(rule.weight_net(costs.detach()[:, None]))[:, 0].detach()
    assert (weights - torch.sigmoid(before(costs.detach()[:, None]))[:, 0]).abs().max() > 1e-4
    expected = (weights * costs).mean()
    assert not loss.requires_grad
    torch.testing.assert_close(loss, expected.detach())
    gradients = torch.autograd.grad(expected, list(module.parameters()))
    for parameter, gradient in zip(module.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_it_learns_to_give_the_rare_class_more_weight() -> None:
    torch.manual_seed(0)
    module = nn.Linear(3, 2)
    rule = make_rule(module)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.5)
    x, y = data()

    def ratio() -> float:
        with torch.no_grad():
            weights = rule.weigh(F.cross_entropy(module(x), y, reduction="none"))
        return (weights[y == 1].mean() / weights[y == 0].mean()).item()

    for _ in range(150):
        optimizer.zero_grad()
        rule.backward(rule.draw())
        optimizer.step()
    assert ratio() > 1.5


def test_batch_norm_follows_the_training_batches_and_dropout_is_one_mask() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    twin = copy.deepcopy(module)
    rule = make_rule(module)
    batch = rule.draw()
    torch.manual_seed(1)
    loss = rule.backward(batch)
    torch.manual_seed(1)
    costs = F.cross_entropy(twin(batch[0][0][0]), batch[0][1][0], reduction="none")
    expected = (rule.weigh(costs).detach() * costs).mean()
    torch.testing.assert_close(loss, expected.detach())
    for found, wanted in zip(module.buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(found, wanted)
    gradients = torch.autograd.grad(expected, list(twin.parameters()))
    for parameter, gradient in zip(module.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-6)


def test_convolutions_and_frozen_and_tied_parameters() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.frozen = nn.Conv1d(1, 2, 3).requires_grad_(False)
            self.first = nn.Conv1d(1, 2, 3)
            self.again = nn.Conv1d(1, 2, 3)
            self.again.weight = self.first.weight
            self.out = nn.Linear(2, 2)

        def forward(self, x):
            x = x.unsqueeze(1)
            return self.out((self.frozen(x) + self.first(x) + self.again(x)).squeeze(-1))

    module = Odd()
    rule = make_rule(module)
    rule.backward(rule.draw())
    assert module.frozen.weight.grad is None
    assert module.first.weight.grad.abs().max() > 0
    assert rule.weight_net[0].weight.grad.abs().max() > 0


@pytest.mark.parametrize(
    "loss_fn",
    [
        CrossEntropy(),
        CrossEntropy(torch.tensor([0.5, 1.0, 4.0])),
        FocalLoss(2.0, torch.tensor([0.5, 1.0, 4.0])),
        LogitAdjustedCrossEntropy(torch.tensor([0.7, 0.2, 0.1])),
        nn.CrossEntropyLoss(label_smoothing=0.2),
    ],
    ids=lambda loss_fn: type(loss_fn).__name__,
)
def test_row_losses_are_those_of_batches_of_one_row(loss_fn) -> None:
    generator = torch.Generator().manual_seed(0)
    logits, y = torch.randn(9, 3, generator=generator), torch.arange(9) % 3
    expected = torch.stack([loss_fn(logits[i : i + 1], y[i : i + 1]) for i in range(9)])
    found = row_losses(loss_fn, logits, y)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found.mean(), loss_fn(logits, y))


def test_a_diverging_loss_is_an_error_and_nothing_moves() -> None:
    module = nn.Linear(3, 2)
    rule = make_rule(module, inner_lr=float("inf"))
    before = copy.deepcopy(rule.weight_net.state_dict())
    with pytest.raises(FloatingPointError, match=r"the meta loss of a batch is nan: lower lr or inner_lr"):
        rule.backward(rule.draw())
    assert module.weight.grad is None
    for name, value in rule.weight_net.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


@pytest.mark.parametrize("module", [nn.AdaptiveAvgPool1d(2), nn.Linear(3, 2).requires_grad_(False)])
def test_a_module_with_nothing_to_train(module) -> None:
    with pytest.raises(ValueError, match="has no parameter that requires a gradient: call requires_grad_"):
        make_rule(module)
