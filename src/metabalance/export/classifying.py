"""A fitted classifier as one module: encoder, network, calibration and decision."""

import copy
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from metabalance.estimators.calibration import SMALLEST, Calibration
from metabalance.estimators.isotonic import IsotonicCalibration
from metabalance.estimators.outputs import SMALLEST_DECIDED, TIE_DECIMALS, Output
from metabalance.nn import class_logits


class Classify(nn.Module):
    """From raw rows to probabilities, float64 of shape (n, K), and the places of the labels, int64.

    Parameters
    ----------
    encode : torch.nn.Module
        Takes what is given, and makes the network's rows of it.
    network : torch.nn.Module
        Left as it is: its copy is used.
    parameters : mapping of str to Tensor, optional
        Parameters and statistics in place of the network's own (θ').
    output : Output, optional
        What is made of the network's probabilities.
    """

    def __init__(
        self,
        encode: nn.Module,
        network: nn.Module,
        parameters: Mapping[str, Tensor] | None,
        output: Output | None,
    ) -> None:
        super().__init__()
        self.encode = encode
        self.network = copy.deepcopy(network).cpu().eval()
        if parameters is not None:
            self.network.load_state_dict(dict(parameters), strict=False)
        self.make = None if output is None else MadeOfOutputs(output)

    def forward(self, *given: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities and the place of the label of each row."""
        probabilities = class_logits(self.network(self.encode(*given))).double().softmax(dim=-1)
        if probabilities.ndim == 3:  # of members
            probabilities = probabilities.mean(dim=1)
        if self.make is None:
            return probabilities, probabilities.argmax(dim=1)
        made: tuple[Tensor, Tensor] = self.make(probabilities)
        return made


class MadeOfOutputs(nn.Module):
    """Do to a network's probabilities what an `Output` does, its decision included.

    Parameters
    ----------
    output : Output
    """

    def __init__(self, output: Output) -> None:
        super().__init__()
        self.calibrate: nn.Module
        if isinstance(output.calibration, Calibration):
            self.calibrate = _Scaled(output.calibration)
        else:
            self.calibrate = _Isotonic(output.calibration)
        self.register_buffer("ratio", torch.tensor(output.ratio, dtype=torch.float64))
        self.register_buffer("log_weights", torch.tensor(output.log_weights, dtype=torch.float64))

    ratio: Tensor
    log_weights: Tensor

    def forward(self, probabilities: Tensor) -> tuple[Tensor, Tensor]:
        """Return calibrated probabilities, and the place of the label of each row."""
        moved = self.calibrate(probabilities) * self.ratio
        made = moved / moved.sum(dim=1, keepdim=True)
        logs = made.clamp(min=SMALLEST_DECIDED).log() + self.log_weights
        return made, logs.round(decimals=TIE_DECIMALS).argmax(dim=1)


class _Scaled(nn.Module):
    def __init__(self, calibration: Calibration) -> None:
        super().__init__()
        self.scale = calibration.scale
        self.register_buffer("shift", torch.tensor(calibration.shift, dtype=torch.float64))

    shift: Tensor

    def forward(self, probabilities: Tensor) -> Tensor:
        return (self.scale * probabilities.clamp(min=SMALLEST).log() + self.shift).softmax(dim=1)


class _Isotonic(nn.Module):
    def __init__(self, calibration: IsotonicCalibration) -> None:
        super().__init__()
        self.functions = nn.ModuleList(
            _PiecewiseLinear(*corners)
            for corners in zip(calibration.inputs, calibration.outputs, strict=True)
        )

    def forward(self, probabilities: Tensor) -> Tensor:
        if len(self.functions) == 1:
            second = self.functions[0](probabilities[:, 1])
            return torch.stack([1 - second, second], dim=1)
        columns = probabilities.unbind(1)
        found = torch.stack([f(column) for f, column in zip(self.functions, columns, strict=True)], dim=1)
        total = found.sum(dim=1, keepdim=True)
        return torch.where(total > 0, found / torch.where(total > 0, total, 1.0), probabilities)


class _PiecewiseLinear(nn.Module):
    """Interpolation between corners, as ``numpy.interp`` does it, for x of shape (n,)."""

    def __init__(self, inputs: tuple[float, ...], outputs: tuple[float, ...]) -> None:
        super().__init__()
        x, y = np.array(inputs), np.array(outputs)
        slope = np.append(np.diff(y) / np.diff(x), 0.0)
        # Before the first corner the function is flat, too.
        for name, values in (("corners", x), ("start", np.append(x[0], x)), ("value", np.append(y[0], y))):
            self.register_buffer(name, torch.from_numpy(values))
        self.register_buffer("slope", torch.from_numpy(np.append(0.0, slope)))

    corners: Tensor
    start: Tensor
    value: Tensor
    slope: Tensor

    def forward(self, x: Tensor) -> Tensor:
        piece = (x.unsqueeze(1) >= self.corners).sum(dim=1)
        return self.value[piece] + self.slope[piece] * (x - self.start[piece])
