"""What a sampler of the user's may return, and what is said of anything else."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from metabalance.sampling import BatchStream, resample


class Returning:
    """A sampler that returns what the function makes of rows and labels."""

    def __init__(self, change):
        self.change = change

    def fit_resample(self, X, y):
        return self.change(X, y)


def result(table, change, dtype="float32"):
    X, y = table(10, 6)
    return resample(X.astype(dtype), y, Returning(change))


@pytest.mark.parametrize(
    "change",
    [
        lambda X, y: (X.astype(np.float64), y),
        lambda X, y: (np.vstack([X, np.zeros((1, 3))]), np.append(y, 1)),
        lambda X, y: (np.ones_like(X, dtype=np.int64), y.astype(np.uint8)),
        lambda X, y: [pd.DataFrame(X), pd.Series(y)],
        lambda X, y: (X.tolist(), y.tolist()),
        lambda X, y: (X, y == 1),
    ],
)
def test_rows_and_labels_get_the_dtypes_of_those_given(table, change) -> None:
    X, y = table(10, 6)
    X_new, y_new = result(table, change)
    assert (X_new.dtype, y_new.dtype) == (np.float32, np.int64)
    rows, labels = change(X.astype(np.float32), y)
    np.testing.assert_array_equal(X_new, np.asarray(rows, dtype=np.float32))
    np.testing.assert_array_equal(y_new, np.asarray(labels))


def test_a_stream_of_double_precision_rows_gives_single_ones(table) -> None:
    X, y = table(10, 6)
    sampler = Returning(lambda X, y: (X.astype(np.float64), y))
    x, _ = BatchStream(X.astype(np.float32), y, strategy=sampler, batch_size=4).draw()
    assert str(x.dtype) == "torch.float32"


def test_values_that_were_missing_before_may_stay_so(table) -> None:
    X, y = table(10, 6)
    X[3, 1] = np.nan
    X_new, _ = resample(X, y, Returning(lambda X, y: (X, y)))
    np.testing.assert_array_equal(X_new, X)


def spoilt(value):
    def change(X, y):
        X[2, 1] = value
        return X, y

    return change


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda X, y: None, TypeError, "Returning returned NoneType, but a pair is needed: the rows and"),
        (lambda X, y: X[:2], TypeError, "Returning returned ndarray, but a pair is needed"),
        (lambda X, y: (X, y, y), TypeError, "Returning returned tuple of length 3, but a pair is needed"),
        (lambda X, y: (X, [[1], [1, 2]]), TypeError, "Returning returned ndarray and list, but two arrays"),
        (
            lambda X, y: (None, y),
            ValueError,
            r"Returning returned rows of shape \(\) and labels of shape \(16,",
        ),
        (lambda X, y: (sparse.csr_array(X), y), ValueError, r"Returning returned rows of shape \(\)"),
        (lambda X, y: (X, None), ValueError, r"labels of shape \(\), but \(n, 3\) and \(n,\) are needed"),
        (lambda X, y: (X, y[:-1]), ValueError, r"rows of shape \(16, 3\) and labels of shape \(15,\), but"),
        (lambda X, y: (X, y[:, None]), ValueError, r"labels of shape \(16, 1\), but"),
        (lambda X, y: (X[:, :2], y), ValueError, r"rows of shape \(16, 2\).*may not change the columns"),
        (
            lambda X, y: (X.astype(str), y),
            TypeError,
            "returned rows of dtype <U32, which float32 cannot hold",
        ),
        (lambda X, y: (X.astype(object), y), TypeError, "returned rows of dtype object, which float32"),
        (lambda X, y: (X, y.astype(float)), TypeError, "returned labels of dtype float64, but class ids are"),
        (lambda X, y: (X, y.astype(str)), TypeError, "returned labels of dtype <U21, but class ids are"),
        (
            lambda X, y: (X, y * 5),
            ValueError,
            r"returned the label 5, but .* given are \[0, 1\]: a sampler may",
        ),
        (lambda X, y: (X, y - 1), ValueError, "returned the label -1, but"),
        (
            spoilt(np.nan),
            ValueError,
            "returned NaN or infinity in column 1, where what it was given is finite",
        ),
        (spoilt(np.inf), ValueError, "returned NaN or infinity in column 1"),
        (lambda X, y: (X * np.array([1, 1, 1e300]), y), ValueError, "returned NaN or infinity in column 2"),
        (lambda X, y: (X[:0], y[:0]), ValueError, "Returning removed every row of class 0"),
    ],
)
def test_anything_else_is_refused(table, change, error, message) -> None:
    with pytest.raises(error, match=message):
        result(table, change)


def test_numbers_between_integers_are_refused(table) -> None:
    with pytest.raises(TypeError, match="returned rows of dtype float64, which int16 cannot hold: return"):
        result(table, lambda X, y: (X + 0.5, y), dtype="int16")
