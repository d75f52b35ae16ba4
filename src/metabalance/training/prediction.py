"""Class probabilities from a module, at its own parameters or at adapted ones."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from metabalance.meta import evaluation_mode
from metabalance.meta.functional import forward_at
from metabalance.nn import TableNetwork, class_logits
from metabalance.training.threads import is_small, one_thread

Parameters = Mapping[str, Tensor]

ROWS_PER_CHUNK = 8192  # whose activations stay in the cache: twice as fast as 65,536
ENSEMBLE_ROWS_PER_CHUNK = 1024  # each row has the activations of all members
IMAGES_PER_CHUNK = 256
CHUNKS_PER_WORKER = 4  # at least, for threads to pay

# Other parameters than its own are put into the module for a call: two calls at once would mix them up.
_exchange = threading.Lock()


def rows_per_chunk(module: nn.Module, x: Tensor) -> int:
    """Rows in one forward pass over whole data: many of a table, few where each row is an image."""
    if isinstance(module, TableNetwork):
        return ENSEMBLE_ROWS_PER_CHUNK
    return IMAGES_PER_CHUNK if x.ndim > 2 else ROWS_PER_CHUNK


def predict_probabilities(
    module: nn.Module, x: Tensor, parameters: Parameters | None = None
) -> NDArray[np.float64]:
    """Softmax of the logits in evaluation mode, shape (n, K), rows summing to 1 in float64.

    Of an ensemble, whose logits have the shape (n, members, K or 1), it is the mean over the members.

    Parameters
    ----------
    module : torch.nn.Module
        Its parts are left in the modes they were in.
    x : Tensor of shape (n, …)
    parameters : mapping of str to Tensor, optional
        Parameters to predict with in place of the module's own, by name (θ' of `metabalance.meta.adapt`).
    """
    probabilities = predict_members(module, x, parameters)
    return probabilities if probabilities.ndim == 2 else probabilities.mean(axis=1)


def predict_members(
    module: nn.Module, x: Tensor, parameters: Parameters | None = None
) -> NDArray[np.float64]:
    """As `predict_probabilities`, but of an ensemble every member's, shape (n, members, K).

    Its members may get rows of their own: x of shape (n, members, …).
    """
    found = map_rows(module, x, parameters, lambda output: _softmax(class_logits(output).double()))
    probabilities: NDArray[np.float64] = found.numpy()
    if not np.isfinite(probabilities).all():
        raise FloatingPointError(
            "the network's outputs are NaN or infinite: training has diverged, lower lr (and inner_lr), or "
            "the module itself makes such values"
        )
    return probabilities


def map_rows(
    module: nn.Module, x: Tensor, parameters: Parameters | None, finish: Callable[[Tensor], Tensor]
) -> Tensor:
    """Whatever is finished of the outputs for all rows, in evaluation mode, on the CPU.

    Rows go through the network in chunks, of a small one several at a time; modes stay as they were.
    """
    forward: Callable[[Tensor], Tensor] = module
    if parameters is not None:
        forward = forward_at(module, parameters)

    @torch.no_grad()
    def of_chunk(chunk: Tensor) -> Tensor:
        return finish(forward(chunk))

    chunks = torch.split(x, rows_per_chunk(module, x))
    workers = min(torch.get_num_threads(), len(chunks) // CHUNKS_PER_WORKER)
    small = is_small(module, x)
    # One thread is best for a chunk of a small network, but several chunks can run at once: in the default
    # network, which is known to allow it, at its own parameters, since others are put into it for the call.
    side_by_side = small and parameters is None and isinstance(module, TableNetwork)
    with (
        one_thread() if small else nullcontext(),
        nullcontext() if parameters is None else _exchange,
        evaluation_mode(module),
    ):
        if side_by_side and workers > 1:
            with ThreadPoolExecutor(workers) as pool:
                parts = list(pool.map(of_chunk, chunks))
        else:
            parts = [of_chunk(chunk) for chunk in chunks]
    return torch.cat(parts).cpu()


def _softmax(logits: Tensor) -> Tensor:
    """Softmax over the classes, of two classes several times as fast as torch's and alike to rounding.

    As with torch's, an infinite logit gives NaN, and minus infinity a probability of 0.
    """
    if logits.shape[-1] != 2:
        return logits.softmax(dim=-1)
    first, second = logits.unbind(-1)
    gap = second - first + 0 * torch.maximum(first, second)
    return torch.stack([(-gap).sigmoid(), gap.sigmoid()], dim=-1)
