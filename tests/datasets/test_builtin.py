"""What ships built in: known shapes and counts."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits

from metabalance.datasets import BUILTIN, OneMajoritySplit, load_builtin


@pytest.mark.parametrize("name", BUILTIN)
def test_every_data_set_describes_itself(name: str) -> None:
    data = load_builtin(name)
    assert data.name == name
    assert len(data.X) == len(data.y)
    assert data.title
    assert "CC BY 4.0" in data.description


def test_digits_severe() -> None:
    data = load_builtin("digits-severe")
    assert data.X.shape == (1797, 64)
    assert data.X.dtype == np.float32
    np.testing.assert_array_equal(data.X, load_digits().data)
    assert isinstance(data.cv, OneMajoritySplit)
    for majority, (train, test) in enumerate(data.cv.split(data.X, data.y)):
        train_counts = np.bincount(data.y[train])
        assert train_counts.argmax() == majority
        assert sorted(train_counts)[:9] == [5] * 9
        assert train_counts[majority] >= 85
        assert np.bincount(data.y[test]).min() >= 86


def test_breast_cancer_rare() -> None:
    data = load_builtin("breast-cancer-rare")
    assert data.cv is None
    assert data.X.shape == (376, 30)
    assert (data.y == "benign").sum() == 357
    assert (data.y == "malignant").sum() == 19
    again = load_builtin("breast-cancer-rare")
    assert again.X.equals(data.X)
    # Labels belong to the right rows: scikit-learn's own lookup of the same measurements agrees.
    original = load_breast_cancer()
    label_of = {row.tobytes(): label for row, label in zip(original.data, original.target, strict=True)}
    looked_up = [original.target_names[label_of[row.tobytes()]] for row in data.X.to_numpy()]
    assert data.y.tolist() == looked_up


def test_unknown_names() -> None:
    with pytest.raises(ValueError, match=r"'digit-severe': there are .*; did you mean 'digits-severe'"):
        load_builtin("digit-severe")
    with pytest.raises(ValueError, match=r"there are digits-severe, breast-cancer-rare$"):
        load_builtin("qqq")
