"""The few functional operations Algorithm 1 is made of: a loss at given parameters, ∇, H·v, weighted sums."""

from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call

from metabalance.meta.checks import Batch, LossFunction, check_scalar

Tensors: TypeAlias = dict[str, Tensor]
Pair: TypeAlias = tuple[Batch, Batch]


def loss_at(
    model: nn.Module, loss_fn: LossFunction, params: Tensors, buffers: Tensors, batch: Pair
) -> tuple[Tensor, Tensors]:
    """The loss of one batch at ``params``, and the buffers after it; ``buffers`` may be written to.

    Inputs that are a tuple are the model's positional arguments, a dict its keyword arguments.
    """
    inputs, target = batch
    args: Any = () if isinstance(inputs, dict) else inputs
    kwargs: dict[str, Any] = inputs if isinstance(inputs, dict) else {}
    state = {f"model.{name}": tensor for name, tensor in {**params, **buffers}.items()}
    loss = functional_call(_LossOf(model, loss_fn), state, (args, kwargs, target))
    # functional_call leaves in `state` the buffers that the module replaced instead of writing in place.
    return check_scalar(loss), {name: state[f"model.{name}"] for name in buffers}


class _LossOf(nn.Module):
    """Model and loss in one call, so that a loss which reads the model's parameters sees the same ones."""

    def __init__(self, model: nn.Module, loss_fn: LossFunction) -> None:
        super().__init__()
        self.model = model
        self.loss_of = (loss_fn,)  # in a tuple: a loss that is a module must not be registered as a part

    def forward(self, args: Any, kwargs: dict[str, Any], target: Any) -> Tensor:
        output = self.model(*args, **kwargs) if isinstance(args, tuple) else self.model(args, **kwargs)
        return self.loss_of[0](output, target)


def gradients_of(losses: Tensor, params: Tensors, which: str, *, create_graph: bool = False) -> Tensors:
    """∇ of the summed losses, for the parameters that they depend on; ``which`` one, for messages."""
    found: tuple[Tensor | None, ...] = (None,) * len(params)
    if losses.requires_grad:
        found = torch.autograd.grad(
            losses.sum(), list(params.values()), create_graph=create_graph, allow_unused=True
        )
    gradients = {name: g for name, g in zip(params, found, strict=True) if g is not None}
    if not gradients:
        raise ValueError(
            f"the {which} loss depends on no parameter that requires a gradient: look for torch.no_grad(), "
            ".detach() or .item() in the model or the loss, or around this call"
        )
    return gradients


def hessian_product(gradients: Tensors, params: Tensors, vector: Tensors) -> Tensors:
    """H·vector, where ``gradients`` still carry the graph that made them."""
    names = [name for name, g in gradients.items() if g.requires_grad and name in vector]
    if not names:  # the loss is linear in the parameters
        return {}
    products: tuple[Tensor | None, ...] = torch.autograd.grad(
        [gradients[name] for name in names],
        list(params.values()),
        [vector[name] for name in names],
        allow_unused=True,
    )
    return {name: product for name, product in zip(params, products, strict=True) if product is not None}


def weighted_sum(terms: list[tuple[float, Tensors]]) -> Tensors:
    """Σ weight · tensor by name, out of place: what autograd returns may be an expanded view."""
    total: Tensors = {}
    for weight, tensors in terms:
        for name, tensor in tensors.items():
            part = tensor if weight == 1 else weight * tensor
            total[name] = total[name] + part if name in total else part
    return total


def detached(tensors: Tensors) -> Tensors:
    """The same values without their graph."""
    return {name: tensor.detach() for name, tensor in tensors.items()}


def copied(tensors: Tensors) -> Tensors:
    """Copies without a graph, which may be written to: modules update their buffers in place."""
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def part_of(batch: Any, index: int | slice) -> Any:
    """``tensor[index]`` of a tensor, or of every tensor in tuples and dicts."""
    if isinstance(batch, Tensor):
        return batch[index]
    if isinstance(batch, dict):
        return {key: part_of(part, index) for key, part in batch.items()}
    return tuple(part_of(part, index) for part in batch)
