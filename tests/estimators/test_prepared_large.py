import numpy as np

from metabalance.estimators.prepared_large import MOST_HELD_OUT, _held_out


def test_shares_that_are_held_out() -> None:
    counts = np.array([9_990_000, 10_000, 50, 2])
    places = _held_out(counts, 0.2, np.random.default_rng(0))
    assert (np.diff(places) > 0).all()
    edges = np.concatenate([[0], counts.cumsum()])
    held = np.histogram(places, edges)[0]
    share = MOST_HELD_OUT / counts.sum()
    assert held.tolist() == [round(9_990_000 * share), 131, 10, 1]
    many = _held_out(np.full(10_000, 5_000), 0.2, np.random.default_rng(0))
    assert len(many) <= 1.1 * MOST_HELD_OUT
    small = np.array([100, 10])
    assert len(_held_out(small, 0.2, np.random.default_rng(0))) == 22
