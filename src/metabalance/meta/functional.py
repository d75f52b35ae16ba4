"""The few functional operations Algorithm 1 is made of: a loss at given parameters, ∇, H·v, weighted sums."""

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.func import functional_call

from metabalance.meta.checks import Batch, LossFunction, check_dense, check_scalar

Tensors: TypeAlias = dict[str, Tensor]
Pair: TypeAlias = tuple[Batch, Batch]
Edges: TypeAlias = dict[str, GradientEdge]
Term: TypeAlias = tuple[float | Tensor | None, Tensors]
"""Weight and tensors of one term of a sum; None weighs 1."""


class LossOf(nn.Module):
    """Model and loss in one module, so that a loss which reads the model's parameters sees the same ones.

    Inputs that are a tuple are the model's positional arguments, a dict its keyword arguments.
    """

    def __init__(self, model: nn.Module, loss_fn: LossFunction) -> None:
        super().__init__()
        self.model = model
        self.loss_of = (loss_fn,)  # in a tuple: a loss that is a module must not be registered as a part

    def forward(self, inputs: Batch, target: Batch) -> Tensor:
        """Return the loss of one batch, a scalar."""
        if isinstance(inputs, tuple):
            output = self.model(*inputs)
        elif isinstance(inputs, dict):
            output = self.model(**inputs)
        else:
            output = self.model(inputs)
        return check_scalar(self.loss_of[0](output, target))


def loss_at(
    loss_of: LossOf, params: Tensors, buffers: Tensors, batch: Pair, aliases: Mapping[str, str]
) -> tuple[Tensor, Tensors]:
    """The loss of one batch at ``params``, and the buffers after it; ``buffers`` may be written to.

    ``aliases`` are those of the model (`aliases_of`): looked up once, since torch would do so at every call.
    """
    state = with_aliases({**params, **buffers}, aliases, "model.")
    loss: Tensor = call_at(loss_of, state, batch)
    # functional_call leaves in `state` the buffers that the module replaced instead of writing in place.
    return loss, {name: state[f"model.{name}"] for name in buffers}


def with_aliases(tensors: Tensors, aliases: Mapping[str, str], prefix: str = "") -> Tensors:
    """The tensors under all their names, as `call_at` takes them."""
    state = {prefix + name: tensor for name, tensor in tensors.items()}
    for alias, name in aliases.items():
        if name in tensors:
            state[prefix + alias] = tensors[name]
    return state


def forward_at(module: nn.Module, params: Mapping[str, Tensor]) -> Callable[[Tensor], Tensor]:
    """The module's forward of one tensor, at other parameters."""
    state = with_aliases(dict(params), aliases_of(module))

    def forward(x: Tensor) -> Tensor:
        output: Tensor = call_at(module, state, (x,))
        return output

    return forward


def call_at(
    module: nn.Module, state: Tensors, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None
) -> Any:
    """:func:`functional_call` at tensors under all their names; the module has its own ones back afterwards.

    torch puts them back itself, but for Ctrl-C in the midst of its exchange of tensors.
    """
    own = [(held, held.copy()) for part in module.modules() for held in (part._parameters, part._buffers)]
    try:
        return functional_call(module, state, args, kwargs, tie_weights=False)
    except BaseException:
        for held, tensors in own:
            held.update(tensors)  # type: ignore[arg-type]
        raise


def aliases_of(model: nn.Module) -> dict[str, str]:
    """The other names of parameters and buffers that a model holds under several, each with the first one.

    A module that stands in the model twice is taken once: its tensors are in one place, and
    :func:`functional_call` would put back the replaced ones if it came there a second time.
    """
    first: dict[Tensor, str] = {}
    aliases = {}
    for path, module in model.named_modules():
        own = chain(
            module.named_parameters(path, recurse=False, remove_duplicate=False),
            module.named_buffers(path, recurse=False, remove_duplicate=False),
        )
        for name, tensor in own:
            if first.setdefault(tensor, name) != name:
                aliases[name] = first[tensor]
    return aliases


def gradients_of(losses: Tensor, params: Tensors, which: str, *, create_graph: bool = False) -> Tensors:
    """∇ of the summed losses, for the parameters that they depend on; ``which`` one, for messages."""
    found: tuple[Tensor | None, ...] = (None,) * len(params)
    if losses.requires_grad:
        found = torch.autograd.grad(
            losses,
            list(params.values()),
            torch.ones_like(losses),
            create_graph=create_graph,
            allow_unused=True,
        )
    gradients = {name: g for name, g in zip(params, found, strict=True) if g is not None}
    if not gradients:
        raise ValueError(
            f"the {which} loss depends on no parameter that requires a gradient: look for torch.no_grad(), "
            ".detach() or .item() in the model or the loss, or around this call"
        )
    check_dense(gradients)
    return gradients


def edges_of(gradients: Tensors) -> Edges:
    """Where the gradients stand in the graph that made them, which lets go of their values."""
    return {name: get_gradient_edge(g) for name, g in gradients.items() if g.requires_grad}


def hessian_product(gradients: Edges, params: Tensors, vector: Tensors) -> Tensors:
    """H·vector, by a derivative of ∇·vector."""
    names = [name for name in gradients if name in vector]
    if not names:  # the loss is linear in the parameters
        return {}
    products: tuple[Tensor | None, ...] = torch.autograd.grad(
        [gradients[name] for name in names],
        list(params.values()),
        [vector[name] for name in names],
        allow_unused=True,
    )
    return {name: product for name, product in zip(params, products, strict=True) if product is not None}


def weighted_sum(terms: list[Term]) -> Tensors:
    """Σ weight · tensor by name, out of place: what autograd returns may be an expanded view."""
    total: Tensors = {}
    for weight, tensors in terms:
        for name, tensor in tensors.items():
            if name not in total:
                total[name] = tensor if weight is None else weight * tensor
            elif isinstance(weight, Tensor):
                total[name] = total[name] + weight * tensor
            else:
                total[name] = torch.add(total[name], tensor, alpha=1.0 if weight is None else weight)
    return total


def accumulate(total: Tensors, terms: list[Term]) -> None:
    """Add Σ weight · tensor to ``total`` by name, in place."""
    for weight, tensors in terms:
        for name, tensor in tensors.items():
            total[name].add_(tensor, alpha=1.0 if weight is None else float(weight))


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


def first_line(error: Exception) -> str:
    """The first line of an error's message, for messages of our own."""
    return str(error).strip().split("\n")[0]
