"""Rows that are not this library's networks: logistic regression and LightGBM on the same training rows."""

from collections.abc import Callable
from typing import Any

from lightgbm import LGBMClassifier
from sklearn.linear_model import LogisticRegression

from paper.curves import Curve, roc_auc
from paper.protocols import Split

RIVALS: dict[str, Callable[[int], Any]] = {
    "logistic-regression": lambda seed: LogisticRegression(max_iter=2000),
    "lightgbm": lambda seed: LGBMClassifier(
        n_estimators=300, learning_rate=0.03, num_leaves=15, random_state=seed, n_jobs=1, verbose=-1
    ),
}


def train_rival(name: str, split: Split, seed: int) -> Curve:
    """Fit on the training rows and score; a rival has one "epoch"."""
    classifier = RIVALS[name](seed).fit(split.train.x.numpy(), split.train.y)
    curve = Curve()
    if split.valid is not None:
        curve.valid.append(roc_auc(classifier.predict_proba(split.valid.x.numpy())[:, 1], split.valid.y))
    curve.test.append(roc_auc(classifier.predict_proba(split.test.x.numpy())[:, 1], split.test.y))
    return curve
