"""What a user would pick instead of a network: the classifiers of the neighbouring libraries.

All get the networks' encoding (one-hot categories, imputed and clipped numbers) and fixed settings: the
boosters could do more with their own handling of categories and missing values, tuning and early stopping.
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
from sklearn.utils.multiclass import unique_labels

from metabalance.estimators.tables import make_encoder


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


@dataclass(frozen=True)
class Rival:
    """A rival's titles and how it is made for a seed."""

    title: str
    description: str
    make: Callable[[int], Any]

    def build(self, shared: Mapping[str, Any], seed: int) -> EncodedClassifier:
        """Return the unfitted rival; the networks' shared options do not concern it."""
        return EncodedClassifier(self.make(seed))


def _lightgbm(seed: int, **options: Any) -> Any:
    try:
        from lightgbm import LGBMClassifier
    except ImportError as error:
        raise ValueError(
            "LightGBM is not installed: pip install 'metabalance[rivals]', or leave the method out"
        ) from error
    return LGBMClassifier(
        n_estimators=300,
        learning_rate=0.03,
        num_leaves=15,
        verbose=-1,
        n_jobs=1,
        random_state=seed,
        **options,
    )


RIVALS: Mapping[str, Rival] = {
    "logistic-regression": Rival(
        "Logistic regression",
        "scikit-learn, C = 1",
        lambda seed: LogisticRegression(max_iter=2000, random_state=seed),
    ),
    "logistic-regression:balanced": Rival(
        "Logistic regression, balanced",
        "scikit-learn, C = 1, classes weighted by inverse frequency",
        lambda seed: LogisticRegression(max_iter=2000, class_weight="balanced", random_state=seed),
    ),
    "hist-gradient-boosting": Rival(
        "Histogram gradient boosting",
        "scikit-learn's defaults, on the networks' encoding",
        lambda seed: HistGradientBoostingClassifier(random_state=seed),
    ),
    "hist-gradient-boosting:balanced": Rival(
        "Histogram gradient boosting, balanced",
        "scikit-learn's defaults, on the networks' encoding, classes weighted",
        lambda seed: HistGradientBoostingClassifier(class_weight="balanced", random_state=seed),
    ),
    "lightgbm": Rival(
        "LightGBM", "300 trees of 15 leaves, learning rate 0.03, on the networks' encoding", _lightgbm
    ),
    "lightgbm:balanced": Rival(
        "LightGBM, balanced",
        "300 trees of 15 leaves, learning rate 0.03, on the networks' encoding, classes weighted",
        lambda seed: _lightgbm(seed, class_weight="balanced"),
    ),
    "balanced-random-forest": Rival(
        "Balanced random forest",
        "imbalanced-learn, 200 trees, each on a balanced bootstrap sample",
        lambda seed: BalancedRandomForestClassifier(
            n_estimators=200, sampling_strategy="all", replacement=True, bootstrap=False, random_state=seed
        ),
    ),
    "easy-ensemble": Rival(
        "Easy ensemble",
        "imbalanced-learn, 10 AdaBoost learners, each on a balanced sample",
        lambda seed: EasyEnsembleClassifier(n_estimators=10, random_state=seed),
    ),
}
