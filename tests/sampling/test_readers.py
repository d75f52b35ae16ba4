import pytest
import torch

from metabalance.sampling.pools import load_data, make_pool
from metabalance.sampling.readers import PoolReader


class CountingPasses:
    """Row numbers in their own order, counting how often an order is made."""

    size = 10

    def __init__(self):
        self.made = 0

    def order(self, generator):
        self.made += 1
        return torch.arange(10)


@pytest.fixture
def pool(table):
    X, y = table(7, 3)
    return make_pool(load_data(X, y, "cpu"), "natural", seed=0, categorical=None)


def test_an_order_is_made_once_per_pass(pool):
    passes = CountingPasses()
    reader = PoolReader(type(pool)("natural", pool.x, pool.y, passes, 0), seed=0)
    made = []
    for _ in range(5):
        reader.read(4)
        made.append(passes.made)
    assert made == [1, 1, 2, 2, 2]


def test_a_batch_goes_on_in_the_next_order_where_one_ends(pool):
    reader = PoolReader(type(pool)("natural", pool.x, pool.y, CountingPasses(), 0), seed=0)
    x, _ = reader.read(7)
    assert torch.equal(x, pool.x[:7])
    x, _ = reader.read(25)
    assert torch.equal(x, pool.x[[7, 8, 9, *range(10), *range(10), 0, 1]])
    x, _ = reader.read(8)
    assert torch.equal(x, pool.x[2:])


def test_any_leading_shape(pool):
    x, y = PoolReader(pool, seed=0).read(2, 3, 4)
    assert (x.shape, y.shape) == ((2, 3, 4, 3), (2, 3, 4))


def test_a_state_is_small_and_stays_as_it_was(pool):
    reader = PoolReader(pool, seed=0)
    reader.read(4)
    state = reader.state_dict()
    generator = state["generator"].clone()
    reader.read(40)
    assert state["position"] == 4
    assert torch.equal(state["generator"], generator)
    assert generator.numel() < 10_000
