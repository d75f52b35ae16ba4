"""The multilayer perceptron, of which the default network has several side by side."""

from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any

from torch import nn


class MLP(nn.Sequential):
    """Linear layers with ReLU in between, and dropout after each hidden layer.

    Parameters
    ----------
    n_inputs : int
        Width of the input, at least 1.
    n_outputs : int
        Width of the output: 1 logit for two classes, K logits for K classes.
    hidden_sizes : sequence of int, default=(64, 32)
        Width of each hidden layer, in order; empty for a linear model. The paper's fraud network is
        ``(16, 24, 20, 24)`` and its loan network ``(25,)`` (appendix A.1).
    dropout : float or sequence of float in [0, 1), default=0.0
        Dropout probability after every hidden layer, or one probability for each. The paper's fraud network
        has 0.5 after its second layer: ``(0, 0.5, 0, 0)``.

    Raises
    ------
    ValueError
        If a width is below 1, a probability outside [0, 1), or the number of probabilities is not the number
        of hidden layers.

    Examples
    --------
    >>> import torch
    >>> from metabalance.nn import MLP
    >>> fraud = MLP(29, 1, hidden_sizes=(16, 24, 20, 24), dropout=(0, 0.5, 0, 0))
    >>> fraud(torch.zeros(8, 29)).shape
    torch.Size([8, 1])
    """

    def __init__(
        self,
        n_inputs: int,
        n_outputs: int,
        hidden_sizes: Sequence[int] = (64, 32),
        dropout: float | Sequence[float] = 0.0,
    ) -> None:
        widths = layer_widths(n_inputs, hidden_sizes, n_outputs)
        probabilities = dropout_per_layer(dropout, len(hidden_sizes))
        layers: list[nn.Module] = []
        for wide_in, wide_out, probability in zip(widths[:-2], widths[1:-1], probabilities, strict=True):
            layers += [nn.Linear(wide_in, wide_out), nn.ReLU()]
            if probability > 0:
                layers.append(nn.Dropout(probability))
        layers.append(nn.Linear(widths[-2], widths[-1]))
        super().__init__(*layers)


def layer_widths(n_inputs: int, hidden_sizes: Any, n_outputs: int) -> list[int]:
    """Widths from the input to the output, checked."""
    if not isinstance(hidden_sizes, Iterable):
        raise TypeError(f"hidden_sizes must be a sequence such as (64, 32), got {hidden_sizes!r}")
    widths = [n_inputs, *hidden_sizes, n_outputs]
    if not all(isinstance(width, Real) and not isinstance(width, bool) for width in widths):
        raise TypeError(f"layer widths must be whole numbers of at least 1, got {widths}")
    if any(width % 1 or width < 1 for width in widths):
        raise ValueError(f"layer widths must be whole numbers of at least 1, got {widths}")
    return [int(width) for width in widths]


def dropout_per_layer(dropout: Any, n_hidden: int) -> list[float]:
    """One dropout probability for each hidden layer, checked."""
    alike = isinstance(dropout, Real)
    if not alike and (isinstance(dropout, str) or not isinstance(dropout, Iterable)):
        raise TypeError(f"dropout must be a number in [0, 1) or a sequence of such, got {dropout!r}")
    probabilities: list[Any] = [dropout] * max(n_hidden, 1) if alike else list(dropout)
    if not all(isinstance(probability, Real) for probability in probabilities):
        raise TypeError(f"dropout must be a number in [0, 1) or a sequence of such, got {dropout!r}")
    if not all(0 <= probability < 1 for probability in probabilities):
        raise ValueError(f"dropout must lie in [0, 1), got {dropout!r}")
    if not alike and len(probabilities) != n_hidden:
        raise ValueError(
            f"dropout has {len(probabilities)} values for {n_hidden} hidden layers: give one, or one each"
        )
    return [float(probability) for probability in probabilities[:n_hidden]]
