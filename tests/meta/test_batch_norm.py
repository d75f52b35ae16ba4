"""BatchNorm against torch's own, and against its definition where torch's third derivative is not exact."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from metabalance.meta.batch_norm import batch_norm
from tests.meta.derivatives import assert_equal, derivatives, random

SHAPES = [(5, 3), (4, 3, 5), (4, 3, 2, 5), (2, 3, 2, 2, 3)]
EPS = 1e-3


def own(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    output = batch_norm(x, None, None, weight, bias, training=True, eps=EPS)
    assert output is not None, "left to torch"
    return output


def torchs(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, weight, bias, training=True, eps=EPS)


def defined(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    others = [axis for axis in range(x.dim()) if axis != 1]
    centred = x - x.mean(others, keepdim=True)
    normalised = centred / (centred.square().mean(others, keepdim=True) + EPS).sqrt()
    channels = (-1, *[1] * (x.dim() - 2))
    return normalised * weight.view(channels) + bias.view(channels)


def arguments(*shape: int) -> tuple[Tensor, Tensor, Tensor]:
    x = (random(*shape, seed=1) * 2 + 3).detach().requires_grad_()
    return x, random(shape[1], seed=2), random(shape[1], seed=3)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_derivatives_are_torchs(shape):
    inputs = arguments(*shape)
    assert_equal(derivatives(own, *inputs, orders=2), derivatives(torchs, *inputs, orders=2))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_derivatives_up_to_the_fourth_are_those_of_the_definition(shape):
    inputs = arguments(*shape)
    assert_equal(derivatives(own, *inputs, orders=4), derivatives(defined, *inputs, orders=4), atol=1e-8)


def test_derivatives_agree_with_finite_differences():
    inputs = arguments(3, 2, 2)

    def gradients(*tensors):
        return torch.autograd.grad(own(*tensors).pow(3).sum(), tensors, create_graph=True)

    assert torch.autograd.gradcheck(own, inputs)
    assert torch.autograd.gradgradcheck(own, inputs)
    assert torch.autograd.gradgradcheck(gradients, inputs)


@pytest.mark.parametrize("wanted", range(1, 8), ids="{:03b}".format)
def test_what_needs_no_gradient_does_not_disturb(wanted):
    inputs = arguments(4, 3, 5)
    for i, tensor in enumerate(inputs):
        tensor.requires_grad_(bool(wanted >> i & 1))
    assert_equal(derivatives(own, *inputs, orders=2), derivatives(torchs, *inputs, orders=2))
    own(*inputs).square().sum().backward()
    assert [tensor.grad is not None for tensor in inputs] == [tensor.requires_grad for tensor in inputs]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("momentum", [0.1, 1.0, 0.0])
def test_running_statistics_move_as_torchs(dtype, momentum):
    x, weight, bias = (t.detach().to(dtype).requires_grad_() for t in arguments(4, 3, 2, 5))
    statistics = [[torch.full((3,), 0.5, dtype=dtype), torch.full((3,), 2.0, dtype=dtype)] for _ in range(2)]
    for batch in (x, 2 * x + 1):
        found = batch_norm(batch, *statistics[0], weight, bias, True, momentum, EPS)
        expected = F.batch_norm(batch, *statistics[1], weight, bias, True, momentum, EPS)
        assert torch.equal(found, expected)
    for one, other in zip(*statistics, strict=True):
        assert torch.equal(one, other)
        assert not one.requires_grad


def test_float32_is_close_to_float64():
    inputs = arguments(4, 3, 2, 5)
    low = derivatives(own, *[tensor.detach().float().requires_grad_() for tensor in inputs], orders=2)
    assert {tensor.dtype for tensor in low} == {torch.float32}
    assert_equal([t.double() for t in low], derivatives(own, *inputs, orders=2), atol=1e-3)


def test_bfloat16_activations_keep_their_dtype_and_float32_scales_theirs():
    x, weight, bias = (tensor.detach().float() for tensor in arguments(8, 3, 4, 4))
    low = x.bfloat16().requires_grad_(), weight.requires_grad_(), bias.requires_grad_()
    full = x.bfloat16().float().requires_grad_(), weight, bias
    found, expected = (derivatives(own, *tensors, orders=2) for tensors in (low, full))
    assert [tensor.dtype for tensor in found[:4]] == [torch.bfloat16, torch.bfloat16, *[torch.float32] * 2]
    for one, other in zip(found, expected, strict=True):
        assert (one.float() - other).norm() <= 0.03 * other.norm()


def test_channels_last_stays_so_with_the_same_values():
    x, weight, bias = arguments(4, 3, 2, 5)
    last = x.detach().to(memory_format=torch.channels_last).requires_grad_()
    found = derivatives(own, last, weight, bias, orders=2)
    for tensor in found[:2]:
        assert tensor.is_contiguous(memory_format=torch.channels_last)
    assert_equal(found, derivatives(own, x, weight, bias, orders=2))


def test_other_uses_are_left_to_torch():
    x, weight, bias = arguments(4, 3, 5)
    mean, variance = torch.zeros(3).double(), torch.ones(3).double()
    assert batch_norm(x, mean, variance, weight, bias, training=False) is None
    assert batch_norm(x, mean, variance, training=True) is None
    assert batch_norm(x, mean, variance, weight, None, training=True) is None
    assert batch_norm(x[:1, :, :1], mean, variance, weight, bias, training=True) is None
    assert batch_norm(x[:0], mean, variance, weight, bias, training=True) is None
    assert not mean.any()


@pytest.mark.parametrize("short", ["running_mean", "running_var", "weight", "bias"])
def test_wrong_numbers_of_channels_are_left_to_torch(short):
    x, weight, bias = arguments(4, 3, 5)
    mean, variance = torch.zeros(3).double(), torch.ones(3).double()
    given = {"running_mean": mean, "running_var": variance, "weight": weight, "bias": bias}
    given[short] = given[short][:2]  # the fused kernel would read past its end
    assert batch_norm(x, **given, training=True) is None
    assert batch_norm(x[0, :, 0], **given, training=True) is None
