"""Convolutions whose second derivative costs what ordinary backward passes cost.

torch differentiates the backward pass of a convolution by a convolution with batch and channels swapped, a
shape that kernels are not made for. But a convolution a*W is linear in a and in W, so every derivative, of
any order, is a sum of three operations that are fast: a*W itself, its gradient by a, and its gradient by W.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional as F

aten = torch.ops.aten

Sizes: TypeAlias = int | Sequence[int]
Gradients: TypeAlias = tuple[Tensor | None, ...]


class Geometry(NamedTuple):
    """The arguments of a convolution after its tensors, in the order in which torch's operators take them."""

    stride: list[int]
    padding: list[int]
    dilation: list[int]
    transposed: bool
    output_padding: list[int]
    groups: int


def convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor | None:
    """As torch.conv1d, conv2d and conv3d; None for input without a batch and wrong paddings."""
    if input.dim() != weight.dim():
        return None
    if padding == "valid":
        padding = 0
    if padding == "same" and all(step == 1 for step in _list(stride)):
        input, padding = _padded_to_the_same(input, weight.shape[2:], _list(dilation))
    if isinstance(padding, str):
        return None
    geometry = Geometry(_list(stride), _list(padding), _list(dilation), False, [0], groups)
    return _applied(*_as_autocast(input, weight, bias), geometry)


def transposed_convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Tensor | None:
    """As torch.conv_transpose1d to conv_transpose3d; None for input without a batch."""
    if input.dim() != weight.dim():
        return None
    geometry = Geometry(_list(stride), _list(padding), _list(dilation), True, _list(output_padding), groups)
    return _applied(*_as_autocast(input, weight, bias), geometry)


def _list(size: Sizes) -> list[int]:
    return list(size) if isinstance(size, Sequence) else [size]  # a number may be NumPy's


def _padded_to_the_same(
    input: Tensor, kernel: Sequence[int], dilation: list[int]
) -> tuple[Tensor, list[int]]:
    """The padding that keeps the size; where it is odd, the input gets the last of it at the far end."""
    spread = dilation if len(dilation) == len(kernel) else dilation * len(kernel)
    total = [by * (size - 1) for by, size in zip(spread, kernel, strict=True)]
    if any(pad % 2 for pad in total):
        input = F.pad(input, [end for pad in reversed(total) for end in (0, pad % 2)])
    return input, [pad // 2 for pad in total]


def _as_autocast(input: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """What autocast, where it is on, makes of a convolution's arguments: all but float64 in its own dtype."""
    device = input.device.type
    if not (torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)):
        return input, weight, bias
    dtype = torch.get_autocast_dtype(device)

    def lowered(tensor: Tensor) -> Tensor:
        return tensor if tensor.dtype == torch.float64 else tensor.to(dtype)

    return lowered(input), lowered(weight), None if bias is None else lowered(bias)


class _Convolution(Function):
    """(a, W, bias) → a*W + bias."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
        ctx.save_for_backward(a, weight)
        ctx.geometry = geometry
        output: Tensor = aten.convolution(a, weight, bias, *geometry)
        return output

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Gradients:
        a, weight = ctx.saved_tensors
        return *_gradients(grad, a, weight, ctx.geometry, ctx.needs_input_grad[:3]), None


class _ConvolutionGradient(Function):
    """(δ, a, W) → the gradients of ⟨δ, a*W + bias⟩ by a, W and bias; None for those that are not wanted.

    They are linear in (δ, W), in (δ, a) and in δ.
    """

    @staticmethod
    def forward(
        ctx: Any, grad: Tensor, a: Tensor, weight: Tensor, geometry: Geometry, wanted: tuple[bool, ...]
    ) -> Gradients:
        ctx.save_for_backward(grad, a, weight)
        ctx.geometry = geometry
        ctx.set_materialize_grads(False)
        gradients: Gradients = aten.convolution_backward(
            grad, a, weight, [grad.shape[1]], *geometry, list(wanted)
        )
        return gradients

    @staticmethod
    def backward(
        ctx: Any, along_a: Tensor | None, along_weight: Tensor | None, along_bias: Tensor | None
    ) -> Gradients:
        grad, a, weight = ctx.saved_tensors
        wants_grad, wants_a, wants_weight = ctx.needs_input_grad[:3]
        by_grad = by_a = by_weight = None
        if wants_grad:
            by_grad = _tangent(a, weight, along_a, along_weight, along_bias, ctx.geometry, like=grad)
        if wants_a and along_weight is not None:
            by_a = _gradients(grad, a, along_weight, ctx.geometry, (True, False, False))[0]
        if wants_weight and along_a is not None:
            by_weight = _gradients(grad, along_a, weight, ctx.geometry, (False, True, False))[1]
        return by_grad, by_a, by_weight, None, None


def _tangent(
    a: Tensor,
    weight: Tensor,
    along_a: Tensor | None,
    along_weight: Tensor | None,
    along_bias: Tensor | None,
    geometry: Geometry,
    like: Tensor,
) -> Tensor | None:
    """How a*W + bias moves when a, W and bias move along the directions that are given."""
    tangent = None
    if along_weight is not None:
        tangent = _applied(a, along_weight, along_bias, geometry)
    elif along_bias is not None:
        tangent = along_bias.view(-1, *[1] * (like.dim() - 2)).expand_as(like)
    if along_a is None:
        return tangent
    part = _applied(along_a, weight, None, geometry)
    return part if tangent is None else tangent + part


def _applied(a: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
    output: Tensor = _Convolution.apply(a, weight, bias, geometry)  # type: ignore[no-untyped-call]
    return output


def _gradients(
    grad: Tensor, a: Tensor, weight: Tensor, geometry: Geometry, wanted: tuple[bool, ...]
) -> Gradients:
    gradients: Gradients = _ConvolutionGradient.apply(grad, a, weight, geometry, wanted)  # type: ignore[no-untyped-call]
    return gradients
