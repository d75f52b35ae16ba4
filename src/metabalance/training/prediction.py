"""Class probabilities from a module, at its own parameters or at adapted ones."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from metabalance.nn import class_logits

Parameters = Mapping[str, Tensor]

ROWS_PER_CHUNK = 65_536


def predict_probabilities(
    module: nn.Module, x: Tensor, parameters: Parameters | None = None
) -> NDArray[np.float64]:
    """Softmax of the logits in evaluation mode, shape (n, K), rows summing to 1 in float64.

    Parameters
    ----------
    module : torch.nn.Module
        Left in the mode it was in.
    x : Tensor of shape (n, …)
    parameters : mapping of str to Tensor, optional
        Parameters to predict with in place of the module's own, by name (θ' of `metabalance.meta.adapt`).
    """
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            chunks = [
                class_logits(_forward(module, chunk, parameters)).double().softmax(dim=-1)
                for chunk in torch.split(x, ROWS_PER_CHUNK)
            ]
    finally:
        module.train(was_training)
    probabilities: NDArray[np.float64] = torch.cat(chunks).cpu().numpy()
    return probabilities


def _forward(module: nn.Module, x: Tensor, parameters: Parameters | None) -> Tensor:
    output: Tensor = module(x) if parameters is None else functional_call(module, dict(parameters), (x,))
    return output
