"""What a network makes of rows before its last layer."""

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from metabalance.training.prediction import Parameters, map_rows

NETWORK = "network"


@runtime_checkable
class Embeds(Protocol):
    """A network that says what its last layer sees, as `metabalance.nn.ResNet` does."""

    def embed(self, x: Tensor) -> Tensor:
        """Return embeddings (batch, d) of rows (batch, …)."""


class _Embedding(nn.Module):
    """The network up to its last layer, as a module of its own."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        if not isinstance(self.network, Embeds):
            raise TypeError(f"{type(self.network).__name__} has no embed")
        return self.network.embed(x)


def embed_rows(module: nn.Module, x: Tensor, parameters: Parameters | None = None) -> NDArray[np.float32]:
    """Embeddings of rows in evaluation mode, float32 of shape (n, d) and of length 1.

    Parameters
    ----------
    module : torch.nn.Module
        With a method ``embed`` (see `Embeds`).
    x : Tensor of shape (n, …)
    parameters : mapping of str to Tensor, optional
        As in `metabalance.training.predict_probabilities`.

    Raises
    ------
    TypeError
        If the module has no such method, or it returns anything but a row for each row.
    FloatingPointError
        If embeddings are not finite, or 0 and so without direction.
    """
    if not isinstance(module, Embeds):
        raise TypeError(
            f"{type(module).__name__} has no method embed(rows), which returns what its last layer sees: the "
            "default network of images has one; write it for a module of your own"
        )
    named = None if parameters is None else {f"{NETWORK}.{name}": each for name, each in parameters.items()}
    embedded = map_rows(_Embedding(module), x, named, _of_length_1)
    bad = ~(embedded.norm(dim=1) > 0.5)  # of NaN, too
    if bool(bad.any()):
        raise FloatingPointError(
            f"the network's embeddings are 0, NaN or infinite for {int(bad.sum())} of {len(bad)} rows, the "
            f"first in row {int(bad.int().argmax())}: training has diverged, lower lr (and inner_lr), or the "
            "module makes such values"
        )
    found: NDArray[np.float32] = embedded.numpy()
    return found


def _of_length_1(embedded: Tensor) -> Tensor:
    if embedded.ndim != 2:
        raise TypeError(
            f"the module's embed must return a tensor of shape (batch, d), got {tuple(embedded.shape)}: "
            "flatten it"
        )
    return nn.functional.normalize(embedded.float())
