"""Convolutions against torch's own, whose derivatives come from other formulas."""

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from metabalance.meta.convolution import convolution, transposed_convolution
from tests.meta.derivatives import assert_equal, derivatives, random

TORCH = {1: torch.conv1d, 2: torch.conv2d, 3: torch.conv3d}
TRANSPOSED = {1: torch.conv_transpose1d, 2: torch.conv_transpose2d, 3: torch.conv_transpose3d}

GEOMETRIES = [
    (3, {}),
    (1, {"stride": 2}),
    (3, {"stride": 2, "padding": 1}),  # the last column of an even size is never read
    (2, {"stride": 3, "padding": 1, "groups": 2}),
    (3, {"padding": 2, "dilation": 2}),
    (2, {"stride": 2, "padding": 2, "dilation": 3, "groups": 2}),
    (3, {"padding": 1, "groups": 4}),
    (3, {"padding": "valid"}),
    (3, {"padding": "same"}),
    (2, {"padding": "same"}),
    (4, {"padding": "same", "groups": 2}),
    (2, {"padding": "same", "dilation": 3}),
    (2, {"padding": "same", "dilation": 2}),
]
TRANSPOSED_GEOMETRIES = [
    (3, {}),
    (2, {"stride": 2}),
    (3, {"stride": 2, "padding": 1, "output_padding": 1}),
    (3, {"padding": 1, "dilation": 2}),
    (2, {"stride": 3, "padding": 1, "output_padding": 2, "groups": 2}),
    (3, {"stride": 2, "padding": 2, "dilation": 2, "groups": 4}),
]


def arguments(weight: tuple[int, ...], bias: int | None, *image: int) -> tuple[Tensor, Tensor, Tensor | None]:
    return random(2, 4, *image, seed=1), random(*weight, seed=2), None if bias is None else random(bias)


def names(value: object) -> str | None:
    return ",".join(f"{k}={v}" for k, v in value.items()) or "plain" if isinstance(value, dict) else None


def own(a: Tensor, weight: Tensor, bias: Tensor | None, **geometry) -> Tensor:
    output = convolution(a, weight, bias, **geometry)
    assert output is not None, "left to torch"
    return output


def reference(a: Tensor, weight: Tensor, bias: Tensor | None, **geometry) -> Tensor:
    with warnings.catch_warnings():  # torch warns that an odd padding='same' copies the input
        warnings.filterwarnings("ignore", "Using padding='same' with even kernel lengths")
        return TORCH[a.dim() - 2](a, weight, bias, **geometry)


def transposed_reference(
    a: Tensor, weight: Tensor, bias: Tensor | None, padding: int = 0, output_padding: int = 0, **geometry
) -> Tensor:
    """With the paddings as what they mean: torch's third derivative fails for an output_padding."""
    dimensions = a.dim() - 2
    whole = TRANSPOSED[dimensions](a, weight, None, **geometry)
    output = F.pad(whole, (-padding, output_padding - padding) * dimensions)
    return output if bias is None else output + bias.view(-1, *[1] * dimensions)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("bias", [None, 8], ids=["unbiased", "biased"])
@pytest.mark.parametrize(("kernel", "geometry"), GEOMETRIES, ids=names)
def test_convolution_has_torchs_derivatives(dimensions, bias, kernel, geometry):
    channels = 4 // geometry.get("groups", 1)
    sizes = (6, 5, 4)[:dimensions]
    inputs = arguments((8, channels, *[kernel] * dimensions), bias, *sizes)
    assert_equal(
        derivatives(lambda *tensors: own(*tensors, **geometry), *inputs),
        derivatives(lambda *tensors: reference(*tensors, **geometry), *inputs),
    )


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("biased", [False, True], ids=["unbiased", "biased"])
@pytest.mark.parametrize(("kernel", "geometry"), TRANSPOSED_GEOMETRIES, ids=names)
def test_transposed_convolution_has_torchs_derivatives(dimensions, biased, kernel, geometry):
    width = 8 if biased else None
    per_group = 8 // geometry.get("groups", 1)
    sizes = (4, 3, 3)[:dimensions]
    inputs = arguments((4, per_group, *[kernel] * dimensions), width, *sizes)
    assert_equal(
        derivatives(lambda *tensors: transposed_convolution(*tensors, **geometry), *inputs),
        derivatives(lambda *tensors: transposed_reference(*tensors, **geometry), *inputs),
    )
    torch.testing.assert_close(
        transposed_convolution(*inputs, **geometry),
        TRANSPOSED[dimensions](*inputs, **geometry),
        rtol=0,
        atol=1e-12,
    )


def test_each_axis_may_have_its_own_geometry():
    inputs = arguments((6, 2, 3, 2), 6, 6, 7)
    geometry = {"stride": (2, 1), "padding": [1, 2], "dilation": (1, 2), "groups": 2}
    assert_equal(
        derivatives(lambda *tensors: own(*tensors, **geometry), *inputs),
        derivatives(lambda *tensors: torch.conv2d(*tensors, **geometry), *inputs),
    )
    same = {"padding": "same", "dilation": (3, 1)}  # odd along the last axis only
    inputs = arguments((6, 4, 3, 2), 6, 6, 7)
    assert_equal(
        derivatives(lambda *tensors: own(*tensors, **same), *inputs),
        derivatives(lambda *tensors: reference(*tensors, **same), *inputs),
    )
    inputs = arguments((4, 3, 3, 2), 3, 3, 4)
    positional = (2, (1, 0), (1, 0), 1, (1, 2))
    assert_equal(
        derivatives(lambda *tensors: transposed_convolution(*tensors, *positional), *inputs, orders=1),
        derivatives(lambda *tensors: torch.conv_transpose2d(*tensors, *positional), *inputs, orders=1),
    )


@pytest.mark.parametrize("wanted", range(1, 8), ids="{:03b}".format)
def test_what_needs_no_gradient_gets_none_and_does_not_disturb(wanted):
    inputs = arguments((4, 2, 3, 3), 4, 4, 4)
    for i, tensor in enumerate(inputs):
        tensor.requires_grad_(bool(wanted >> i & 1))

    def calls(a, weight, bias):
        return own(a, weight, bias, padding=1, groups=2)

    assert_equal(
        derivatives(calls, *inputs),
        derivatives(lambda *tensors: torch.conv2d(*tensors, padding=1, groups=2), *inputs),
    )
    calls(*inputs).sum().backward()
    assert [tensor.grad is not None for tensor in inputs] == [tensor.requires_grad for tensor in inputs]


@pytest.mark.parametrize("function", [own, transposed_convolution])
def test_derivatives_agree_with_finite_differences(function):
    inputs = random(1, 2, 4, seed=1), random(2, 2, 2, seed=2), random(2, seed=3)

    def gradients(*tensors):
        output = function(*tensors, stride=2, padding=1)
        return torch.autograd.grad(output.square().sum(), tensors, create_graph=True)

    assert torch.autograd.gradcheck(lambda *tensors: function(*tensors, stride=2), inputs)
    assert torch.autograd.gradgradcheck(lambda *tensors: function(*tensors, stride=2), inputs)
    assert torch.autograd.gradgradcheck(gradients, inputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("make", [own, transposed_convolution])
def test_channels_last_stays_so_with_the_same_values(dtype, make):
    a, weight, bias = (t.detach().to(dtype).requires_grad_() for t in arguments((4, 4, 3, 3), 4, 6, 5))
    last = [t.detach().to(memory_format=torch.channels_last).requires_grad_() for t in (a, weight)]

    def calls(a, weight, bias):
        return make(a, weight, bias, padding=1)

    output, by_a, by_weight, *_ = found = derivatives(calls, *last, bias)
    for tensor in (output, by_a, by_weight):
        assert tensor.is_contiguous(memory_format=torch.channels_last)
    atol = 1e-4 if dtype == torch.float32 else 1e-10
    assert_equal(found, derivatives(calls, a, weight, bias), atol=atol)


def test_float32_is_close_to_float64():
    inputs = arguments((6, 2, 3, 3), 6, 6, 5)
    low = [tensor.detach().float().requires_grad_() for tensor in inputs]

    def calls(*tensors):
        return own(*tensors, stride=2, padding=1, groups=2)

    found = derivatives(calls, *low)
    assert {tensor.dtype for tensor in found} == {torch.float32}
    assert_equal([tensor.double() for tensor in found], derivatives(calls, *inputs), atol=1e-4)


def test_autocast_lowers_all_but_float64():
    inputs = arguments((4, 4, 3, 3), 4, 5, 5)
    low = [tensor.detach().float().requires_grad_() for tensor in inputs]
    with torch.autocast("cpu", torch.bfloat16):
        assert own(*inputs).dtype == torch.float64
        output = own(*low)
        torch.testing.assert_close(output, torch.conv2d(*low), rtol=0.02, atol=0.1)
    output.float().sum().backward()
    assert output.dtype == torch.bfloat16
    assert {tensor.grad.dtype for tensor in low} == {torch.float32}


def test_an_empty_batch_has_a_gradient_of_zero():
    _, weight, bias = arguments((4, 4, 3, 3), 4, 5, 5)
    output = own(random(0, 4, 5, 5), weight, bias)
    output.sum().backward()
    assert output.shape == (0, 4, 3, 3)
    assert not weight.grad.any()
    assert not bias.grad.any()


def test_whole_numbers_of_numpy_are_sizes():
    inputs = arguments((4, 4, 3, 3), 4, 5, 5)
    torch.testing.assert_close(
        own(*inputs, stride=np.int64(2)), torch.conv2d(*inputs, stride=2), rtol=0, atol=1e-12
    )


def test_unbatched_inputs_and_wrong_paddings_are_left_to_torch():
    a, weight, bias = arguments((4, 4, 3, 3), 4, 5, 5)
    assert convolution(a[0], weight, bias) is None
    assert transposed_convolution(a[0], weight, bias) is None
    assert convolution(a, weight, bias, padding="full") is None
    assert convolution(a, weight, bias, stride=2, padding="same") is None
