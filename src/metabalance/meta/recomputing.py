"""Activation checkpointing for meta-gradients: what a module computed is computed again when it is needed."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp import is_autocast_available
from torch.autograd import Function
from torch.autograd.graph import disable_saved_tensors_hooks
from torch.utils.checkpoint import get_device_states, set_device_states

from metabalance.meta.functional import Tensors, aliases_of, call_at, copied, with_aliases
from metabalance.meta.second_order import is_twice_differentiable, twice_differentiable


class Recomputed(nn.Module):
    """A module that keeps no activations: each backward pass computes them again.

    Wrap the blocks of a large model to train it in less memory and more time. The graph of an exact
    meta-gradient then holds what goes into each block, forwards and backwards, and the inside of one block at
    a time; with :func:`torch.utils.checkpoint.checkpoint`, what is computed again stays in the graph of the
    second derivative.

    The results are those of the module alone, whatever the order and the pass: dropout draws its masks again,
    and running statistics move once.

    Parameters
    ----------
    module : torch.nn.Module
        Its forward takes tensors, and other arguments that hold none, and returns a tensor or a tuple of
        tensors.

    Raises
    ------
    TypeError
        If ``module`` is not a module; from forward, if an argument or a result is of another kind.

    Notes
    -----
    The names of parameters gain a part, ``module``. The block must own all parameters that it reads: one that
    it finds elsewhere gets no gradient from it. Derivatives of third order, which a loss with a gradient
    penalty has in exact order, are not supported.

    Examples
    --------
    >>> import torch
    >>> from metabalance.meta import MetaGradient, Recomputed
    >>> blocks = [torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Tanh()) for _ in range(3)]
    >>> model = torch.nn.Sequential(*(Recomputed(block) for block in blocks), torch.nn.Linear(8, 2))
    >>> batches = torch.randn(4, 24, 8), torch.randint(2, (4, 24))
    >>> losses = MetaGradient(model, torch.nn.CrossEntropyLoss(), inner_lr=0.1).backward(batches, batches)
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        if not isinstance(module, nn.Module):
            raise TypeError(f"module must be a torch.nn.Module, got {type(module).__name__}")
        self.module = module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the module returns."""
        if not torch.is_grad_enabled():
            return self.module(*args, **kwargs)
        arguments: list[tuple[int | str, Any]] = [*enumerate(args), *kwargs.items()]
        inputs = {key: value for key, value in arguments if isinstance(value, Tensor)}
        others = {key: value for key, value in arguments if key not in inputs}
        for value in others.values():
            if _holds_tensors(value):
                raise TypeError(
                    f"Recomputed({type(self.module).__name__}) takes each tensor as an argument of its own, "
                    f"got a {type(value).__name__} of them"
                )
        params = dict(self.module.named_parameters())
        tensors = (*params.values(), *inputs.values())
        buffers = copied(dict(self.module.named_buffers()))
        circumstances = _Circumstances.of_now(tensors)
        call = _Call(self.module, list(params), list(inputs), others, buffers, circumstances)
        return _Recomputation.apply(call, *tensors)  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def refuse_checkpoints() -> Iterator[None]:
    """Context in which :func:`torch.utils.checkpoint.checkpoint` is an error.

    It would compute activations again at the parameters that the model has by then: θ, instead of θ'. It
    cannot be told from other hooks on saved tensors; where the caller has set some, nothing is refused.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(RuntimeError):
            stack.enter_context(
                disable_saved_tensors_hooks(
                    "the model uses torch.utils.checkpoint, or other hooks on saved tensors, which would "
                    "compute activations again at other parameters than those of the query pass: wrap blocks "
                    "in metabalance.meta.Recomputed instead"
                )
            )
        yield


def _holds_tensors(value: Any) -> bool:
    if isinstance(value, dict):
        value = tuple(value.values())
    return isinstance(value, Tensor) or (isinstance(value, list | tuple) and any(map(_holds_tensors, value)))


@dataclass(frozen=True)
class _Circumstances:
    """What a forward pass depends on besides its arguments, as it was at one time."""

    autocast: list[tuple[str, bool, torch.dtype]]
    twice_differentiable: bool
    random_state: Tensor
    accelerator: str
    devices: list[int]
    device_states: list[Tensor]

    @classmethod
    def of_now(cls, tensors: Sequence[Tensor]) -> "_Circumstances":
        one_of_each = {tensor.device: tensor for tensor in tensors}
        types = {"cpu", *(device.type for device in one_of_each)}
        kinds = [kind for kind in sorted(types) if is_autocast_available(kind)]
        devices, device_states = get_device_states(*one_of_each.values())
        return cls(
            autocast=[
                (kind, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in kinds
            ],
            twice_differentiable=is_twice_differentiable(),
            random_state=torch.get_rng_state(),
            accelerator=next(iter(types - {"cpu", "meta"}), "cuda"),
            devices=devices,
            device_states=device_states,
        )

    @contextlib.contextmanager
    def again(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for kind, enabled, dtype in self.autocast:
                stack.enter_context(torch.autocast(kind, dtype, enabled, cache_enabled=False))
            if self.twice_differentiable:
                stack.enter_context(twice_differentiable())
            stack.enter_context(torch.random.fork_rng(self.devices, device_type=self.accelerator))
            torch.set_rng_state(self.random_state)
            set_device_states(self.devices, self.device_states, device_type=self.accelerator)
            yield


@dataclass(frozen=True)
class _Call:
    """One call of a module but for its tensors, which come as one list: parameters first, then inputs."""

    module: nn.Module
    params: list[str]
    inputs: list[int | str]
    others: dict[int | str, Any]
    buffers: Tensors
    circumstances: _Circumstances

    def first(self, tensors: Sequence[Tensor]) -> Any:
        """Run the module as it is."""
        args, kwargs = self._arguments(tensors)
        versions = [tensor._version for tensor in tensors]
        outputs = self.module(*args, **kwargs)
        if versions != [tensor._version for tensor in tensors]:
            raise RuntimeError(
                f"Recomputed({type(self.module).__name__}) changes its input in place, so that it could not "
                "be computed again: use inplace=False at the beginning of the block"
            )
        if not all(isinstance(part, Tensor) for part in _as_tuple(outputs)):
            raise TypeError(
                f"Recomputed({type(self.module).__name__}) needs a module that returns a tensor or a tuple "
                f"of tensors, got {type(outputs).__name__}"
            )
        return outputs

    def again(self, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Run the module at these parameters, with the buffers and all else as they were the first time."""
        args, kwargs = self._arguments(tensors)
        state = dict(zip(self.params, tensors, strict=False)) | copied(self.buffers)
        with self.circumstances.again():
            state = with_aliases(state, aliases_of(self.module))
            return _as_tuple(call_at(self.module, state, args, kwargs))

    def _arguments(self, tensors: Sequence[Tensor]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        arguments = self.others | dict(zip(self.inputs, tensors[len(self.params) :], strict=True))
        names = [key for key in arguments if isinstance(key, str)]
        positions = range(len(arguments) - len(names))
        return tuple(arguments[place] for place in positions), {name: arguments[name] for name in names}


def _as_tuple(outputs: Any) -> tuple[Any, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)


class _Recomputation(Function):
    """(call, tensors) → the outputs of the call."""

    @staticmethod
    def forward(ctx: Any, call: _Call, *tensors: Tensor) -> Any:
        ctx.call = call
        ctx.save_for_backward(*tensors)
        return call.first(tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        wanted = ctx.needs_input_grad[1:]
        gradients = _RecomputedGradient.apply(ctx.call, wanted, *grads, *ctx.saved_tensors)  # type: ignore[no-untyped-call]
        return None, *gradients


class _RecomputedGradient(Function):
    """(call, which are wanted, gradients by the outputs, tensors) → gradients by the tensors."""

    @staticmethod
    def forward(
        ctx: Any, call: _Call, wanted: tuple[bool, ...], *tensors: Tensor
    ) -> tuple[Tensor | None, ...]:
        ctx.call, ctx.wanted = call, wanted
        ctx.save_for_backward(*tensors)
        grads, sources = tensors[: -len(wanted)], tensors[-len(wanted) :]
        return _gradients(call, grads, _leaves(sources, wanted), create_graph=False)

    @staticmethod
    def backward(ctx: Any, *along: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                f"Recomputed({type(ctx.call.module).__name__}) has no third derivative: use the module alone"
            )
        leaves = _leaves(ctx.saved_tensors, ctx.needs_input_grad[2:])
        grads, sources = leaves[: -len(ctx.wanted)], leaves[-len(ctx.wanted) :]
        gradients = _gradients(ctx.call, grads, sources, create_graph=True)
        return None, None, *_derivatives(gradients, along, leaves)


def _leaves(tensors: Sequence[Tensor], wanted: Sequence[bool]) -> list[Tensor]:
    """The tensors as leaves of a new graph."""
    return [tensor.detach().requires_grad_(want) for tensor, want in zip(tensors, wanted, strict=True)]


def _gradients(
    call: _Call, grads: Sequence[Tensor], leaves: Sequence[Tensor], *, create_graph: bool
) -> tuple[Tensor | None, ...]:
    """Make the call again and differentiate it by its tensors."""
    with torch.enable_grad():
        outputs = call.again(leaves)
        return _derivatives(outputs, grads, leaves, create_graph=create_graph)


def _derivatives(
    outputs: Sequence[Tensor | None],
    along: Sequence[Tensor | None],
    leaves: Sequence[Tensor],
    *,
    create_graph: bool = False,
) -> tuple[Tensor | None, ...]:
    """Of Σ⟨output, along⟩, by each of the leaves; None for those that are not wanted or do not enter."""
    pairs = [
        (output, direction)
        for output, direction in zip(outputs, along, strict=True)
        if output is not None and output.requires_grad and direction is not None
    ]
    places = [place for place, leaf in enumerate(leaves) if leaf.requires_grad]
    found: list[Tensor | None] = [None] * len(leaves)
    if pairs:
        derivatives = torch.autograd.grad(
            [output for output, _ in pairs],
            [leaves[place] for place in places],
            [direction for _, direction in pairs],
            create_graph=create_graph,
            allow_unused=True,
        )
        for place, derivative in zip(places, derivatives, strict=True):
            found[place] = derivative
    return tuple(found)
