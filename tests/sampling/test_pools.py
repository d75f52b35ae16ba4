import zlib

import numpy as np
import torch

from metabalance.sampling.pools import load_data, make_pool


def test_index_strategies_share_the_callers_memory(table):
    X, y = table(20, 6)
    data = load_data(X, y, "cpu")
    pools = [make_pool(data, name, seed=0, categorical=None) for name in ("natural", "over", "under")]
    assert {pool.x.data_ptr() for pool in pools} == {X.ctypes.data}
    assert {pool.fingerprint for pool in pools} == {0}


def test_fingerprints_tell_pools_apart(table):
    data = load_data(*table(20, 10), "cpu")
    first, again, other = (make_pool(data, "smote", seed=s, categorical=None).fingerprint for s in (0, 0, 1))
    assert first == again != other


class Backwards:
    """A sampler whose rows do not lie in memory one after the other."""

    def fit_resample(self, X, y):
        return np.asfortranarray(X)[::-1], y[::-1]


def test_rows_of_any_memory_layout_have_the_fingerprint_of_their_values(table):
    X, y = table(20, 6)
    backwards = make_pool(load_data(X, y, "cpu"), Backwards(), seed=0, categorical=None)
    expected = zlib.crc32(y[::-1].tobytes(), zlib.crc32(X[::-1].tobytes()))
    assert backwards.fingerprint == expected


def test_the_pool_is_on_the_device_of_the_data(table):
    X, y = table(20, 10)
    data = load_data(torch.from_numpy(X), y, torch.device("cpu"))
    pool = make_pool(data, "nearmiss", seed=0, categorical=None)
    assert pool.x.device == pool.y.device == torch.device("cpu")
    assert (pool.strategy, len(pool.x), pool.passes.size) == ("nearmiss", 20, 20)
    np.testing.assert_array_equal(data.labels, y)
