import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metabalance.training import cross_fitted_holdouts


@given(
    counts=st.lists(st.integers(2, 40), min_size=2, max_size=4),
    n_members=st.integers(2, 9),
    fraction=st.floats(0.05, 0.9),
    seed=st.integers(0, 1000),
)
def test_every_row_is_held_out_by_some_and_trained_on_by_others(counts, n_members, fraction, seed) -> None:
    codes = np.repeat(np.arange(len(counts)), counts)
    found = cross_fitted_holdouts(
        codes, n_members, fraction, np.random.default_rng(seed), np.arange(len(counts))
    )
    held = found.held[found.group]
    folds = max(2, round(1 / fraction))
    assert held.shape == (len(codes), n_members)
    if n_members >= folds:
        assert held.any(axis=1).all()
    else:
        assert (held.sum(axis=1) <= 1).all()
        assert all(held[codes == code].any() for code in range(len(counts)))
    assert not held.all(axis=1).any()
    for code, count in enumerate(counts):
        of_class = held[codes == code].sum(axis=0)
        assert of_class.max() <= -(-count // folds)
        assert of_class.min() >= count // folds
    np.testing.assert_allclose(found.weights().numpy()[found.group].mean(axis=0), 1, rtol=1e-5)
    assert ((found.weights().numpy() == 0) == found.held).all()


def test_it_depends_on_the_seed_only() -> None:
    codes = np.repeat([0, 1], [50, 10])
    one, same, other = (
        cross_fitted_holdouts(codes, 4, 0.25, np.random.default_rng(seed), np.arange(2)) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one.group, same.group)
    assert (one.group != other.group).any()


def test_a_class_of_one_row_is_refused() -> None:
    with pytest.raises(ValueError, match="class 'rare' has a single row"):
        cross_fitted_holdouts(np.array([0, 0, 1]), 2, 0.5, np.random.default_rng(0), np.array(["ok", "rare"]))
