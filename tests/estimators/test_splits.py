import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from metabalance.estimators.splits import make_splits

CODES = np.repeat([0, 1], [30, 10])


def splits(cv) -> list:
    return make_splits(cv, np.zeros((40, 1)), CODES, ["usual", "rare"], 7)


def test_a_number_means_stratified_shuffled_folds() -> None:
    expected = StratifiedKFold(5, shuffle=True, random_state=7).split(np.zeros((40, 1)), CODES)
    for (train, test), (same_train, same_test) in zip(splits(np.int64(5)), expected, strict=True):
        assert train.tolist() == same_train.tolist()
        assert test.tolist() == same_test.tolist()


def test_masks_are_row_numbers() -> None:
    mask = np.arange(40) < 25
    ((train, test),) = splits([(mask, ~mask)])
    assert train.tolist() == list(range(25))
    assert test.tolist() == list(range(25, 40))


def test_more_folds_than_rare_rows() -> None:
    with pytest.raises(ValueError, match="at most the 10 rows of the rarest class 'rare'"):
        splits(11)


def test_the_rarest_class_is_named_wherever_it_stands() -> None:
    with pytest.raises(ValueError, match="at most the 10 rows of the rarest class 'rare'"):
        make_splits(11, np.zeros((40, 1)), 1 - CODES, ["rare", "usual"], 0)
