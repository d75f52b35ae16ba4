"""Buffer policies against BatchNorm run by hand, and modules that treat their buffers in other ways."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from metabalance.meta import MetaGradient
from metabalance.meta.buffers import store_buffers, unlike

INNER_LR = 0.3


def _moved_by_hand(case, policy: str) -> dict[str, Tensor]:
    """The buffers after one outer update, with the module itself run in training mode."""
    model = copy.deepcopy(case.model)
    kept = copy.deepcopy(model)
    theta = [p.detach().clone() for p in model.parameters()]
    for s in range(3):
        for which, (x, y) in (("support", case.support), ("query", case.query)):
            loss = cross_entropy(model(x[s]), y[s])
            if which == policy or policy == "both":
                with torch.no_grad():
                    kept(x[s])  # buffers do not influence a forward pass in training mode
            if which == "support":
                steps = torch.autograd.grad(loss, list(model.parameters()))
                for net in (model, kept):
                    with torch.no_grad():
                        for p, g in zip(net.parameters(), steps, strict=True):
                            p -= INNER_LR * g
        for net in (model, kept):
            with torch.no_grad():
                for p, value in zip(net.parameters(), theta, strict=True):
                    p.copy_(value)
    return dict(kept.named_buffers())


@pytest.mark.parametrize(("policy", "batches"), [("both", 6), ("support", 3), ("query", 3), ("frozen", 0)])
@pytest.mark.parametrize("order", ["exact", "first"])
def test_each_policy_moves_the_running_statistics_of_its_passes(batch_norm_case, policy, batches, order):
    case = batch_norm_case
    expected = _moved_by_hand(case, policy)
    assert expected["1.num_batches_tracked"] == batches
    own = dict(case.model.named_buffers())
    MetaGradient(case.model, cross_entropy, inner_lr=INNER_LR, order=order, buffers=policy).backward(
        case.support, case.query
    )
    for name, buffer in case.model.named_buffers():
        assert buffer is own[name]
        torch.testing.assert_close(buffer, expected[name], rtol=0, atol=1e-12 if policy != "frozen" else 0)


def test_policies_do_not_change_the_gradient(batch_norm_case):
    case = batch_norm_case
    gradients = []
    for policy in ("both", "support", "query", "frozen"):
        case.model.zero_grad()
        MetaGradient(case.model, cross_entropy, inner_lr=INNER_LR, buffers=policy).backward(
            case.support, case.query
        )
        gradients.append(torch.cat([p.grad.flatten() for p in case.model.parameters()]))
    assert all(torch.equal(g, gradients[0]) for g in gradients[1:])


def test_the_policy_applies_without_an_inner_step(batch_norm_case):
    case = batch_norm_case
    MetaGradient(case.model, cross_entropy, inner_lr=0.0).backward(case.support, case.query)
    assert case.model[1].num_batches_tracked == 6


class Tracking(nn.Module):
    """Replaces its buffer by a running mean of the outputs, and has a constant that cannot be written to."""

    def __init__(self, momentum: float = 0.5) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(1))
        self.register_buffer("constant", torch.ones(1).expand(3))

    def forward(self, x: Tensor) -> Tensor:
        output = self.layer(x)
        if self.momentum:
            self.mean = self.momentum * self.mean + output.mean(0)
        return output


def test_replaced_buffers_are_followed_and_constants_left_alone():
    x, y = torch.randn(2, 5, 2), torch.randn(2, 5, 1)
    model = Tracking()
    by_hand = copy.deepcopy(model)
    MetaGradient(model, mse_loss, inner_lr=0.0).backward((x, y), (x, y))
    for s in range(2):
        by_hand(x[s])
        by_hand(x[s])
    torch.testing.assert_close(model.mean, by_hand.mean.detach())
    assert not model.mean.requires_grad


def test_vectorized_refuses_written_buffers_and_takes_constant_ones():
    x, y = torch.randn(2, 5, 2), torch.randn(2, 5, 1)
    with pytest.raises(ValueError, match=r"writes to the buffers \['mean'\].*use engine='loop'"):
        MetaGradient(Tracking(), mse_loss, inner_lr=0.1, engine="vectorized").backward((x, y), (x, y))
    still = Tracking(momentum=0)
    MetaGradient(still, mse_loss, inner_lr=0.1, engine="vectorized").backward((x, y), (x, y))
    assert still.layer.weight.grad is not None


def test_vectorized_refuses_a_counter():
    class Counting(nn.Linear):
        def __init__(self) -> None:
            super().__init__(2, 1)
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return super().forward(x)

    x, y = torch.randn(2, 5, 2), torch.randn(2, 5, 1)
    model = Counting()
    with pytest.raises(ValueError, match=r"writes to the buffers \['calls'\]"):
        MetaGradient(model, mse_loss, inner_lr=0.1, engine="vectorized").backward((x, y), (x, y))
    assert model.calls == 0
    MetaGradient(model, mse_loss, inner_lr=0.1).backward((x, y), (x, y))
    assert model.calls == 4


def test_a_buffer_that_changes_its_shape_is_an_error_and_nothing_is_stored():
    model = nn.BatchNorm1d(2)
    changed = {name: b + 1 for name, b in model.named_buffers()} | {"running_var": torch.ones(3)}
    assert unlike(dict(model.named_buffers()), changed) == [
        "running_mean",
        "running_var",
        "num_batches_tracked",
    ]
    with pytest.raises(ValueError, match=r"'running_var' changed its shape from \(2,\) to \(3,\)"):
        store_buffers(dict(model.named_buffers()), changed)
    assert torch.equal(model.running_mean, torch.zeros(2))
