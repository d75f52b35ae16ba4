"""SMOTE for pools of millions of rows: what imbalanced-learn's gives, written straight into place."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_random_state

ROWS_AT_ONCE = 8192


class SMOTE(BaseEstimator):  # type: ignore[misc]
    """Grow every class to the size of the largest by rows on the lines between neighbours of the same class.

    The rows are, bit for bit, those of ``imblearn.over_sampling.SMOTE``. That one holds the new rows several
    times over while it makes them, for the most part in float64; this one needs little more than the result.

    Parameters
    ----------
    k_neighbors : int, default=5
    random_state : int or None, default=None

    References
    ----------
    Chawla et al. (2002), SMOTE: Synthetic Minority Over-sampling Technique, JAIR 16.

    Examples
    --------
    >>> import numpy as np
    >>> X, y = np.random.default_rng(0).normal(size=(50, 2)), np.repeat([0, 1], [40, 10])
    >>> X_new, y_new = SMOTE(random_state=0).fit_resample(X, y)
    >>> X_new.shape, np.bincount(y_new)
    ((80, 2), array([40, 40]))
    """

    def __init__(self, *, k_neighbors: int = 5, random_state: int | None = None) -> None:
        self.k_neighbors = k_neighbors
        self.random_state = random_state

    def fit_resample(self, X: NDArray[Any], y: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Return the given rows and, behind them, the new ones of each class.

        Parameters
        ----------
        X : array of float, shape (n, features)
            Finite, with more than ``k_neighbors`` rows in every class but the largest.
        y : array of int, shape (n,)

        Raises
        ------
        ValueError
            If a class has too few rows for its neighbours.
        """
        labels, counts = np.unique(y, return_counts=True)
        largest = counts.max()
        for label, count in zip(labels, counts, strict=True):
            if count <= self.k_neighbors and count < largest:
                raise ValueError(
                    f"class {label} has {count} rows, too few for k_neighbors={self.k_neighbors}: "
                    f"SMOTE needs {self.k_neighbors + 1} rows in each class that it grows; use fewer"
                )
        X_new = np.empty((len(labels) * largest, X.shape[1]), X.dtype)
        y_new = np.empty(len(X_new), y.dtype)
        X_new[: len(X)], y_new[: len(X)] = X, y
        start = len(X)
        for label, missing in zip(labels, largest - counts, strict=True):
            if missing:
                place = slice(start, start + missing)
                self._fill(X[y == label], X_new[place])
                y_new[place] = label
                start = place.stop
        return X_new, y_new

    def _fill(self, rows: NDArray[Any], out: NDArray[Any]) -> None:
        """Write new rows made from the given ones of a class into ``out``."""
        search = NearestNeighbors(n_neighbors=self.k_neighbors + 1).fit(rows)
        neighbours = search.kneighbors(rows, return_distance=False)[:, 1:]
        random = check_random_state(self.random_state)
        pairs = random.randint(neighbours.size, size=len(out))
        for start in range(0, len(out), ROWS_AT_ONCE):
            row, neighbour = np.divmod(pairs[start : start + ROWS_AT_ONCE], self.k_neighbors)
            base = rows[row]
            step = random.uniform(size=(len(row), 1))
            out[start : start + ROWS_AT_ONCE] = base + step * (rows[neighbours[row, neighbour]] - base)
