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
from metabalance.meta.statistics import normalising_by_batch


def adapt(
    model: nn.Module,
    loss_fn: LossFunction,
    data: tuple[Batch, Batch],
    inner_lr: float,
    *,
    batch_size: int | None = None,
    chunk_size: int = 4096,
) -> dict[str, Tensor]:
    """Parameters θ' = θ − inner_lr · ∇L(θ) after one inner step on all of ``data``.

    These are the parameters whose query loss MetaBalance's outer loop minimises (Algorithm 1), with the batch
    replaced by the whole data set. The model is left as it is, and runs in evaluation mode, without dropout.

    A model with BatchNorm needs ``batch_size``. Its layers are then normalised by batches of that many rows,
    as in the meta steps: by running statistics, the gradient is another one, and a step along it leads
    astray. Predictions at θ' then need the layers' statistics at θ', see `batch_statistics`.

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
    batch_size : int, optional
        Rows that BatchNorm normalises together, those of the support batches. They are cut from the data in
        the order given, which should be random; rows that do not fill a batch are left out, unless there are
        no others. Without it BatchNorm normalises by its running statistics.
    chunk_size : int, default=4096
        Rows per forward pass; it bounds the memory, not the result. ``batch_size`` takes its place.

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
    sizes = {"chunk_size": chunk_size} | ({} if batch_size is None else {"batch_size": batch_size})
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int):
            raise TypeError(f"{name} must be an integer, got {size!r} of type {type(size).__name__}")
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")
    rows = checks.count_rows(data)
    mode, size = evaluation_mode(model), chunk_size
    if batch_size is not None:
        mode, size = normalising_by_batch(model), batch_size
        rows = max(rows - rows % size, min(rows, size))
    params = checks.trainable_parameters(model)
    leaf = {name: p.detach().requires_grad_() for name, p in params.items()}
    loss_of, aliases = LossOf(model, loss_fn), aliases_of(model)
    gradient: Tensors = {}
    losses = []
    with mode:
        for start in range(0, rows, size):
            chunk = part_of(data, slice(start, min(start + size, rows)))
            loss, _ = loss_at(loss_of, leaf, copied(dict(model.named_buffers())), chunk, aliases)
            weight = min(size, rows - start) / rows
            gradient = weighted_sum([(None, gradient), (weight, gradients_of(loss, leaf, "data"))])
            losses.append(loss.detach())
    checks.check_losses_finite({"data": torch.stack(losses)}, f"chunk (of {size} rows)")
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
