"""What a user would pick instead of a network: the classifiers of the neighbouring libraries.

Boosted trees see categories and gaps as they are, the others the networks' encoding (one-hot categories,
imputed and clipped numbers). LightGBM chooses its number of trees (and, tuned, its other settings) and
logistic regression its C inside the training part; the rest are fixed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from imblearn.ensemble import BalancedRandomForestClassifier, EasyEnsembleClassifier
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.utils.multiclass import unique_labels

from metabalance.encoding.tables import make_encoder
from metabalance.evaluation.boosting import EarlyStoppedLightGBM, FramedClassifier, TunedLightGBM
from metabalance.evaluation.posthoc import correct_prior


class EncodedClassifier(ClassifierMixin, BaseEstimator):
    """A classifier behind the encoding that the networks get, fitted on the same training rows only.

    Parameters
    ----------
    classifier : scikit-learn classifier
        Takes float arrays of shape (n, features); images are flattened for it.
    """

    def __init__(self, classifier: Any) -> None:
        self.classifier = classifier

    def fit(self, X: Any, y: Any) -> Self:
        """Fit the encoding, then the classifier."""
        self.classes_ = unique_labels(y)
        self.encoder_ = make_encoder(X).fit(X)
        self.classifier_ = clone(self.classifier).fit(self._encode(X), y)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return class probabilities, shape (n, n_classes)."""
        probabilities: NDArray[np.float64] = self.classifier_.predict_proba(self._encode(X))
        return probabilities

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable class."""
        labels: NDArray[Any] = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return labels

    def _encode(self, X: Any) -> NDArray[np.float32]:
        encoded: NDArray[np.float32] = self.encoder_.transform(X)
        return encoded.reshape(len(encoded), -1)


class TunedLogisticRegression(ClassifierMixin, BaseEstimator):
    """Logistic regression with C chosen among 0.001 … 100 by cross-validated ROC-AUC.

    There are five folds, or as many as the rarest class has rows; with a single one C stays 1.

    Parameters
    ----------
    class_weight : "balanced" or None
    random_state : int
        Seed of the folds.
    """

    def __init__(self, class_weight: str | None = None, random_state: int = 0) -> None:
        self.class_weight = class_weight
        self.random_state = random_state

    def fit(self, X: NDArray[np.float32], y: Any) -> Self:
        """Choose C, then fit to all rows."""
        self.classes_, counts = np.unique(y, return_counts=True)
        model = LogisticRegression(max_iter=2000, class_weight=self.class_weight)
        folds = min(5, int(counts.min()))
        if folds > 1:
            cv = StratifiedKFold(folds, shuffle=True, random_state=self.random_state)
            scoring = "roc_auc" if len(counts) == 2 else "roc_auc_ovr"
            model = GridSearchCV(model, {"C": np.logspace(-3, 2, 6)}, cv=cv, scoring=scoring)
        self.model_ = model.fit(X, y)
        return self

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return class probabilities, shape (n, n_classes)."""
        probabilities: NDArray[np.float64] = self.model_.predict_proba(X)
        return probabilities

    def predict(self, X: NDArray[np.float32]) -> NDArray[Any]:
        """Return the most probable class."""
        labels: NDArray[Any] = self.model_.predict(X)
        return labels


@dataclass(frozen=True)
class Rival:
    """A rival's titles, how it is made, and what its probabilities go through.

    ``build`` takes the networks' shared options, which do not concern it, and a seed. Rivals that are made by
    the same function are fitted once for all of them.
    """

    title: str
    description: str
    build: Callable[[Mapping[str, Any], int], BaseEstimator]
    post_hoc: Callable[..., Any] | None = None


def _lightgbm(shared: Mapping[str, Any], seed: int, **options: Any) -> BaseEstimator:
    return EarlyStoppedLightGBM(_lightgbm_classifier(seed), **options)


def _tuned_lightgbm(shared: Mapping[str, Any], seed: int) -> BaseEstimator:
    return TunedLightGBM(_lightgbm_classifier(seed))


def _lightgbm_classifier(seed: int) -> Any:
    try:
        from lightgbm import LGBMClassifier
    except ImportError as error:
        raise ValueError(
            "LightGBM is not installed: pip install 'metabalance[rivals]', or leave the method out"
        ) from error
    return LGBMClassifier(
        n_estimators=2000, learning_rate=0.03, num_leaves=15, verbose=-1, n_jobs=1, random_state=seed
    )


def _histogram(shared: Mapping[str, Any], seed: int, **options: Any) -> BaseEstimator:
    return FramedClassifier(
        HistGradientBoostingClassifier(
            categorical_features="from_dtype", early_stopping=True, random_state=seed, **options
        )
    )


def _logistic(shared: Mapping[str, Any], seed: int, **options: Any) -> BaseEstimator:
    return EncodedClassifier(TunedLogisticRegression(random_state=seed, **options))


RIVALS: Mapping[str, Rival] = {
    "logistic-regression": Rival(
        "Logistic regression", "scikit-learn, C by cross-validation, on the networks' encoding", _logistic
    ),
    "logistic-regression:balanced": Rival(
        "Logistic regression, balanced",
        "scikit-learn, C by cross-validation, on the networks' encoding, classes weighted",
        lambda shared, seed: _logistic(shared, seed, class_weight="balanced"),
    ),
    "hist-gradient-boosting": Rival(
        "Histogram gradient boosting",
        "scikit-learn's defaults with early stopping, its own handling of categories",
        _histogram,
    ),
    "hist-gradient-boosting:balanced": Rival(
        "Histogram gradient boosting, balanced",
        "scikit-learn's defaults with early stopping, its own handling of categories, classes weighted",
        lambda shared, seed: _histogram(shared, seed, class_weight="balanced"),
    ),
    "lightgbm": Rival(
        "LightGBM",
        "trees of 15 leaves, rate 0.03, their number by early stopping, its own handling of categories",
        _lightgbm,
    ),
    "lightgbm:prior-corrected": Rival(
        "LightGBM, prior correction",
        "as LightGBM, its probabilities divided by the training frequencies (Saerens et al. 2002), so that "
        "its decisions, too, are for classes of equal frequency",
        _lightgbm,
        correct_prior,
    ),
    "lightgbm:balanced": Rival(
        "LightGBM, balanced",
        "as LightGBM, classes weighted",
        lambda shared, seed: _lightgbm(shared, seed, balanced=True),
    ),
    "lightgbm:tuned": Rival(
        "LightGBM, tuned",
        "the best of eight random settings by cross-validated log-loss, its number of trees by early "
        "stopping",
        _tuned_lightgbm,
    ),
    "lightgbm:tuned-prior-corrected": Rival(
        "LightGBM, tuned, prior correction",
        "as LightGBM, tuned, its probabilities divided by the training frequencies",
        _tuned_lightgbm,
        correct_prior,
    ),
    "balanced-random-forest": Rival(
        "Balanced random forest",
        "imbalanced-learn, 200 trees, each on a balanced bootstrap sample",
        lambda shared, seed: EncodedClassifier(
            BalancedRandomForestClassifier(
                n_estimators=200,
                sampling_strategy="all",
                replacement=True,
                bootstrap=False,
                random_state=seed,
            )
        ),
    ),
    "easy-ensemble": Rival(
        "Easy ensemble",
        "imbalanced-learn, 10 AdaBoost learners, each on a balanced sample",
        lambda shared, seed: EncodedClassifier(EasyEnsembleClassifier(n_estimators=10, random_state=seed)),
    ),
}
