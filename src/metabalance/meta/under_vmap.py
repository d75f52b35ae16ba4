"""What is done otherwise under ``vmap``: dropout from uniform numbers, and no padding of embeddings.

torch draws dropout masks on the CPU one Bernoulli number at a time. In a small network that is a large part
of an outer update, and a compiled update cannot fuse it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class UnderVmap(TorchFunctionMode):
    """While active, dropout draws uniform numbers: distributed as torch's, several times cheaper on the CPU.

    An embedding with a padding row is an error: torch masks the gradient of that row in the first meta step
    only.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is F.embedding and (kwargs or {}).get("padding_idx") is not None:
            raise RuntimeError("torch gives the padding row of an embedding a gradient under vmap")
        function = _dropout if func is F.dropout else func
        return function(*args, **(kwargs or {}))


def _dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """As :func:`torch.nn.functional.dropout`, which is left the cases that are not worth a second way."""
    if inplace or not training or not 0 < p < 1:
        return F.dropout(input, p, training, inplace)
    # In single precision whatever the input's: 8 bits of bfloat16 would round p.
    kept = torch.rand_like(input, dtype=torch.float32) >= p
    return input * (kept.to(input.dtype) * (1 / (1 - p)))
