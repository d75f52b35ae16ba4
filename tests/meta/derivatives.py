"""Derivatives of several orders by plain autograd, to compare an operator with its reference."""

from collections.abc import Callable

import torch
from torch import Tensor


def random(*shape: int, seed: int = 0, requires_grad: bool = True) -> Tensor:
    """Normal numbers in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_(requires_grad)


def derivatives(function: Callable[..., Tensor], *inputs: Tensor | None, orders: int = 3) -> list[Tensor]:
    """The output, and derivatives along random directions by the inputs that require a gradient.

    The gradients that one order sends backward are variables of the next.
    """
    output = function(*inputs)
    found, outputs = [output], [output]
    variables = [tensor for tensor in inputs if tensor is not None and tensor.requires_grad]
    for order in range(orders):
        directions = [
            torch.randn(t.shape, generator=torch.Generator().manual_seed(100 * order + i)).to(t)
            for i, t in enumerate(outputs)
        ]
        for direction in directions:
            direction.requires_grad_()
        gradients = torch.autograd.grad(
            outputs, variables, directions, create_graph=True, materialize_grads=True
        )
        found += gradients
        variables = variables + directions
        outputs = [gradient for gradient in gradients if gradient.requires_grad]
    return found


def assert_equal(found: list[Tensor], expected: list[Tensor], atol: float = 1e-10) -> None:
    """All of the same dtype, shape and values; the expected ones are not all zero."""
    assert any(tensor.abs().max() > 1e3 * atol for tensor in expected)
    for i, (one, other) in enumerate(zip(found, expected, strict=True)):
        torch.testing.assert_close(one, other, rtol=atol, atol=atol, msg=lambda m, i=i: f"tensor {i}: {m}")
