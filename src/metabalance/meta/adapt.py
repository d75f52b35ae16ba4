"""The adapted parameters θ': one inner step over a whole data set."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from metabalance.meta import checks
from metabalance.meta.checks import Batch, LossFunction
from metabalance.meta.functional import (
    LossOf,
    Tensors,
    aliases_of,
    copied,
    gradients_of,
    loss_at,
    part_of,
    weighted_sum,
)


def adapt(
    model: nn.Module,
    loss_fn: LossFunction,
    data: tuple[Batch, Batch],
    inner_lr: float,
    *,
    chunk_size: int = 4096,
) -> dict[str, Tensor]:
    """Parameters θ' = θ − inner_lr · ∇L(θ) after one inner step on all of ``data``.

    These are the parameters whose query loss MetaBalance's outer loop minimises (Algorithm 1), with the batch
    replaced by the whole data set. The model is left as it is, and runs in evaluation mode: no dropout, and
    the running statistics of BatchNorm.

    Parameters
    ----------
    model : torch.nn.Module
        The model at θ.
    loss_fn : callable
        ``(output, target) -> scalar tensor``; it must be a *mean* over rows, since the gradient is taken in
        chunks that are weighted by their rows.
    data : pair (inputs, targets)
        Tensors of shape (n, ...), or tuples or dicts of them as in :meth:`MetaGradient.backward`.
    inner_lr : float
        Size of the step, ≥ 0.
    chunk_size : int, default=4096
        Rows per forward pass; it bounds the memory, not the result.

    Returns
    -------
    dict of str to Tensor
        θ' by name, detached, for the parameters that require a gradient: pass it to
        :func:`torch.func.functional_call`, which takes frozen parameters and buffers from the model.

    Raises
    ------
    FloatingPointError
        If a chunk's loss or the gradient is not finite.
    TypeError, ValueError
        If an argument is of the wrong type or out of range, or the numbers of rows disagree.

    Examples
    --------
    >>> import torch
    >>> from metabalance.meta import adapt
    >>> model = torch.nn.Linear(3, 2)
    >>> x, y = torch.randn(100, 3), torch.randint(2, (100,))
    >>> adapted = adapt(model, torch.nn.CrossEntropyLoss(), (x, y), inner_lr=0.1)
    >>> torch.func.functional_call(model, adapted, (x,)).shape
    torch.Size([100, 2])
    """
    checks.check_model_and_loss(model, loss_fn)
    step = checks.check_nonnegative("inner_lr", inner_lr)
    if isinstance(chunk_size, bool) or not isinstance(chunk_size, int):
        raise TypeError(
            f"chunk_size must be an integer, got {chunk_size!r} of type {type(chunk_size).__name__}"
        )
    if chunk_size < 1:
        raise ValueError(f"chunk_size must be at least 1, got {chunk_size}")
    rows = checks.count_rows(data)
    params = checks.trainable_parameters(model)
    leaf = {name: p.detach().requires_grad_() for name, p in params.items()}
    loss_of, aliases = LossOf(model, loss_fn), aliases_of(model)
    gradient: Tensors = {}
    losses = []
    with evaluation_mode(model):
        for start in range(0, rows, chunk_size):
            chunk = part_of(data, slice(start, start + chunk_size))
            loss, _ = loss_at(loss_of, leaf, copied(dict(model.named_buffers())), chunk, aliases)
            weight = min(chunk_size, rows - start) / rows
            gradient = weighted_sum([(None, gradient), (weight, gradients_of(loss, leaf, "data"))])
            losses.append(loss.detach())
    checks.check_losses_finite({"data": torch.stack(losses)}, f"chunk (of {chunk_size} rows)")
    checks.check_gradients_finite(gradient)
    return weighted_sum([(None, copied(params)), (-step, gradient)])


@contextlib.contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """``model.eval()`` for a while: afterwards every module is in the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
