from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from metabalance.sampling.permutations import AT_ONCE, ComputedOrder, Permutation


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.integers(1, 3000), st.integers(0, 2**31))
def test_every_number_once(n: int, seed: int) -> None:
    order = Permutation(n, generator(seed))(torch.arange(n))
    assert order.dtype == torch.int64
    assert sorted(order.tolist()) == list(range(n))


def test_very_many_numbers_are_within_the_range_and_distinct() -> None:
    n = 5_000_000_000
    places = torch.cat([torch.arange(50_000), torch.arange(n - 50_000, n)])
    order = Permutation(n, generator())(places)
    assert int(order.min()) >= 0
    assert int(order.max()) < n
    assert len(order.unique()) == len(places)


@pytest.mark.parametrize("n", [4, 5, 9, 13])
def test_places_and_pairs_of_them_are_even(n: int) -> None:
    draws = generator(1)
    seen = np.stack([Permutation(n, draws)(torch.arange(n)).numpy() for _ in range(6000)])
    for place in (0, n // 2, n - 1):
        assert chisquare(np.bincount(seen[:, place], minlength=n)).pvalue > 0.001
    pairs = [(int(one), int(other)) for one, other in seen[:, [0, n - 1]]]
    counts = [pairs.count(pair) for pair in permutations(range(n), 2)]
    assert chisquare(counts).pvalue > 0.001


def test_a_long_order_looks_random() -> None:
    n = 1_000_003
    order = Permutation(n, generator(3))(torch.arange(n)).numpy()
    # Any stretch of it is an even sample, and neighbours tell nothing of each other.
    for start in (0, 400_000, n - 20_000):
        tenths = np.bincount(order[start : start + 20_000] * 10 // n, minlength=10)
        assert chisquare(tenths).pvalue > 0.01
    pairs = (order[:-1] * 8 // n) * 8 + order[1:] * 8 // n
    assert chisquare(np.bincount(pairs, minlength=64)).pvalue > 0.01
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 4 / np.sqrt(n)


def test_the_same_generator_gives_the_same_order() -> None:
    one, other = Permutation(1000, generator(5)), Permutation(1000, generator(5))
    places = torch.arange(1000)
    assert one(places).equal(other(places))
    assert not one(places).equal(Permutation(1000, generator(6))(places))


@pytest.mark.parametrize("step", [1, 63, AT_ONCE, AT_ONCE + 1, 3 * AT_ONCE])
def test_a_computed_order_is_read_like_a_tensor(step: int) -> None:
    n = 2 * AT_ONCE + 17
    shuffled = Permutation(n, generator())
    whole = shuffled(torch.arange(n))
    order = ComputedOrder(n, shuffled).to("cpu")
    assert len(order) == n
    for start in range(0, n, step):
        assert order[start : start + step].equal(whole[start : start + step])
    assert order[5:5].tolist() == []
    assert order[n:].tolist() == []
    assert order[3:9].equal(whole[3:9])  # backwards, too
