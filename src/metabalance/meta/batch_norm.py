"""BatchNorm whose second derivative takes few passes over memory.

torch's own consists of dozens of operations on whole tensors. Here it is made of the first derivative, for
which there is a fused kernel: the backward pass is linear in the gradient that comes in, and what it misses
when the input moves is one number per channel.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

aten = torch.ops.aten


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor | None:
    """As F.batch_norm; None unless it normalises by a batch of several values, and then scales."""
    if not training or weight is None or bias is None or input.dim() < 2:
        return None
    channels = input.shape[1]
    per_channel = [t for t in (running_mean, running_var, weight, bias) if t is not None]
    if input.numel() <= channels or any(t.numel() != channels for t in per_channel):
        return None  # torch has the errors; the kernel would read past the end of tensors that are too short
    output: Tensor = _BatchNorm.apply(  # type: ignore[no-untyped-call]
        input, weight, bias, running_mean, running_var, momentum, eps
    )
    return output


class _BatchNorm(Function):
    """(x, γ, β) → γ·x̂ + β with x̂ = (x − mean)·scale, scale = 1/√(variance + eps)."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        momentum: float,
        eps: float,
    ) -> Tensor:
        output: Tensor
        output, mean, scale = aten.native_batch_norm(
            x, weight, bias, running_mean, running_var, True, momentum, eps
        )
        ctx.save_for_backward(x, weight, mean, scale)
        ctx.eps = eps
        return output

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return *_gradients(grad, *ctx.saved_tensors, ctx.eps), None, None, None, None


class _BatchNormGradient(Function):
    """(δ, x, γ) → γ·scale·(δ − ⟨δ⟩ − x̂⟨δx̂⟩), Σδx̂, Σδ: gradients by x, γ and β; ⟨⟩ is a channel's mean.

    mean and scale are those of x, and count as functions of it.
    """

    @staticmethod
    def forward(
        ctx: Any, grad: Tensor, x: Tensor, weight: Tensor, mean: Tensor, scale: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        gradients: tuple[Tensor, Tensor, Tensor] = aten.native_batch_norm_backward(
            grad, x, weight, None, None, mean, scale, True, eps, [True, True, True]
        )
        ctx.save_for_backward(grad, x, weight, mean, scale, *gradients[1:])
        ctx.eps = eps
        return gradients

    @staticmethod
    def backward(
        ctx: Any, along_x: Tensor, along_weight: Tensor, along_bias: Tensor
    ) -> tuple[Tensor | None, ...]:
        grad, x, weight, mean, scale, by_weight, by_bias = ctx.saved_tensors
        others = [axis for axis in range(x.dim()) if axis != 1]
        count = x.numel() // x.shape[1]
        by_grad, dot, total = _gradients(along_x, x, weight, mean, scale, ctx.eps)
        if torch.is_grad_enabled():  # for a third derivative
            variance, mean = torch.var_mean(x.to(mean.dtype), others, correction=0)
            scale = (variance + ctx.eps).rsqrt()
        normalised = (x - _wide(mean, x)) * _wide(scale, x)
        by_grad = torch.addcmul(by_grad + _wide(along_bias, x), normalised, _wide(along_weight, x))

        # ⟨along_x, gradient by x⟩ is γ·scale·count·spread, summed over channels.
        spread = ((along_x * grad).sum(others) - (total * by_bias + dot * by_weight) / count) / count
        # x enters that through x̂ and through scale, and it enters ⟨along_weight, Σδx̂⟩ through x̂.
        by_normalised = torch.addcmul(
            grad * _wide(along_weight - weight * scale * dot / count, x),
            along_x,
            _wide(-weight * scale * by_weight / count, x),
        )
        by_x = _gradients(by_normalised.to(x.dtype), x, torch.ones_like(weight), mean, scale, ctx.eps)[0]
        by_x = torch.addcmul(by_x, normalised, _wide(-weight * scale.square() * spread, x))
        return by_grad, by_x, scale * spread * count, None, None, None


def _wide(channels: Tensor, like: Tensor) -> Tensor:
    """One number per channel, in a shape that broadcasts."""
    return channels.view(-1, *[1] * (like.dim() - 2))


def _gradients(*arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    gradients: tuple[Tensor, Tensor, Tensor] = _BatchNormGradient.apply(*arguments)  # type: ignore[no-untyped-call]
    return gradients
