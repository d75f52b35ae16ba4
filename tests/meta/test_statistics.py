"""BatchNorm's statistics taken anew: against torch's own update_bn, and by hand."""

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.optim.swa_utils import update_bn

from metabalance.meta import adapt, batch_statistics


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(36, 6),
        nn.BatchNorm1d(6),
    )


def batches(count=4, rows=8):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(rows, 3, 5, 5, generator=generator) for _ in range(count)]


def test_as_torch_does_for_averaged_weights():
    model = network()
    reference = copy.deepcopy(model)
    reference[2].p = 0.0  # torch's leaves dropout on
    update_bn(batches(), reference)
    found = batch_statistics(model, iter(batches()))
    expected = dict(reference.named_buffers())
    assert set(found) == set(expected)
    for name, buffer in expected.items():
        torch.testing.assert_close(found[name], buffer, msg=name)


def test_the_model_is_left_as_it_is():
    model = network()
    model[1].momentum = 0.3
    model[5].eval()
    before = copy.deepcopy(model.state_dict())
    batch_statistics(model, batches())
    with pytest.raises(RuntimeError):
        batch_statistics(model, [torch.zeros(2, 7)])
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert [part.training for part in model] == [True, True, True, True, True, False]
    assert (model[1].momentum, model[5].momentum) == (0.3, 0.1)


def test_at_other_parameters():
    model = network()
    doubled = {name: 2 * parameter.detach() for name, parameter in model.named_parameters()}
    found = batch_statistics(model, batches(), doubled)
    with torch.no_grad():
        convolved = functional_call(
            model[0], {"weight": doubled["0.weight"], "bias": doubled["0.bias"]}, (torch.cat(batches()),)
        )
    torch.testing.assert_close(found["1.running_mean"], convolved.mean((0, 2, 3)))


def test_inputs_of_several_tensors_and_a_norm_that_is_the_model():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(2)

        def forward(self, a, b):
            return self.norm(a + b)

    a, b = torch.randn(5, 2), torch.randn(5, 2)
    by_position = batch_statistics(Sum(), [(a, b)])
    torch.testing.assert_close(by_position["norm.running_mean"], (a + b).mean(0))
    by_name = batch_statistics(Sum(), [{"a": a, "b": b}])
    torch.testing.assert_close(by_name, by_position)
    torch.testing.assert_close(batch_statistics(nn.BatchNorm1d(2), [a])["running_mean"], a.mean(0))


def test_without_batch_norm_there_is_nothing_to_take():
    plain = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2), nn.BatchNorm1d(2, track_running_stats=False))
    assert batch_statistics(plain, []) == {}


def test_mistakes():
    with pytest.raises(ValueError, match="batches is empty"):
        batch_statistics(network(), [])
    with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module, got int"):
        batch_statistics(3, batches())


def gradient_step(model, rows, labels, step):
    """A step by hand on the mean loss of batches of 8, BatchNorm in training mode and dropout off."""
    stepped = copy.deepcopy(model).train()
    stepped[2].eval()
    loss = torch.stack(
        [nn.functional.cross_entropy(stepped(x), y) for x, y in zip(rows, labels, strict=True)]
    ).mean()
    gradients = torch.autograd.grad(loss, list(stepped.parameters()))
    return {
        name: p.detach() - step * g for (name, p), g in zip(model.named_parameters(), gradients, strict=True)
    }


@pytest.mark.parametrize("left_over", [0, 3])
def test_adapting_by_batches_is_the_mean_of_the_inner_steps(left_over):
    model = network().double()
    x = torch.cat(batches(3)).double()
    y = torch.arange(24) % 6
    expected = gradient_step(model, x.split(8), y.split(8), 0.1)
    more = torch.randn(left_over, 3, 5, 5, dtype=torch.float64)
    data = (torch.cat([x, more]), torch.cat([y, torch.zeros(left_over, dtype=torch.int64)]))
    before = copy.deepcopy(model.state_dict())
    found = adapt(model, nn.functional.cross_entropy, data, 0.1, batch_size=8)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(dict(model.state_dict()), before)  # running statistics, too
    assert not torch.allclose(
        found["0.weight"], adapt(model, nn.functional.cross_entropy, data, 0.1)["0.weight"]
    )


def test_fewer_rows_than_a_batch_are_one():
    model = network().double()
    x, y = batches(1)[0].double(), torch.arange(8) % 6
    found = adapt(model, nn.functional.cross_entropy, (x, y), 0.1, batch_size=100)
    torch.testing.assert_close(found, gradient_step(model, [x], [y], 0.1))


@pytest.mark.parametrize(("size", "error"), [(0, ValueError), (2.0, TypeError), (True, TypeError)])
def test_wrong_batch_sizes(size, error):
    data = (batches(1)[0], torch.zeros(8, dtype=torch.int64))
    with pytest.raises(error, match="batch_size must be"):
        adapt(network(), nn.functional.cross_entropy, data, 0.1, batch_size=size)


class Pretrained(nn.Sequential):
    """Its first BatchNorm stays in evaluation mode, as one does with pretrained layers."""

    def train(self, mode=True):
        super().train(mode)
        self[0].eval()
        return self


def test_frozen_layers_keep_their_statistics():
    model = Pretrained(nn.BatchNorm1d(3), nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    model[0].running_mean.fill_(1.0)
    model.eval()
    x, y = torch.randn(24, 3), torch.arange(24) % 2
    found = batch_statistics(model, [x])
    assert set(found) == {"2.running_mean", "2.running_var", "2.num_batches_tracked"}
    assert not any(part.training for part in model.modules())
    torch.testing.assert_close(found["2.running_mean"], model[1](model[0](x)).mean(0).detach())
    stepped = copy.deepcopy(model).train()
    gradients = torch.autograd.grad(nn.functional.cross_entropy(stepped(x), y), list(stepped.parameters()))
    expected = {
        n: p.detach() - 0.1 * g for (n, p), g in zip(model.named_parameters(), gradients, strict=True)
    }
    torch.testing.assert_close(
        adapt(model, nn.functional.cross_entropy, (x, y), 0.1, batch_size=24), expected
    )


def test_statistics_that_layers_share_are_taken_once():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(3))
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        setattr(model[1], name, getattr(model[0], name))
    assert set(batch_statistics(model, [torch.randn(8, 3)])) == {
        "0.running_mean",
        "0.running_var",
        "0.num_batches_tracked",
    }
