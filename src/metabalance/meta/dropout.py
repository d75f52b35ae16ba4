"""Dropout whose masks come from uniform numbers: distributed as torch's, several times cheaper on the CPU.

torch draws dropout masks on the CPU one Bernoulli number at a time. In a small network that is a large part
of an outer update, and a compiled update cannot fuse it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class UniformDropout(TorchFunctionMode):
    """While active, :func:`torch.nn.functional.dropout`, and so ``nn.Dropout``, draws uniform numbers."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        function = _dropout if func is F.dropout else func
        return function(*args, **(kwargs or {}))


def _dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """As :func:`torch.nn.functional.dropout`, which is left the cases that are not worth a second way."""
    if inplace or not training or not 0 < p < 1:
        return F.dropout(input, p, training, inplace)
    # In single precision whatever the input's: 8 bits of bfloat16 would round p.
    kept = torch.rand_like(input, dtype=torch.float32) >= p
    return input * (kept.to(input.dtype) * (1 / (1 - p)))
