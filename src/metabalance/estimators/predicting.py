"""A fitted network as scikit-learn knows classifiers: probabilities, labels, embeddings."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from metabalance.estimators.free_parameters import FreeParameters
from metabalance.estimators.outputs import Output
from metabalance.training import embed_rows, predict_probabilities


class PredictingNetwork(FreeParameters, ClassifierMixin, BaseEstimator):
    """What a classifier does once its fit has set these attributes."""

    module_: nn.Module
    adapted_parameters_: dict[str, Tensor] | None
    calibrations_: dict[str, Output | None]

    def _predicts_adapted(self, module: nn.Module, n_dimensions: int) -> bool:
        """Whether predictions of rows with so many dimensions (and early stopping) use θ'."""
        return False

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return class probabilities, shape (n_rows, n_classes), columns in the order of ``classes_``.

        They are risks: calibrated on held-out rows, and those of data in which classes are as frequent as
        ``prior`` says, by default as in `fit`. Uncalibrated ones (``calibration=None``, or nothing held out)
        speak of whatever the sampling and the loss made of the class frequencies.
        """
        return self.calibrate(self.predict_uncalibrated(X))

    def predict_uncalibrated(self, X: Any) -> NDArray[np.float64]:
        """Return what the network itself says, at whatever class frequencies, shape (n_rows, n_classes)."""
        check_is_fitted(self)
        x = torch.from_numpy(self.encoder_.transform(X)).to(self.device_)
        adapted = self.adapted_parameters_ if self._now_predicts_adapted else None
        return predict_probabilities(self.module_, x, adapted)

    def calibrate(self, probabilities: Any) -> NDArray[np.float64]:
        """Return what `predict_proba` makes of what the network itself says, shape (n_rows, n_classes)."""
        probabilities, output = self._checked(probabilities), self._now_made_of_outputs
        return probabilities if output is None else output(probabilities)

    def _checked(self, probabilities: Any) -> NDArray[np.float64]:
        """Return probabilities as an array, or raise ValueError if they are none of these classes."""
        check_is_fitted(self)
        array = np.asarray(probabilities, dtype=np.float64)
        if array.ndim != 2 or array.shape[1] != len(self.classes_) or np.isnan(array).any():
            raise ValueError(
                f"probabilities must be numbers of shape (n_rows, {len(self.classes_)}), a column for each "
                f"of classes_, as predict_proba returns them; got shape {array.shape}"
                f"{' with NaN' if np.isnan(array).any() else ''}"
            )
        return array

    @property
    def _now_made_of_outputs(self) -> Output | None:
        return self.calibrations_["adapted" if self._now_predicts_adapted else "meta"]

    @property
    def _now_predicts_adapted(self) -> bool:
        return self._predicts_adapted(self.module_, 1 + len(self.input_shape_))

    def decide(self, probabilities: Any) -> NDArray[Any]:
        """Return the label that `predict` makes of each row of `predict_proba`, shape (n_rows,)."""
        probabilities, output = self._checked(probabilities), self._now_made_of_outputs
        codes = probabilities.argmax(axis=1) if output is None else output.decide(probabilities)
        labels: NDArray[Any] = self.classes_[codes]
        return labels

    def embed(self, X: Any) -> NDArray[np.float32]:
        """Return what the network's last layer sees of rows X, of length 1 each, shape (n_rows, d).

        It is that of the parameters that predict. The default network of images can say it, and so can a
        module of your own that has a method ``embed``; see also `FaceEmbedder`.

        Raises
        ------
        TypeError
            If the network has no such method.
        """
        check_is_fitted(self)
        x = torch.from_numpy(self.encoder_.transform(X)).to(self.device_)
        adapted = self.adapted_parameters_ if self._now_predicts_adapted else None
        return embed_rows(self.module_, x, adapted)

    def export_onnx(self, path: str | os.PathLike[str]) -> Path:
        """Write the fitted classifier as an ONNX file, for programs without Python or torch; return its path.

        One graph holds everything from the columns to the label: encoder, network, calibration and decision.
        Its outputs are ``label``, of shape (rows,), and ``probabilities``, float64 of shape (rows,
        n_classes), those of `predict_proba` up to rounding. Its inputs:

        - of a data frame, each column that the network uses, by name and of shape (rows, 1): float64 for
          numbers and booleans (NaN if missing), strings for categories ("" if missing; other things than text
          as Python prints them, ``"True"`` or ``"0.5"``, and whole numbers without a point);
        - of an array of numbers, ``X``, float64 of shape (rows, n_features); of one that holds texts,
          ``column_0``, ``column_1``, … as for a data frame; a data frame whose names are no texts counts as
          an array;
        - of images and sequences, ``X``, of shape (rows, …) and the type that they had in `fit`.

        Rows are not checked as `predict_proba` does it: an infinite number, say, counts as a very large one.

        Parameters
        ----------
        path : path-like
            File to write, usually ``*.onnx``.

        Raises
        ------
        ImportError
            If the packages of the extra are missing: ``pip install 'metabalance[onnx]'``.
        ValueError
            If the network (a ``module`` of your own) cannot be exported, a column is named as an output is,
            or the file cannot be written.
        """
        check_is_fitted(self)
        try:
            from metabalance.export.onnx_files import write_onnx  # an optional dependency
        except ModuleNotFoundError as error:
            if error.name not in ("onnx", "onnxscript"):
                raise
            raise ImportError(
                f"export_onnx needs {error.name}, which is not installed: pip install 'metabalance[onnx]'"
            ) from error
        return write_onnx(
            path,
            encoder=self.encoder_,
            network=self.module_,
            parameters=self.adapted_parameters_ if self._now_predicts_adapted else None,
            output=self._now_made_of_outputs,
            classes=self.classes_,
        )

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the label of each row that ``decision`` chooses, shape (n_rows,).

        By default a miss of any class counts alike, whatever its size, so that a rare class is predicted
        where a row speaks more for it than for the others: not where its probability is the largest.
        """
        return self.decide(self.predict_proba(X))

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that missing values are welcome."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def set_fitted_input(
        self, encoder: Any, classes: NDArray[Any], input_shape: tuple[int, ...], device: torch.device
    ) -> None:
        """Set the fitted attributes that describe the input and the classes."""
        self.encoder_ = encoder
        self.classes_ = classes
        self.input_shape_ = input_shape
        self.device_ = device
        self.n_features_in_ = encoder.n_features_in_
        if "feature_names_in_" in vars(self):
            delattr(self, "feature_names_in_")  # of an earlier fit
        if encoder.feature_names_in_ is not None:
            self.feature_names_in_ = np.asarray(encoder.feature_names_in_, dtype=object)
