import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from metabalance.sampling import passes as module
from metabalance.sampling.passes import AT_ONCE, Oversampled, Shuffled, Undersampled, by_class
from metabalance.sampling.permutations import ComputedOrder


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _many(passes, times: int) -> np.ndarray:
    """Row numbers of so many passes, one per line."""
    generator, drawn = _generator(), []
    while sum(map(len, drawn)) < times * passes.size:
        drawn.append(passes.order(generator))
    return torch.cat(drawn)[: times * passes.size].reshape(times, passes.size).numpy()


def test_shuffled_is_every_row_once_in_a_new_order():
    orders = _many(Shuffled(20), 500)
    assert (np.sort(orders, axis=1) == np.arange(20)).all()
    first = np.bincount(orders[:, 0], minlength=20)
    assert chisquare(first).pvalue > 0.01


def test_all_orders_of_a_few_rows_are_equally_likely():
    orders = _many(Shuffled(3), 6000)
    assert chisquare(np.unique(orders, axis=0, return_counts=True)[1]).pvalue > 0.01


@pytest.mark.parametrize("rows", [3, 1000, AT_ONCE, AT_ONCE + 1])
def test_short_passes_are_drawn_together_and_whole(rows):
    labels = torch.arange(rows) % 3
    for passes in (Shuffled(rows), Undersampled(*by_class(labels))):
        order = passes.order(_generator())
        assert len(order) % passes.size == 0
        assert len(order) == passes.size or AT_ONCE - passes.size < len(order) <= AT_ONCE
    over = Oversampled(*by_class(labels)).order(_generator())
    assert len(over) % 3 == 0
    assert AT_ONCE - 3 < len(over) <= AT_ONCE


# Few small subsets are drawn without repeats, several from a class of similar size cut from its permutations.
@pytest.mark.parametrize(
    ("smallest", "largest"), [(5, 12), (5, 60), (2, 9), (1, 7), (2, 9000), (1500, 3500), (100, 9000)]
)
def test_undersampled_takes_uniform_subsets_of_each_class(smallest, largest):
    y = torch.tensor([4, 9]).repeat_interleave(torch.tensor([largest, smallest]))
    y = y[torch.randperm(len(y), generator=_generator(1))]
    orders = _many(Undersampled(*by_class(y)), 2000)
    labels = y.numpy()[orders]
    assert ((labels == 4).sum(axis=1) == smallest).all()
    assert ((labels == 9).sum(axis=1) == smallest).all()
    assert all(len(np.unique(order)) == 2 * smallest for order in orders)  # without replacement
    taken = np.bincount(orders[labels == 4], minlength=len(y))[y.numpy() == 4]
    # Counts are more even than those of single draws, since no subset holds a row twice.
    assert chisquare(taken).pvalue > 0.01


def test_undersampled_pairs_are_drawn_together_as_often_as_others():
    y = torch.tensor([0] * 9 + [1] * 2)
    orders = _many(Undersampled(*by_class(y)), 3600)
    pairs = np.sort(orders[orders < 9].reshape(-1, 2), axis=1)
    seen = np.unique(pairs, axis=0, return_counts=True)[1]
    assert len(seen) == 36
    assert chisquare(seen).pvalue > 0.01


def test_undersampled_mixes_the_classes_within_a_pass():
    y = torch.tensor([0] * 30 + [1] * 5)
    labels = y.numpy()[_many(Undersampled(*by_class(y)), 1000)]
    by_position = labels.sum(axis=0)
    assert chisquare(by_position).pvalue > 0.01
    assert by_position.sum() == 5000


def test_undersampled_majority_rows_change_from_pass_to_pass():
    y = torch.tensor([0] * 1000 + [1] * 10)
    first, second = map(set, _many(Undersampled(*by_class(y)), 2).tolist())
    assert set(range(1000, 1010)) <= first & second
    assert len(first & second) < 15


def test_undersampled_of_equal_classes_is_every_row():
    assert sorted(_many(Undersampled(*by_class(torch.tensor([2, 1, 2, 1]))), 1)[0].tolist()) == [0, 1, 2, 3]


def test_oversampled_is_uniform_over_classes_and_within_each():
    y = torch.tensor([5] * 40 + [1] * 3 + [8] * 10)
    y = y[torch.randperm(len(y), generator=_generator(1))]
    passes = Oversampled(*by_class(y))
    assert passes.size == 120
    orders = _many(passes, 2000).ravel()
    labels = y.numpy()
    assert (np.sort(labels[orders].reshape(-1, 3), axis=1) == [1, 5, 8]).all()  # one of each in every block
    for label in (1, 5, 8):
        rows = np.bincount(orders[labels[orders] == label], minlength=len(y))[labels == label]
        assert chisquare(rows).pvalue > 0.01


def test_oversampled_blocks_are_independent_and_in_any_order():
    y = torch.tensor([0] * 50 + [1] * 3)
    blocks = y.numpy()[_many(Oversampled(*by_class(y)), 200)].reshape(-1, 2)
    assert chisquare(np.bincount(blocks[:, 0])).pvalue > 0.01
    following = np.histogram2d(blocks[:-1, 0], blocks[1:, 0], bins=2)[0]
    assert chi2_contingency(following).pvalue > 0.01


def test_oversampled_of_more_classes_than_are_drawn_at_once():
    order = Oversampled(*by_class(torch.arange(AT_ONCE + 5))).order(_generator())
    assert sorted(order.tolist()) == list(range(AT_ONCE + 5))


@given(
    counts=st.lists(st.integers(1, 30), min_size=2, max_size=5),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)
def test_pass_sizes_and_class_counts_for_any_labels(counts, seed, data):
    ids = data.draw(
        st.lists(st.integers(-(2**60), 2**60), min_size=len(counts), max_size=len(counts), unique=True)
    )
    y = torch.tensor(ids).repeat_interleave(torch.tensor(counts))
    under, over = Undersampled(*by_class(y)), Oversampled(*by_class(y))
    assert (under.size, over.size) == (len(counts) * min(counts), len(counts) * max(counts))
    first = torch.from_numpy(_many(under, 1)[0])
    assert y[first].unique(return_counts=True)[1].tolist() == [min(counts)] * len(counts)
    drawn = y[over.order(_generator(seed))]
    assert torch.isin(drawn, y).all()


def _computed(passes, times: int) -> np.ndarray:
    generator = _generator()
    orders = [passes.order(generator) for _ in range(times)]
    assert all(isinstance(order, ComputedOrder) and len(order) == passes.size for order in orders)
    return np.stack([order[:].numpy() for order in orders])


def test_long_shuffles_are_computed_and_as_even(monkeypatch):
    monkeypatch.setattr(module, "LONG", 10)
    orders = _computed(Shuffled(20), 500)
    assert (np.sort(orders, axis=1) == np.arange(20)).all()
    assert chisquare(np.bincount(orders[:, 0], minlength=20)).pvalue > 0.01
    doubled = _computed(Shuffled(20, lambda places: 2 * places), 1)
    assert sorted(doubled[0].tolist()) == list(range(0, 40, 2))


def test_long_undersampled_passes_are_computed_and_as_even(monkeypatch):
    monkeypatch.setattr(module, "LONG", 5)
    y = torch.tensor([4, 9, 7]).repeat_interleave(torch.tensor([30, 6, 11]))
    y = y[torch.randperm(len(y), generator=_generator(1))]
    orders = _computed(Undersampled(*by_class(y)), 600)
    labels = y.numpy()[orders]
    assert all(((labels == label).sum(axis=1) == 6).all() for label in (4, 9, 7))
    assert all(len(np.unique(order)) == 18 for order in orders)
    for label in (4, 7):
        taken = np.bincount(orders[labels == label], minlength=len(y))[y.numpy() == label]
        assert chisquare(taken).pvalue > 0.01
    assert chisquare(np.bincount(labels[:, 0])[[4, 7, 9]]).pvalue > 0.01  # mixed


def test_long_undersampled_passes_of_many_classes(monkeypatch):
    monkeypatch.setattr(module, "LONG", 5)
    y = torch.cat([torch.arange(500).repeat(3), torch.arange(250)])
    orders = _computed(Undersampled(*by_class(y)), 3)
    assert orders.shape[1] == 1500
    for order in orders:
        assert len(np.unique(order)) == 1500
        assert (np.bincount(y.numpy()[order]) == 3).all()
