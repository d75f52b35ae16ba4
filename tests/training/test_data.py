import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metabalance.training import PartInMemory, stratified_holdout


@given(
    counts=st.lists(st.integers(2, 60), min_size=2, max_size=5),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 100),
)
def test_holdout_is_a_stratified_partition(counts: list[int], fraction: float, seed: int) -> None:
    codes = np.repeat(np.arange(len(counts)), counts)
    train, valid = stratified_holdout(codes, fraction, np.random.default_rng(seed), np.arange(5))
    assert sorted([*train, *valid]) == list(range(len(codes)))
    for code, count in enumerate(counts):
        held_out = int((codes[valid] == code).sum())
        assert held_out == min(max(1, round(fraction * count)), count - 1)


def test_holdout_depends_on_the_seed_only() -> None:
    codes = np.repeat([0, 1], [90, 10])
    first, second = (stratified_holdout(codes, 0.2, np.random.default_rng(3), codes)[1] for _ in range(2))
    other = stratified_holdout(codes, 0.2, np.random.default_rng(4), codes)[1]
    assert first.tolist() == second.tolist() != other.tolist()


def test_a_class_with_one_row_cannot_be_held_out() -> None:
    with pytest.raises(ValueError, match=r"class 'rare' has a single row in this training part .*=False"):
        stratified_holdout(np.array([0, 0, 0, 1]), 0.2, np.random.default_rng(0), np.array(["usual", "rare"]))


def part_of(codes) -> PartInMemory:
    return PartInMemory(torch.zeros(len(codes), 1), torch.from_numpy(codes), codes)


def test_watched_rows_are_all_of_small_data() -> None:
    part = part_of(np.array([0, 1, 0, 1, 1]))
    assert part.watched(5, np.random.default_rng(0)).tolist() == [0, 1, 2, 3, 4]


def test_watched_rows_keep_rare_classes_whole() -> None:
    codes = np.repeat([0, 1], [10_000, 30])
    rows = part_of(codes).watched(1000, np.random.default_rng(0))
    assert np.bincount(codes[rows]).tolist() == [500, 30]
    assert len(set(rows.tolist())) == 530


def test_subset_keeps_tensor_and_array_together() -> None:
    codes = np.array([0, 1, 2, 1])
    part = PartInMemory(torch.arange(8.0).reshape(4, 2), torch.from_numpy(codes), codes).subset(
        np.array([3, 0])
    )
    assert part.x.tolist() == [[6, 7], [0, 1]]
    assert part.y.tolist() == part.codes.tolist() == [1, 0]
    assert len(part) == 2


@pytest.mark.parametrize("seed", range(30))
def test_no_group_is_wholly_held_out_where_a_swap_can_help(seed: int) -> None:
    codes = np.repeat([0, 1], [40, 10])
    groups = np.zeros(50, dtype=np.int64)
    groups[[3, 45]], groups[7] = 1, 2  # two rows of different classes, and one alone
    train, valid = stratified_holdout(codes, 0.2, np.random.default_rng(seed), np.arange(2), groups)
    assert set(groups[train]) == {0, 1, 2}
    assert np.bincount(codes[valid]).tolist() == [8, 2]
    assert sorted([*train, *valid]) == list(range(50))
