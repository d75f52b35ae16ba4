"""Calibration by isotonic regression: whatever rises with the predicted probability."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression


@dataclass(frozen=True)
class IsotonicCalibration:
    """Maps the probability of each class by a piecewise linear function that never falls, and scales [1]_.

    It needs some hundred rows of a class, and makes ties: rows between two of its steps come out alike.

    Parameters
    ----------
    inputs, outputs : tuple of tuple of float
        For each class, of two the second one, the corners of its function, by rising input.

    References
    ----------
    .. [1] Zadrozny, Elkan. Transforming Classifier Scores into Accurate Multiclass Probability Estimates.
       KDD 2002.
    """

    inputs: tuple[tuple[float, ...], ...]
    outputs: tuple[tuple[float, ...], ...]

    @classmethod
    def fit(
        cls, probabilities: NDArray[np.float64], codes: NDArray[np.int64], prior: NDArray[np.float64]
    ) -> Self:
        """Fit one function for each class against the rest; arguments are those of `Calibration.fit`."""
        n_classes = probabilities.shape[1]
        weights = (prior / prior.sum() / np.bincount(codes, minlength=n_classes))[codes]
        corners = []
        for code in [1] if n_classes == 2 else range(n_classes):
            regression = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
            regression.fit(probabilities[:, code], codes == code, sample_weight=weights)
            corners.append((regression.X_thresholds_.tolist(), regression.y_thresholds_.tolist()))
        inputs, outputs = zip(*corners, strict=True)
        return cls(tuple(map(tuple, inputs)), tuple(map(tuple, outputs)))

    def __call__(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the calibrated probabilities of rows, shape (n, K); those given where no class has any."""
        functions = zip(self.inputs, self.outputs, strict=True)
        if len(self.inputs) == 1:
            ((inputs, outputs),) = functions
            second = np.interp(probabilities[:, 1], inputs, outputs)
            return np.stack([1 - second, second], axis=1)
        each = [
            np.interp(column, *of_class) for column, of_class in zip(probabilities.T, functions, strict=True)
        ]
        found = np.stack(each, axis=1)
        total = found.sum(axis=1, keepdims=True)
        calibrated: NDArray[np.float64] = np.where(
            total > 0, found / np.where(total > 0, total, 1), probabilities
        )
        return calibrated

    def suits(self, n_classes: int) -> bool:
        """Whether it is one for so many classes: functions of rising probabilities."""
        if len(self.inputs) != (1 if n_classes == 2 else n_classes) or len(self.outputs) != len(self.inputs):
            return False
        for inputs, outputs in zip(self.inputs, self.outputs, strict=True):
            if not inputs or len(inputs) != len(outputs):
                return False
            x, y = np.array(inputs, dtype=float), np.array(outputs, dtype=float)
            if not ((np.diff(x) > 0).all() and (np.diff(y) >= 0).all() and y[0] >= 0 and y[-1] <= 1):
                return False
        return True

    def to_state(self) -> dict[str, Any]:
        """Everything that `from_state` needs, in plain JSON types."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild the calibration that `to_state` described."""
        inputs, outputs = (
            tuple(tuple(float(value) for value in corners) for corners in state[name])
            for name in ("inputs", "outputs")
        )
        return cls(inputs, outputs)
