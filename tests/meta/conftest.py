"""The sweep of modules on which gradients are checked, and references that share no code with src."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

META_STEPS, SUPPORT_ROWS, QUERY_ROWS, CLASSES = 3, 5, 4, 3


class Tied(nn.Module):
    """Two layers that share one weight matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.head = nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.second(torch.tanh(self.first(x)))))


class Unused(nn.Module):
    """A layer that no loss reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.used = nn.Linear(4, CLASSES)
        self.unused = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.used(x)


class Masked(nn.Module):
    """Dropout whose mask is an input."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(4, 6)
        self.head = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.head(torch.tanh(self.hidden(x)) * mask)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.attention(x, x, x, need_weights=False)[0].mean(1))


class Table(nn.Module):
    """Numbers and a category, as keyword arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 2)
        self.head = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 1))

    def forward(self, *, numbers: Tensor, category: Tensor) -> Tensor:
        return self.head(torch.cat([numbers, self.embedding(category)], dim=-1))


@dataclass
class Case:
    """A model with batches for it. ``vectorizes``: whether ``engine="vectorized"`` can take it."""

    model: nn.Module
    loss_fn: Callable[[Any, Any], Tensor]
    support: tuple[Any, Any]
    query: tuple[Any, Any]
    vectorizes: bool = True

    def loss(self, params: dict[str, Tensor], pair: tuple[Any, Any], s: int) -> Tensor:
        """The loss of meta step ``s`` at ``params``, in plain PyTorch."""
        inputs, target = pair
        model = copy.deepcopy(self.model)
        if isinstance(inputs, dict):
            output = functional_call(model, params, (), {key: value[s] for key, value in inputs.items()})
        elif isinstance(inputs, tuple):
            output = functional_call(model, params, tuple(value[s] for value in inputs))
        else:
            output = functional_call(model, params, (inputs[s],))
        return self.loss_fn(output, target[s])

    def trainable(self) -> dict[str, Tensor]:
        """The parameters that require a gradient."""
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    def reference(self, inner_lr: float, beta: float, order: str = "exact") -> dict[str, Tensor | None]:
        """The outer gradient, summed over meta steps, by backpropagation through everything at once."""
        params = {name: p.detach().clone().requires_grad_() for name, p in self.trainable().items()}
        total = torch.zeros((), dtype=torch.float64)
        with sdpa_kernel(SDPBackend.MATH):
            for s in range(META_STEPS):
                support = self.loss(params, self.support, s)
                inner = torch.autograd.grad(
                    support,
                    list(params.values()),
                    create_graph=order == "exact",
                    retain_graph=True,
                    allow_unused=True,
                )
                adapted = {
                    name: p if g is None else p - inner_lr * g
                    for (name, p), g in zip(params.items(), inner, strict=True)
                }
                total = total + self.loss(adapted, self.query, s) + beta * support
            total.backward()
        return {name: p.grad for name, p in params.items()}


def _features(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(META_STEPS, *shape, generator=generator, dtype=torch.float64)


def _batches(make_inputs: Callable[..., Any], make_target: Callable[..., Tensor]) -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(7)
    support, query = (
        (make_inputs(generator, rows), make_target(generator, rows)) for rows in (SUPPORT_ROWS, QUERY_ROWS)
    )
    return support, query


def _classes(generator: torch.Generator, rows: int) -> Tensor:
    return torch.randint(CLASSES, (META_STEPS, rows), generator=generator)


def _binary(generator: torch.Generator, rows: int) -> Tensor:
    return torch.randint(2, (META_STEPS, rows), generator=generator).double()


def _binary_loss(output: Tensor, target: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(output.squeeze(-1), target)


def _vector_case(model: nn.Module, **kwargs: Any) -> Case:
    return Case(model, cross_entropy, *_batches(lambda g, rows: _features(g, rows, 4), _classes), **kwargs)


def _image_case(norm: nn.Module, **kwargs: Any) -> Case:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), norm, nn.Tanh(), nn.Flatten(), nn.Linear(8, CLASSES))
    return Case(
        model, cross_entropy, *_batches(lambda g, rows: _features(g, rows, 1, 4, 4), _classes), **kwargs
    )


def linear() -> Case:
    return _vector_case(nn.Linear(4, CLASSES))


def mlp() -> Case:
    return _vector_case(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.LayerNorm(5), nn.Linear(5, CLASSES)))


def tied() -> Case:
    return _vector_case(Tied())


def frozen() -> Case:
    case = mlp()
    case.model[0].requires_grad_(False)
    return case


def unused() -> Case:
    return _vector_case(Unused())


def conv_batch_norm() -> Case:
    return _image_case(nn.BatchNorm2d(2), vectorizes=False)


def conv_group_norm() -> Case:
    return _image_case(nn.GroupNorm(2, 2))


def masked_dropout() -> Case:
    def inputs(generator: torch.Generator, rows: int) -> tuple[Tensor, Tensor]:
        mask = torch.randint(2, (META_STEPS, rows, 6), generator=generator).double() * 2
        return _features(generator, rows, 4), mask

    return Case(Masked(), cross_entropy, *_batches(inputs, _classes))


def embedding() -> Case:
    def inputs(generator: torch.Generator, rows: int) -> Tensor:
        return torch.randint(6, (META_STEPS, rows, 2), generator=generator)

    model = nn.Sequential(nn.Embedding(6, 3), nn.Flatten(), nn.Tanh(), nn.Linear(6, CLASSES))
    return Case(model, cross_entropy, *_batches(inputs, _classes))


def attention() -> Case:
    return Case(Attention(), cross_entropy, *_batches(lambda g, rows: _features(g, rows, 3, 4), _classes))


def table() -> Case:
    def inputs(generator: torch.Generator, rows: int) -> dict[str, Tensor]:
        category = torch.randint(5, (META_STEPS, rows), generator=generator)
        return {"numbers": _features(generator, rows, 3), "category": category}

    return Case(Table(), _binary_loss, *_batches(inputs, _binary))


SWEEP = (
    linear,
    mlp,
    tied,
    frozen,
    unused,
    conv_batch_norm,
    conv_group_norm,
    masked_dropout,
    embedding,
    attention,
    table,
)


def _seeded(make: Callable[[], Case]) -> Case:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = make()
    made.model.double()
    return made


@pytest.fixture(params=SWEEP, ids=lambda make: make.__name__)
def case(request: pytest.FixtureRequest) -> Case:
    """Every module of the sweep, in float64."""
    return _seeded(request.param)


@pytest.fixture
def mlp_case() -> Case:
    """The multilayer perceptron of the sweep, in float64."""
    return _seeded(mlp)


@pytest.fixture
def batch_norm_case() -> Case:
    """The convolution with BatchNorm of the sweep, in float64."""
    return _seeded(conv_batch_norm)


@pytest.fixture
def compiled_anew() -> Iterator[None]:
    """Forget what torch has compiled, before and after."""
    torch.compiler.reset()
    counters.clear()
    yield
    torch.compiler.reset()
