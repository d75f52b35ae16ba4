"""Boosted trees as their users run them: raw numbers with gaps, categories as such, early stopping."""

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import loguniform, randint, uniform
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.model_selection import RandomizedSearchCV, StratifiedKFold
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import unique_labels

from metabalance.encoding.categories import CategoryColumn
from metabalance.encoding.columns import kind_of
from metabalance.encoding.reading import read_numbers
from metabalance.training import stratified_holdout

MAX_CATEGORIES = 200  # scikit-learn's boosting takes up to 255
HELD_OUT = 0.2
PATIENCE = 50


class TreeFrame:
    """Turns a table into what boosting libraries read natively: floats with NaN, and categories.

    Of a column with more than 200 categories the rarer ones share one, which a category not seen in ``fit``
    gets, too; in other columns such a one is a missing value. Arrays of more dimensions are flattened.
    """

    def fit(self, X: Any) -> Self:
        """Learn which columns hold anything, which of these categories, and which."""
        self._categories: dict[int, CategoryColumn] = {}
        self._empty = set()
        for place, label, column in self._columns(X):
            if column.isna().all():
                self._empty.add(place)  # scikit-learn's boosting cannot bin it
            elif kind_of(column, label) is CategoryColumn:
                values = CategoryColumn.read(column, label)
                self._categories[place] = CategoryColumn.fit(values, MAX_CATEGORIES, fewest_rows=1)
        return self

    def transform(self, X: Any) -> pd.DataFrame:
        """Return the table with columns c0, c1, … (LightGBM refuses many a name), categories as numbers."""
        columns = {}
        for place, label, column in self._columns(X):
            if place in self._empty:
                continue
            known = self._categories.get(place)
            if known is None:
                columns[f"c{place}"] = read_numbers(column, label)
            else:
                names = CategoryColumn.read(column, label)
                n = len(known.categories)
                number = {name: number for number, name in enumerate(known.categories)}
                unknown = n if known.other else -1
                numbers = np.array([*(number.get(name, unknown) for name in names.categories), -1])
                codes = numbers[names.codes]  # that of a missing value is -1, the last of these
                columns[f"c{place}"] = pd.Categorical.from_codes(codes, categories=range(n + known.other))
        return pd.DataFrame(columns)

    @staticmethod
    def _columns(X: Any) -> Any:
        frame = X if isinstance(X, pd.DataFrame) else pd.DataFrame(np.asarray(X).reshape(len(X), -1))
        return ((place, str(name), frame.iloc[:, place]) for place, name in enumerate(frame.columns))


class FramedClassifier(ClassifierMixin, BaseEstimator):
    """A classifier of boosted trees behind a `TreeFrame` that is fitted to the same training rows.

    Parameters
    ----------
    classifier : scikit-learn classifier
        Takes data frames with NaN and categorical columns.
    """

    def __init__(self, classifier: Any) -> None:
        self.classifier = classifier

    def fit(self, X: Any, y: Any) -> Self:
        """Fit the frame, then the classifier."""
        self.classes_ = unique_labels(y)
        self.frame_ = TreeFrame().fit(X)
        self.classifier_ = self._fitted(self.frame_.transform(X), np.asarray(y))
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return class probabilities, shape (n, n_classes)."""
        probabilities: NDArray[np.float64] = self.classifier_.predict_proba(self.frame_.transform(X))
        return probabilities

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable class."""
        labels: NDArray[Any] = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return labels

    def _fitted(self, frame: pd.DataFrame, y: NDArray[Any]) -> Any:
        return clone(self.classifier).fit(frame, y)


class EarlyStoppedLightGBM(FramedClassifier):
    """LightGBM with the number of trees chosen on held-out rows, then fitted to all rows with that number.

    A fifth of each class is held out; boosting stops after 50 trees without a lower log-loss on it.

    Parameters
    ----------
    classifier : lightgbm.LGBMClassifier
        With as many trees as are allowed, and a ``random_state``, which the split takes too.
    balanced : bool, default=False
        Weigh rows by inverse class frequency, also where the log-loss is measured.
    """

    def __init__(self, classifier: Any, balanced: bool = False) -> None:
        super().__init__(classifier)
        self.balanced = balanced

    def _fitted(self, frame: pd.DataFrame, y: NDArray[Any]) -> Any:
        from lightgbm import early_stopping  # an optional dependency, which made the classifier

        codes = np.searchsorted(
            self.classes_, y
        )  # LightGBM encodes labels to train on, not those it stops by
        rng = np.random.default_rng(self.classifier.random_state)
        train, valid = stratified_holdout(codes, HELD_OUT, rng, self.classes_)
        weights = compute_sample_weight("balanced", y) if self.balanced else np.ones(len(y))
        probe = clone(self.classifier).fit(
            frame.iloc[train],
            codes[train],
            sample_weight=weights[train],
            eval_X=frame.iloc[valid],
            eval_y=codes[valid],
            eval_sample_weight=[weights[valid]],
            callbacks=[early_stopping(PATIENCE, verbose=False)],
        )
        self.n_trees_ = max(1, int(probe.best_iteration_))
        chosen = clone(self.classifier).set_params(n_estimators=self.n_trees_)
        return chosen.fit(frame, codes, sample_weight=weights)


def tuned_settings(n_rows: int) -> dict[str, Any]:
    """Return what the settings of LightGBM are drawn from; a leaf may need a seventh of the rows at most."""
    settings = {
        "num_leaves": randint(4, 64),
        "learning_rate": loguniform(0.01, 0.2),
        "min_child_samples": randint(1, 2) if n_rows < 42 else randint(5, min(100, n_rows // 7)),
        "reg_lambda": loguniform(1e-3, 10),
        "colsample_bytree": uniform(0.5, 0.5),
        "subsample": uniform(0.5, 0.5),
        "subsample_freq": [1],
    }
    return {f"classifier__{name}": choice for name, choice in settings.items()}


class TunedLightGBM(FramedClassifier):
    """`EarlyStoppedLightGBM` with its other parameters chosen at random, by cross-validated log-loss.

    Eight draws and three folds take one to two times as long as one of our networks. Where the rarest class
    has fewer than three rows, nothing is chosen.

    Parameters
    ----------
    classifier : lightgbm.LGBMClassifier
        As for `EarlyStoppedLightGBM`.
    n_draws : int, default=8
    """

    def __init__(self, classifier: Any, n_draws: int = 8) -> None:
        super().__init__(classifier)
        self.n_draws = n_draws

    def _fitted(self, frame: pd.DataFrame, y: NDArray[Any]) -> Any:
        model = EarlyStoppedLightGBM(self.classifier)
        if np.unique(y, return_counts=True)[1].min() < 3:
            return model.fit(frame, y)
        seed = self.classifier.random_state
        search = RandomizedSearchCV(
            model,
            tuned_settings(len(y)),
            n_iter=self.n_draws,
            cv=StratifiedKFold(3, shuffle=True, random_state=seed),
            scoring="neg_log_loss",
            random_state=seed,
            error_score="raise",
        )
        return search.fit(frame, y)
