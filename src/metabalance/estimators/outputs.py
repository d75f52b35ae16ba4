"""From what a network says to probabilities that can be taken at their word, and to decisions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from metabalance.encoding.labels import positive_code
from metabalance.estimators.calibration import Calibration
from metabalance.estimators.decisions import check_decision, log_weights
from metabalance.estimators.in_words import in_words
from metabalance.estimators.isotonic import IsotonicCalibration
from metabalance.estimators.parameters import check_choice
from metabalance.estimators.priors import check_prior, frequencies

KINDS = ("auto", "temperature", "prior", "isotonic")
CALIBRATIONS: Mapping[str, type[Calibration | IsotonicCalibration]] = {
    "temperature": Calibration,
    "isotonic": IsotonicCalibration,
}
SMALLEST_DECIDED = 1e-300  # whose logarithm is finite
TIE_DECIMALS = 9  # beyond which logarithms count as equal: the steps of isotonic ones do end on a tie


@dataclass(frozen=True)
class Output:
    """What held-out rows say about a network's outputs.

    Parameters
    ----------
    calibration : Calibration or IsotonicCalibration
        Turns outputs into probabilities at the frequencies of training.
    ratio : tuple of float
        Frequencies where predictions are used over those of training, one for each class.
    log_weights : tuple of float
        What is added to the logarithms of probabilities before the largest is taken.
    """

    calibration: Calibration | IsotonicCalibration
    ratio: tuple[float, ...]
    log_weights: tuple[float, ...]

    @classmethod
    def fit(
        cls,
        outputs: NDArray[np.float64],
        codes: NDArray[np.int64],
        *,
        classes: NDArray[Any],
        counts: NDArray[np.float64],
        kind: str,
        prior: Any,
        decision: Any,
        aim: NDArray[np.float64],
    ) -> Self:
        """Fit to held-out rows.

        Parameters
        ----------
        outputs : array of shape (n, K)
            What the network says of rows that were not trained on.
        codes : array of int, shape (n,)
            Every class occurs.
        classes, counts : arrays of shape (K,)
            Labels, and rows of each in all the data.
        kind, prior, decision
            The estimator's ``calibration``, ``prior`` and ``decision``.
        aim : array of shape (K,)
            Frequencies that the decision "auto" is for.
        """
        calibration: Calibration | IsotonicCalibration
        if kind == "isotonic":
            calibration = IsotonicCalibration.fit(outputs, codes, counts)
        else:
            calibration = Calibration.fit(outputs, codes, counts, scaled=kind != "prior")
        used = frequencies(prior, classes, counts)
        ratio = (used / used.sum()) / (counts / counts.sum())
        fitted = cls(calibration, tuple(ratio.tolist()), (0.0,) * len(classes))
        weights = log_weights(decision, fitted(outputs), codes, used, aim, positive_code(counts))
        return cls(calibration, fitted.ratio, tuple(weights.tolist()))

    def __call__(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probabilities of rows, shape (n, K)."""
        moved = self.calibration(outputs) * np.array(self.ratio)
        probabilities: NDArray[np.float64] = moved / moved.sum(axis=1, keepdims=True)
        return probabilities

    def decide(self, probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the code of the class that is predicted, shape (n,)."""
        logs = np.log(np.maximum(probabilities, SMALLEST_DECIDED)) + np.array(self.log_weights)
        chosen: NDArray[np.int64] = np.round(logs, TIE_DECIMALS).argmax(axis=1)
        return chosen

    @property
    def threshold(self) -> float | None:
        """Of two classes, the probability of the second one above which it is predicted; None for more."""
        if len(self.log_weights) != 2:
            return None
        return float(expit(self.log_weights[0] - self.log_weights[1]))

    def suits(self, n_classes: int) -> bool:
        """Whether it is one for so many classes, of finite numbers."""
        numbers = [*self.ratio, *self.log_weights]
        sizes = {len(self.ratio), len(self.log_weights)} == {n_classes}
        finite = bool(np.isfinite(numbers).all()) and min(self.ratio) > 0
        return sizes and finite and self.calibration.suits(n_classes)

    def to_state(self) -> dict[str, Any]:
        """Everything that `from_state` needs, in plain JSON types."""
        kind = next(name for name, known in CALIBRATIONS.items() if isinstance(self.calibration, known))
        return {
            "kind": kind,
            "calibration": self.calibration.to_state(),
            "ratio": list(self.ratio),
            "log_weights": list(self.log_weights),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild what `to_state` described."""
        calibration = CALIBRATIONS[state["kind"]].from_state(state["calibration"])
        ratio, weights = (tuple(float(value) for value in state[name]) for name in ("ratio", "log_weights"))
        return cls(calibration, ratio, weights)


def check_output_parameters(calibration: Any, prior: Any, decision: Any, holds_out: bool) -> None:
    """Check what is to be made of the outputs.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range, or asks for held-out rows where there are none.
    """
    if calibration is not None:
        check_choice("calibration", calibration, (*KINDS, None))
    check_prior(prior)
    check_decision(decision)
    if calibration is not None and holds_out:
        return
    reason = "early_stopping=False" if not holds_out else "calibration=None"
    for name, value, plain in (
        ("calibration", calibration, ("auto", None)),
        ("prior", prior, ("training",)),
        ("decision", decision, ("auto", "most_probable")),
    ):
        if value not in plain:
            raise ValueError(
                f"{name}={value!r} needs probabilities calibrated on held-out rows, which {reason} does not "
                f"leave: set early_stopping and calibration, or leave {name} as it is by default"
            )


def outputs_in_words(estimator: Any) -> dict[str, str]:
    """Return the parameters that `Output.fit` was given, to tell whether they have been changed since."""
    return {name: in_words(getattr(estimator, name)) for name in ("calibration", "prior", "decision")}
