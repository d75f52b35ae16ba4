"""Which engine suits a model: what each can do, and the rules of ``engine="auto"``."""

import math
from collections.abc import Iterator

from torch import nn

from metabalance.meta.checks import pair_leaves
from metabalance.meta.recomputing import Recomputed
from metabalance.meta.update import Update

DENSE_LAYERS = (nn.Linear, nn.Bilinear, nn.Embedding, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.PReLU)
"""Layers that are known to be fast, and right, with a set of weights for each meta step."""

LARGEST_VECTORIZED = 30_000
"""Parameters above which moving each meta step's own through memory costs more than the loop's overhead."""

LARGEST_COMPILED = 200_000
"""Parameters above which the compiled engine is hardly faster than the loop, or not at all."""

MOST_COMPILED = 20_000_000
"""Meta steps times parameters above which it moves too much through memory."""


def check_vectorizable(model: nn.Module) -> None:
    """Raise ValueError for layers that ``vmap`` would get wrong or that would write statistics under it."""
    for name, module in model.named_modules():
        if isinstance(module, Recomputed):
            raise ValueError(
                f"engine='vectorized' cannot recompute the block {name!r}: use engine='loop', or the block "
                "without Recomputed"
            )
        if _is_padded_embedding(module):
            raise ValueError(
                f"engine='vectorized' would give the padding row of the Embedding {name!r} a gradient (torch "
                "masks it in the first meta step only): use engine='loop'"
            )
        if _has_backward_hooks(module):
            raise ValueError(
                f"engine='vectorized' would not run the backward hooks of {type(module).__name__} {name!r}: "
                "use engine='loop', or remove them"
            )
        norm = isinstance(module, nn.modules.batchnorm._NormBase)
        if norm and module.training and module.running_mean is not None:
            raise ValueError(
                f"engine='vectorized' cannot update the running statistics of {type(module).__name__} "
                f"{name!r} in training mode: use engine='loop', or LayerNorm/GroupNorm in its place"
            )


def _has_backward_hooks(module: nn.Module) -> bool:
    return bool(module._backward_hooks or module._backward_pre_hooks)


def _is_padded_embedding(module: nn.Module) -> bool:
    return isinstance(module, nn.Embedding | nn.EmbeddingBag) and module.padding_idx is not None


def is_dense(model: nn.Module) -> bool:
    """Whether every parameter is owned by one of DENSE_LAYERS, and nothing stands against ``vmap``.

    That is buffers, recomputed blocks, backward hooks, and padded embeddings, the gradient of whose padding
    row torch gets wrong under ``vmap``.
    """
    if next(model.buffers(), None) is not None:
        return False
    if any(isinstance(module, Recomputed) or _has_backward_hooks(module) for module in model.modules()):
        return False
    return all(
        isinstance(module, DENSE_LAYERS) and not _is_padded_embedding(module) for module in _owners(model)
    )


def pays_to_compile(model: nn.Module, meta_steps: int, rows: int, updates: int) -> bool:
    """Whether ``updates`` updates of a dense net, of ``rows`` rows each, save more time than compiling takes.

    Compiling saves the overhead of each operation, which grows with the number of layers, and passes over
    memory, which grow with rows times parameters. The constants are measured (``benchmarks/README.md``) on a
    machine of two cores; they are constants, rather than measured on the spot, so that the same seed gives
    the same result.
    """
    if _size(model) > LARGEST_COMPILED or meta_steps * _size(model) > MOST_COMPILED:
        return False
    layers = sum(1 for _ in _owners(model))
    saved = 0.5e-3 + 0.55e-3 * layers + 1.2e-10 * rows * _size(model)
    return updates * saved > 10 + 1.5 * layers


def choose_engine(model: nn.Module, update: Update, updates: int | None) -> str:
    """The rule of ``engine="auto"``."""
    if not is_dense(model):
        return "loop"
    rows = sum(math.prod(pair_leaves(pair, "")[0][1].shape[:2]) for pair in (update.support, update.query))
    if updates is not None and pays_to_compile(model, update.meta_steps, rows, updates):
        return "compiled"
    return "vectorized" if _size(model) <= LARGEST_VECTORIZED else "loop"


def _size(model: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def _owners(model: nn.Module) -> Iterator[nn.Module]:
    """The modules that own parameters."""
    return (m for m in model.modules() if next(m.parameters(recurse=False), None) is not None)
