import numpy as np
import pytest

from metabalance.nn import effective_number_weights


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.999])
def test_the_effective_number_is_the_sum_of_a_geometric_series(beta: float) -> None:
    counts = [1, 2, 7, 300]
    expected = [1 / sum(beta**i for i in range(n)) for n in counts]
    np.testing.assert_allclose(effective_number_weights(counts, beta), expected, rtol=1e-12)


def test_the_two_ends() -> None:
    counts = np.array([5, 50, 500])
    np.testing.assert_array_equal(effective_number_weights(counts, 0.0), np.ones(3))
    near_one = effective_number_weights(counts, 1 - 1e-9)
    np.testing.assert_allclose(near_one, 1 / counts, rtol=1e-5)
    # Of many rows, n no longer matters.
    np.testing.assert_allclose(effective_number_weights([10**6, 10**7]), 1e-3, rtol=1e-9)


def test_wrong_arguments() -> None:
    for beta in (1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match=r"beta must lie in \[0, 1\), got"):
            effective_number_weights([1, 2], beta)
    with pytest.raises(ValueError, match=r"every class needs at least one row, got counts \[3.0, 0.0\]"):
        effective_number_weights([3, 0])
