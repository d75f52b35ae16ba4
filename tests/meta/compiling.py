"""What the tests of the compiled engine share."""

from itertools import chain

import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters
from torch.nn.functional import cross_entropy

from metabalance.meta import MetaGradient


def graphs() -> int:
    """How many functions have been compiled."""
    return counters["stats"]["unique_graphs"]


def batches(seed: int = 0, meta_steps: int = 3) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    support, query = (
        (
            torch.randn(meta_steps, rows, 4, generator=generator),
            torch.randint(3, (meta_steps, rows), generator=generator),
        )
        for rows in (5, 6)
    )
    return support, query


def gradients(model: nn.Module) -> list[Tensor | None]:
    return [None if p.grad is None else p.grad.clone() for p in model.parameters()]


def updates(model: nn.Module, engine: str, count: int, **kwargs) -> list[list[Tensor | None]]:
    """The gradients of several updates on different batches, from one MetaGradient."""
    meta = MetaGradient(model, cross_entropy, **{"inner_lr": 0.3, "beta": 0.4, "engine": engine} | kwargs)
    found = []
    for seed in range(count):
        model.zero_grad()
        meta.backward(*batches(seed))
        found.append(gradients(model))
    return found


def assert_same(found: list[list[Tensor | None]], expected: list[list[Tensor | None]]) -> None:
    for one, other in zip(chain(*found), chain(*expected), strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
