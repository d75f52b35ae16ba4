"""What can be said about the arguments before, and about the numbers after, the work is done."""

import math
from collections.abc import Callable, Iterable, Iterator
from numbers import Integral, Real
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

Batch: TypeAlias = Tensor | tuple[Any, ...] | dict[str, Any]
"""A tensor, or a tuple or dict of such, whose tensors all have the same leading dimension."""

LossFunction: TypeAlias = Callable[[Any, Any], Tensor]


def check_model_and_loss(model: object, loss_fn: object) -> None:
    """Raise TypeError unless ``model`` is a module and ``loss_fn`` can be called."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    if not callable(loss_fn):
        raise TypeError(
            f"loss_fn must be a callable (output, target) -> scalar tensor, got {type(loss_fn).__name__}"
        )


def check_nonnegative(name: str, value: object) -> float:
    """``value`` as a float, if it is a finite real number that is not negative."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a real number, got {value!r} of type {type(value).__name__}")
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{name} must be finite and at least 0, got {value!r}")
    return float(value)


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Raise ValueError unless ``value`` is one of ``choices``."""
    choices = list(choices)
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")


def check_updates(updates: object) -> None:
    """Raise unless ``updates`` is None or a whole number of at least 1."""
    if updates is None:
        return
    if isinstance(updates, bool) or not isinstance(updates, Integral):
        raise TypeError(f"updates must be a whole number or None, got {updates!r}")
    if updates < 1:
        raise ValueError(f"updates must be at least 1, got {updates!r}")


def check_gradients_enabled() -> None:
    """Raise ValueError under no_grad and inference_mode; some engines would go on, to gradients of no use."""
    if not torch.is_grad_enabled():
        raise ValueError(
            "gradients are switched off: call this outside of torch.no_grad() and torch.inference_mode()"
        )


def trainable_parameters(model: nn.Module) -> dict[str, Tensor]:
    """The parameters that require a gradient, by name; a shared one occurs once."""
    params: dict[str, Tensor] = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not params:
        raise ValueError(
            f"{type(model).__name__} has no parameter that requires a gradient: "
            "call requires_grad_(True) on those to train"
        )
    return params


def leaves(batch: Batch, name: str) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of a batch with a name for messages, e.g. ``query input['ids']``."""
    if isinstance(batch, Tensor):
        yield name, batch
    elif isinstance(batch, tuple):
        for i, part in enumerate(batch):
            yield from leaves(part, f"{name}[{i}]")
    elif isinstance(batch, dict):
        for key, part in batch.items():
            yield from leaves(part, f"{name}[{key!r}]")
    else:
        raise TypeError(f"{name} must be a tensor, or a tuple or dict of tensors, got {type(batch).__name__}")


def pair_leaves(pair: object, name: str) -> list[tuple[str, Tensor]]:
    """The tensors of an (inputs, targets) pair, which must be a pair with tensors in both places."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        length = f" of length {len(pair)}" if isinstance(pair, tuple | list) else ""
        raise TypeError(f"{name} must be a pair (inputs, targets), got {type(pair).__name__}{length}")
    named = [
        list(leaves(part, f"{name} {what}")) for part, what in zip(pair, ("input", "target"), strict=True)
    ]
    if not all(named):
        raise ValueError(f"{name} inputs and targets must hold at least one tensor each")
    return named[0] + named[1]


def check_meta_steps(support: object, query: object) -> None:
    """Raise unless all tensors of both pairs share their leading dimension S, and no batch is empty."""
    named = pair_leaves(support, "support") + pair_leaves(query, "query")
    for name, leaf in named:
        if leaf.dim() < 2:
            raise ValueError(
                f"{name} has shape {tuple(leaf.shape)}: it needs two leading dimensions, "
                "(meta steps, batch, ...); for a single meta step add the first with .unsqueeze(0)"
            )
        if 0 in leaf.shape[:2]:
            raise ValueError(
                f"{name} has shape {tuple(leaf.shape)}: there must be at least one meta step "
                "and one row in each batch"
            )
    if len({leaf.shape[0] for _, leaf in named}) > 1:
        shapes = ", ".join(f"{name} {tuple(leaf.shape)}" for name, leaf in named)
        raise ValueError(
            f"support and query must have the same leading dimension, the number of meta steps, got {shapes}"
        )


def count_rows(data: object) -> int:
    """n, the leading dimension that all tensors of an (inputs, targets) pair share."""
    named = pair_leaves(data, "data")
    counts = {leaf.shape[0] if leaf.dim() else 0 for _, leaf in named}
    if len(counts) > 1 or counts == {0}:
        shapes = ", ".join(f"{name} {tuple(leaf.shape)}" for name, leaf in named)
        raise ValueError(f"the tensors of data must have the same number of rows, at least one, got {shapes}")
    return counts.pop()


def check_scalar(loss: object) -> Tensor:
    """The loss itself, if it is one number per batch."""
    if not isinstance(loss, Tensor):
        raise TypeError(f"loss_fn must return a tensor, got {type(loss).__name__}")
    if loss.dim() != 0:
        raise ValueError(
            f"loss_fn must return one scalar per batch, got shape {tuple(loss.shape)}: "
            "reduce it, e.g. with reduction='mean' or .mean()"
        )
    return loss


def check_losses_finite(losses: dict[str, Tensor], unit: str) -> None:
    """Raise FloatingPointError naming the first unit with a loss (each [units]) that is not finite."""
    stacked = torch.stack(list(losses.values()), dim=1)
    finite = torch.isfinite(stacked)
    if bool(finite.all()):
        return
    index, column = torch.nonzero(~finite)[0].tolist()
    raise FloatingPointError(
        f"the {list(losses)[column]} loss of {unit} {index} is {stacked[index, column].item()}; nothing was "
        "changed. Look for NaN or infinity in the inputs, or try a smaller inner_lr or a smaller lr of the "
        "outer optimizer"
    )


def check_dense(gradients: dict[str, Tensor]) -> None:
    """Refuse sparse gradients, which cannot be added up with the others."""
    sparse = [name for name, gradient in gradients.items() if gradient.is_sparse]
    if sparse:
        raise ValueError(
            f"the gradient of {', '.join(sparse)} is sparse: use nn.Embedding(..., sparse=False)"
        )


def check_gradients_finite(gradients: dict[str, Tensor]) -> None:
    """Raise FloatingPointError naming the parameters whose gradient is not finite."""
    names = [name for name, gradient in gradients.items() if not bool(torch.isfinite(gradient).all())]
    if names:
        raise FloatingPointError(
            f"the gradient of {', '.join(names)} is not finite although the losses are; nothing was changed. "
            "Look for infinity in the inputs, or try a smaller inner_lr or lr of the outer optimizer"
        )


def check_finite_elsewhere(sums: Iterable[Tensor]) -> None:
    """Raise FloatingPointError if sums over processes are not finite, where this process's numbers are."""
    if not all(bool(torch.isfinite(tensor).all()) for tensor in sums):
        raise FloatingPointError(
            "a loss or the gradient of another process of process_group is not finite, which names it; "
            "nothing was changed"
        )
