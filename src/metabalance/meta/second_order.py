"""Ordinary modules with operators whose second derivative exists and is fast, while a context lasts."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from metabalance.meta.batch_norm import batch_norm
from metabalance.meta.convolution import convolution, transposed_convolution

_active = ContextVar("twice_differentiable", default=False)


@contextlib.contextmanager
def twice_differentiable() -> Iterator[None]:
    """Context for a forward pass that is to be differentiated twice."""
    token = _active.set(True)
    try:
        with plain_attention(), FastSecondDerivatives():
            yield
    finally:
        _active.reset(token)


def is_twice_differentiable() -> bool:
    """Whether :func:`twice_differentiable` is in force."""
    return _active.get()


def plain_attention() -> contextlib.AbstractContextManager[None]:
    """Attention by its definition: the fused kernels have no second derivative, nor a rule for ``vmap``."""
    context: contextlib.AbstractContextManager[None] = sdpa_kernel(SDPBackend.MATH)
    return context


REPLACEMENTS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.conv1d: convolution,
    torch.conv2d: convolution,
    torch.conv3d: convolution,
    torch.conv_transpose1d: transposed_convolution,
    torch.conv_transpose2d: transposed_convolution,
    torch.conv_transpose3d: transposed_convolution,
    F.batch_norm: batch_norm,
}
"""torch's function → one with the same arguments and result; a result of None leaves the call to torch."""


class FastSecondDerivatives(TorchFunctionMode):
    """While it lasts, the second derivative of convolutions and BatchNorm is as fast as backward passes.

    It reaches every module that ends in torch's own functions, such as :class:`torch.nn.Conv2d`. First
    derivatives are torch's own, and derivatives of any order are right. What needs no gradient is left alone,
    and so are tensors other than plain floating-point ones, and code under the transforms of torch.func.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call ``func``, or what replaces it."""
        kwargs = kwargs or {}
        if func in REPLACEMENTS and _differentiable([*args, *kwargs.values()]):
            result = REPLACEMENTS[func](*args, **kwargs)
            if result is not None:
                return result
        return func(*args, **kwargs)


def _differentiable(arguments: list[Any]) -> bool:
    """Whether a gradient is wanted, and all tensors are plain: strided, real and of no special class."""
    tensors = [argument for argument in arguments if isinstance(argument, Tensor)]
    return (
        torch.is_grad_enabled()
        and not torch._C._are_functorch_transforms_active()
        and any(tensor.requires_grad for tensor in tensors)
        and all(type(t) in (Tensor, nn.Parameter) for t in tensors)
        and all(t.layout is torch.strided and t.is_floating_point() for t in tensors)
    )
