"""Probabilities that held-out rows bear out, at the class frequencies that are asked for."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

MOST_ROWS = 20_000  # of a class that are fitted to: more would change next to nothing
PSEUDO_ROWS = 3.0  # that speak for leaving a class as it is
SMALLEST = 1e-12  # probability of which a logarithm is taken


@dataclass(frozen=True)
class Calibration:
    r"""Turns probabilities p into :math:`\mathrm{softmax}(a \log p + b)`.

    That is temperature scaling with a bias for each class [1]_. For two classes the ranking of the rows stays
    as it is; for more it may change.

    Parameters
    ----------
    scale : float
        a, above 0.
    shift : tuple of float
        b, one for each class.

    References
    ----------
    .. [1] Guo, Pleiss, Sun, Weinberger. On Calibration of Modern Neural Networks. ICML 2017, section 4.2.
    """

    scale: float
    shift: tuple[float, ...]

    @classmethod
    def fit(
        cls,
        probabilities: NDArray[np.float64],
        codes: NDArray[np.int64],
        prior: NDArray[np.float64],
        scaled: bool = True,
    ) -> Self:
        """Fit scale and shift to held-out rows by their cross-entropy, each class weighing as the prior says.

        Parameters
        ----------
        probabilities : array of shape (n, K)
            Of rows that were not trained on; of a class with more than 20,000, every so many are taken.
        codes : array of int, shape (n,)
            Every class occurs.
        prior : array of shape (K,)
            Frequencies of the classes that the probabilities are to speak of; only ratios matter.
        scaled : bool, default=True
            Whether the scale is fitted, too, or stays 1.
        """
        n_classes = probabilities.shape[1]
        fitted_to = np.concatenate([_evenly(np.flatnonzero(codes == code)) for code in range(n_classes)])
        probabilities, codes = probabilities[fitted_to], codes[fitted_to]
        counts = np.bincount(codes, minlength=n_classes)
        weights = np.maximum(prior / prior.sum(), SMALLEST)
        of_rows = (weights / counts)[codes]
        logs = _logs(probabilities)
        # Few rows must not move a class far: each class's penalty is that of so many rows of its own.
        stiffness = PSEUDO_ROWS * weights / counts

        def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            scale, shift = np.exp(parameters[0]), parameters[1:]
            log_p = log_softmax(scale * logs + shift, axis=1)
            slopes = of_rows[:, None] * np.exp(log_p)
            slopes[np.arange(len(codes)), codes] -= of_rows
            value = -(of_rows * log_p[np.arange(len(codes)), codes]).sum()
            penalty = 0.5 * (stiffness @ shift**2 + stiffness.max() * parameters[0] ** 2)
            gradient = np.concatenate(
                [
                    [scale * (slopes * logs).sum() + stiffness.max() * parameters[0]],
                    slopes.sum(axis=0) + stiffness * shift,
                ]
            )
            return float(value + penalty), gradient

        found = minimize(
            loss,
            np.zeros(1 + n_classes),
            jac=True,
            method="L-BFGS-B",
            bounds=[(-3, 3) if scaled else (0, 0)] + [(None, None)] * n_classes,
        )
        return cls(float(np.exp(found.x[0])), tuple(found.x[1:].tolist()))

    def __call__(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the calibrated probabilities of rows, shape (n, K)."""
        calibrated: NDArray[np.float64] = softmax(
            self.scale * _logs(probabilities) + np.asarray(self.shift), axis=1
        )
        return calibrated

    def suits(self, n_classes: int) -> bool:
        """Whether it is one for so many classes, of finite numbers."""
        finite = bool(np.isfinite([self.scale, *self.shift]).all())
        return finite and self.scale > 0 and len(self.shift) == n_classes

    def to_state(self) -> dict[str, Any]:
        """Everything that `from_state` needs, in plain JSON types."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild the calibration that `to_state` described."""
        return cls(float(state["scale"]), tuple(float(value) for value in state["shift"]))


def refinement(probabilities: NDArray[np.float64], codes: NDArray[np.int64]) -> float:
    """Score of held-out probabilities, higher is better: minus their cross-entropy once calibrated [1]_.

    How sure a network is of itself, and of which class frequencies it speaks, changes from epoch to epoch and
    is mended after training: what it knows of the rows is what decides which epoch is the best. Classes weigh
    as the square roots of their sizes, half-way between all rows alike, where rare classes hardly count, and
    all classes alike, where a handful of rare rows decides.

    References
    ----------
    .. [1] Berta, Holzmüller, Jordan, Bach. Rethinking Early Stopping: Refine, Then Calibrate. 2025,
       arXiv:2501.19195.
    """
    counts = np.bincount(codes)
    calibrated = Calibration.fit(probabilities, codes, counts.astype(float))(probabilities)
    of_rows = 1 / np.sqrt(counts)[codes]
    return float(np.average(_logs(calibrated[np.arange(len(codes)), codes]), weights=of_rows))


def _evenly(rows: NDArray[np.intp]) -> NDArray[np.intp]:
    return rows[:: -(-len(rows) // MOST_ROWS)]


def _logs(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(np.maximum(probabilities, SMALLEST))
