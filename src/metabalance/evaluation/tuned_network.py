"""Plain training with its settings chosen by cross-validation: what a careful user of networks would do."""

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import loguniform
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.model_selection import ParameterSampler, StratifiedKFold
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils.validation import check_is_fitted

from metabalance.encoding.labels import encode_labels
from metabalance.estimators import NeuralClassifier
from metabalance.estimators.groups import named_groups
from metabalance.estimators.losses import SMOOTHED_LOSSES
from metabalance.estimators.prepared import with_rows
from metabalance.estimators.scoring import choose_score, ranking_scorer
from metabalance.estimators.splits import Split

FOLDS = 3
FEWEST_ROWS = 4  # of a class, so that each fold's training part has one to learn from and one to hold out
SETTINGS: dict[str, Any] = {
    "sampler": ["natural", "over", "under"],
    "lr": loguniform(1e-3, 1e-2),
    "weight_decay": loguniform(1e-3, 1e-1),
    "batch_size": [64, 128, 256],
}
SMOOTHING = {"label_smoothing": [0.0, 0.05]}  # of losses that take it
OF_TABLES = {"dropout": [0.0, 0.1, 0.3]}
OF_IMAGES = {"mixing": [None, "mixup"]}


class Tried(NamedTuple):
    """Settings, and their mean score over the folds."""

    params: dict[str, Any]
    score: float


class TunedNetwork(ClassifierMixin, BaseEstimator):
    """The best of eight settings of plain training, the defaults among them, by cross-validated ROC-AUC.

    Where the rarest class has fewer than four rows, nothing is chosen.

    Parameters
    ----------
    network : NeuralClassifier
        What is tuned: sampler, rate, weight decay, batches and, where the loss takes it, label smoothing, of
        tables also dropout, of images mixup. Its ``random_state`` is also that of the draws and folds.
    n_draws : int, default=8

    Attributes
    ----------
    best_params_ : dict
        What was chosen; empty for the defaults.
    tried_ : list of Tried
    best_estimator_ : NeuralClassifier
        Fitted to all rows.
    rows_drawn_ : int
        By all fits.
    classes_, history_, interrupted_
        Those of ``best_estimator_``.
    """

    def __init__(self, network: NeuralClassifier, n_draws: int = 8) -> None:
        self.network = network
        self.n_draws = n_draws

    def check_parameters(self) -> None:
        """Raise ValueError or TypeError for parameters that no data could be fitted with."""
        self.network.check_parameters()

    def fit(self, X: Any, y: Any, balance_by: Any = None) -> Self:
        """Choose settings, and fit them to all rows; arguments are those of the network."""
        X = with_rows(X)
        classes, codes = encode_labels(y)
        groups = None if balance_by is None else named_groups("balance_by", balance_by, len(codes))
        self.rows_drawn_ = 0
        self.tried_: list[Tried] = []
        if np.bincount(codes).min() >= FEWEST_ROWS:
            seed = check_random_state(self.network.random_state).randint(2**31 - 1)
            folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
            splits = list(folds.split(codes, codes))
            draws = ParameterSampler(self._settings(np.ndim(X)), self.n_draws - 1, random_state=seed)
            for params in ({}, *draws):
                score = self._score(params, X, codes, classes, groups, splits)
                self.tried_.append(Tried(params, score))
        best = max(self.tried_, key=lambda tried: tried.score, default=Tried({}, np.nan))
        self.best_params_ = best.params
        self.best_estimator_ = net = self._fitted(best.params, X, classes[codes], groups)
        self.classes_, self.history_, self.interrupted_ = net.classes_, net.history_, net.interrupted_
        return self

    def _settings(self, n_dimensions: int) -> dict[str, Any]:
        """What is drawn from."""
        smoothing = SMOOTHING if self.network.loss in SMOOTHED_LOSSES else {}
        return {**SETTINGS, **smoothing, **(OF_IMAGES if n_dimensions > 2 else OF_TABLES)}

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return class probabilities, shape (n, n_classes)."""
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_.predict_proba(X)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return labels, shape (n,)."""
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_.predict(X)

    def _score(
        self,
        params: dict[str, Any],
        X: Any,
        codes: NDArray[np.int64],
        classes: NDArray[Any],
        groups: NDArray[Any] | None,
        splits: list[Split],
    ) -> float:
        """The mean over the folds; settings that diverge are out, unless they are the defaults."""
        score = choose_score(ranking_scorer(len(classes)), classes, np.bincount(codes))
        found = []
        for train, test in splits:
            own = None if groups is None else groups[train]
            try:
                net = self._fitted(params, _safe_indexing(X, train), classes[codes[train]], own)
            except FloatingPointError:
                if not params:
                    raise
                return -np.inf
            if net.interrupted_:
                raise KeyboardInterrupt
            found.append(score(net.predict_proba(_safe_indexing(X, test)), codes[test]))
        return float(np.mean(found))

    def _fitted(
        self, params: dict[str, Any], X: Any, y: NDArray[Any], groups: NDArray[Any] | None
    ) -> NeuralClassifier:
        net: NeuralClassifier = clone(self.network).set_params(**params)
        net.fit(X, y, groups)
        self.rows_drawn_ += net.rows_drawn_
        return net
