"""Cross-validation that makes the training part imbalanced and leaves the test part as it is."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from metabalance.datasets.imbalance import (
    Indices,
    RandomState,
    checked_count,
    checked_labels,
    one_majority,
    shown,
)


class OneMajoritySplit:
    """Cross-validation with one majority class in training and a test part left as it is.

    Every split first puts a stratified ``test_size`` of the rows aside for testing. From the rest it keeps
    one majority class whole and ``minority_count`` rows of every other class for training; the remaining rows
    are not used. The majority is another class in each split, in the order of the sorted labels, starting
    over when there are more splits than classes. This is the severe recipe of Bansal et al. (2021), Section
    5, in small: training data with one majority, testing on balanced data.

    Parameters
    ----------
    n_splits : int, default=5
        Number of splits.
    minority_count : int, default=5
        Training rows of each class other than the majority.
    test_size : float, default=0.5
        Share of all rows used for testing, between 0 and 1.
    random_state : int, numpy.random.Generator or None, default=0
        With an integer every call of ``split`` gives the same rows.

    Examples
    --------
    >>> import numpy as np
    >>> from metabalance.datasets import OneMajoritySplit
    >>> y = np.repeat([0, 1], 40)
    >>> for train, test in OneMajoritySplit(n_splits=2).split(np.zeros((80, 1)), y):
    ...     print(np.bincount(y[train]), np.bincount(y[test]))
    [20  5] [20 20]
    [ 5 20] [20 20]
    """

    def __init__(
        self,
        n_splits: int = 5,
        *,
        minority_count: int = 5,
        test_size: float = 0.5,
        random_state: RandomState = 0,
    ) -> None:
        self.n_splits = checked_count("n_splits", n_splits)
        self.minority_count = checked_count("minority_count", minority_count)
        if not 0.0 < test_size < 1.0:
            raise ValueError(f"test_size={test_size!r} must lie between 0 and 1, both excluded")
        self.test_size = test_size
        self.random_state = random_state

    def __repr__(self) -> str:
        return (
            f"OneMajoritySplit(n_splits={self.n_splits}, minority_count={self.minority_count}, "
            f"test_size={self.test_size}, random_state={self.random_state})"
        )

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of splits; the arguments are scikit-learn's and not used."""
        return self.n_splits

    def split(self, X: Any, y: Any, groups: Any = None) -> Iterator[tuple[Indices, Indices]]:
        """Yield the training and the test rows of each split, both ascending; X and groups are not used.

        Raises
        ------
        ValueError
            A single class, or too few rows of a class for both parts.
        """
        rng = np.random.default_rng(self.random_state)
        labels = checked_labels(y)
        classes = np.unique(labels)
        if len(classes) == 1:
            raise ValueError(f"every label is {shown(classes[0])}: at least two classes are needed")
        for index in range(self.n_splits):
            rest, test = train_test_split(
                np.arange(len(labels)),
                test_size=self.test_size,
                stratify=labels,
                random_state=int(rng.integers(2**31)),
            )
            rest.sort()
            majority = classes[index % len(classes)]
            train = rest[one_majority(labels[rest], majority, self.minority_count, rng)]
            yield train, np.sort(test)
