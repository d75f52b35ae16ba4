"""The vectorized engine, compiled: the whole outer gradient as one function of :func:`torch.compile`.

torch.compile follows the derivatives of :mod:`torch.func`, not those of ``autograd.grad``, so the passes
are written with them here; the formula is the same function that the other engines run. One meta step is put
under ``vmap`` as a whole, derivatives inside: taken outside, ``vmap``'s rule for the backward pass of
LayerNorm makes Hessian products wrong (torch 2.13; functorch issue 534).
"""

import re
from collections.abc import Callable, Hashable, Mapping
from functools import lru_cache
from itertools import chain
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vjp, vmap

from metabalance.meta.algorithm import Algorithm, Derivative, OuterGradient, Terms, meta_gradient
from metabalance.meta.engines import vectorized
from metabalance.meta.functional import LossOf, Pair, Tensors, aliases_of, weighted_sum, with_aliases
from metabalance.meta.second_order import plain_attention
from metabalance.meta.under_vmap import UnderVmap
from metabalance.meta.update import Update

MAX_SITUATIONS = 8
"""Kinds of updates, such as shapes of batches, for which one engine compiles."""

MAX_FUNCTIONS = 64
"""Compiled functions that a process keeps, for as many structures and shapes."""


Pattern = tuple[bool, ...]
"""Of each parameter, whether its gradient is other than zero."""


class CompilationError(Exception):
    """The outer gradient of this model cannot be compiled here."""


class CompiledEngine:
    """Evaluates outer gradients as `vectorized` does, with compiled functions.

    The first update of each situation (shapes, modes, hooks, trainable parameters) is left to `vectorized`:
    it checks that the model can be vectorized at all, and tells which parameters a loss reaches, which
    torch.func does not.
    """

    def __init__(self) -> None:
        self._reached: dict[Hashable, dict[Pattern, frozenset[str]]] = {}
        self._functions: dict[Hashable, tuple[Callable[..., Any], dict[str, str], Tensor, Tensor]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Without compiled functions, which cannot be pickled."""
        return {"_reached": {}, "_functions": {}}

    def __call__(self, algorithm: Algorithm, update: Update) -> OuterGradient:
        """Return the outer gradient; raises CompilationError where torch.compile does not work."""
        situation = algorithm.terms, algorithm.reduction, update.situation(algorithm.model)
        if situation not in self._reached:
            if len(self._reached) == MAX_SITUATIONS:
                raise CompilationError(
                    f"functions for {MAX_SITUATIONS} kinds of updates are compiled, and here is another one: "
                    "shapes or hooks keep changing"
                )
            outer = vectorized(algorithm, update)
            found = outer.gradients
            pattern = tuple(name in found and bool(found[name].any()) for name in update.params)
            self._reached[situation] = {pattern: frozenset(found)}
            return outer
        try:
            gradients, support_losses, query_losses, finite, nonzero = self._run(situation, algorithm, update)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            # Any kind: a compiler, a folder for its results or the user's name may be missing. What is the
            # model's own fault is raised once more by the engine that takes over. torch's first line says
            # which stage failed, the second one why.
            raise CompilationError(" ".join(str(error).split("\n")[:2])) from error
        # A gradient of zeros may be of a parameter no longer reached, any other of one newly reached.
        pattern = tuple(nonzero.tolist())
        known = self._reached[situation]
        if pattern not in known:
            outer = vectorized(algorithm, update)
            known[pattern] = frozenset(outer.gradients)
            return outer
        gradients = {name: gradients[name] for name in update.params if name in known[pattern]}
        return OuterGradient(gradients, support_losses, query_losses, update.buffers, finite)

    def _run(self, situation: Hashable, algorithm: Algorithm, update: Update) -> tuple[Any, ...]:
        on_cuda = update.device.type == "cuda"
        if situation not in self._functions:
            function = _compiled_function((_description(algorithm), situation), on_cuda)
            # Where parameters are shared is told by their names, which are part of the situation.
            self._functions[situation] = function, aliases_of(algorithm.model), *_steps(algorithm, update)
        function, aliases, inner_lr, beta = self._functions[situation]
        if on_cuda:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        mean = algorithm.reduction == "mean"
        with torch.no_grad():
            gradients, *others = function(
                algorithm.loss_of, aliases, algorithm.terms, mean, inner_lr, beta, update
            )
        if on_cuda:  # the next replay of the graph writes to the same memory
            gradients = {name: gradient.clone() for name, gradient in gradients.items()}
            others = [other.clone() for other in others]
        return gradients, *others


def _description(algorithm: Algorithm) -> Hashable:
    """What model and loss are called, the same in every fit, and settings that their names do not show."""
    loss_fn = algorithm.loss_fn
    modules = chain(algorithm.model.modules(), loss_fn.modules() if isinstance(loss_fn, nn.Module) else ())
    settings = tuple(
        (name, value)
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, int | float | str)
    )
    return re.sub(r" at 0x\w+", "", f"{algorithm.model} {loss_fn}"), settings


def _steps(algorithm: Algorithm, update: Update) -> tuple[Tensor, Tensor]:
    """The inner step and beta as tensors, in single precision at least."""
    example = next(iter(update.params.values()))
    dtype = torch.promote_types(example.dtype, torch.float32)
    inner_lr, beta = torch.tensor([algorithm.inner_lr, algorithm.beta], dtype=dtype, device=example.device)
    return inner_lr, beta


@lru_cache(MAX_FUNCTIONS)
def _compiled_function(structure: Hashable, on_cuda: bool) -> Callable[..., Any]:
    """A compiled function for models and batches of one structure, on CUDA with graph capture.

    torch guards all that the function has read of the model, and compiles anew where it differs, so this key
    need not be complete: it only keeps the variants of each function below torch's limit. torch keeps them by
    code object, hence the copy.
    """
    code = _outer_gradient.__code__.replace()
    function = FunctionType(code, _outer_gradient.__globals__, _outer_gradient.__name__)
    # Random numbers from torch's own operators: cheaper on the CPU, and the same as without compiling.
    options: dict[str, str | int | bool | Callable[..., Any]] = {"fallback_random": True}
    options["triton.cudagraphs" if on_cuda else "cpp_wrapper"] = True
    if torch.__version__ >= (2, 8):  # type: ignore[operator]
        options["guard_filter_fn"] = lambda guards: [_may_change(guard.name) for guard in guards]
    return torch.compile(function, fullgraph=True, dynamic=False, options=options)


def _may_change(name: str) -> bool:
    """Whether what a guard of torch.compile looks at can change between updates.

    Functions and classes of torch, of this library and of Python cannot, and looking at them takes a tenth of
    a small update. A global of any other module may well be a setting.
    """
    found = re.search(r"G\['(\w+)'\]", name)
    if found is None:
        return "__import__('torch')" not in name
    module = re.fullmatch(r"__import_(.+?)(_dot_.*)?", found[1])  # as torch names modules
    if module is not None:
        return module[1] not in {"torch", "metabalance", "contextlib"}
    return found[1] not in OWN_NAMES and not found[1].startswith("__builtins_dict__")


def _outer_gradient(
    loss_of: LossOf,
    aliases: Mapping[str, str],
    terms: Terms,
    mean: bool,
    inner_lr: Tensor,
    beta: Tensor,
    update: Update,
) -> tuple[Tensors, Tensor, Tensor, Tensor, Tensor]:
    """What is compiled: gradients, losses, whether all are finite, and which gradients are not zero.

    The inner step and beta are tensors, so that other values need no other function.
    """
    passes = FunctionalPasses(loss_of, aliases)

    def of_one_step(support: Pair, query: Pair) -> Any:
        step = meta_gradient(passes, terms, inner_lr, beta, Update(update.params, {}, support, query))
        return weighted_sum(step.terms), step.support_losses, step.query_losses

    with plain_attention(), UnderVmap():
        steps = vmap(of_one_step, randomness="different")
        gradients, support_losses, query_losses = steps(update.support, update.query)
    reduce = Tensor.mean if mean else Tensor.sum
    # In the parameters' dtype: numbers without dimensions take that of the inner step.
    gradients = {
        name: reduce(gradient, 0).to(update.params[name].dtype) for name, gradient in gradients.items()
    }
    results = (*gradients.values(), support_losses, query_losses)
    finite = torch.stack([torch.isfinite(result).all() for result in results]).all()
    nonzero = torch.stack([gradient.any() for gradient in gradients.values()])
    return gradients, support_losses, query_losses, finite, nonzero


class FunctionalPasses:
    """Differentiates one meta step with :mod:`torch.func`."""

    def __init__(self, loss_of: LossOf, aliases: Mapping[str, str]) -> None:
        self.loss_of = loss_of
        self.aliases = aliases

    def loss(self, params: Tensors, batch: Pair) -> Tensor:
        """The loss of one meta step."""
        state = with_aliases(params, self.aliases, "model.")
        loss: Tensor = functional_call(self.loss_of, state, batch, tie_weights=False)
        return loss

    def support(self, params: Tensors, buffers: Tensors, batch: Pair, order: int) -> Derivative:
        """Differentiate at θ."""
        if order == 0:
            return Derivative(self.loss(params, batch), {}, buffers)
        if order == 1:
            gradients, loss = grad_and_value(self.loss)(params, batch)
            return Derivative(loss, gradients, buffers)
        linearized: Any = vjp(lambda params: grad_and_value(self.loss)(params, batch), params, has_aux=True)
        gradients, pull_back, loss = linearized
        return Derivative(loss, gradients, buffers, lambda vector: pull_back(vector)[0])

    def query(self, adapted: Tensors, buffers: Tensors, batch: Pair) -> Derivative:
        """Differentiate at θ'."""
        gradients, loss = grad_and_value(self.loss)(adapted, batch)
        return Derivative(loss, gradients, buffers)

    def total(self, gradients: Tensors) -> Tensors:
        """Of one meta step: nothing to sum."""
        return gradients


OWN_NAMES = frozenset(globals())
"""The globals of this module, before torch.compile adds its own to them."""
