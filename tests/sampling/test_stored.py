import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metabalance.sampling import BatchStream, MetaBatchStream, passes
from metabalance.sampling.stored import Remaining, StoredRows, StoredTable, mapped_numbers

CODES = np.array([0, 1, 0, 0, 2, 0, 1, 0, 2, 0, 0, 0], dtype=np.uint8)


@pytest.fixture
def rows(tmp_path: Path) -> tuple[StoredRows, torch.Tensor]:
    x = torch.arange(36, dtype=torch.float32).reshape(12, 3)
    x.numpy().tofile(tmp_path / "rows")
    return StoredRows(tmp_path / "rows", np.float32, (12, 3)), x


@pytest.fixture
def table(rows, tmp_path: Path) -> StoredTable:
    CODES.tofile(tmp_path / "codes")
    np.argsort(CODES, kind="stable").astype(np.int32).tofile(tmp_path / "by_class")
    return StoredTable(
        x=rows[0],
        y=mapped_numbers(tmp_path / "codes", np.uint8, 12),
        by_class=mapped_numbers(tmp_path / "by_class", np.int32, 12),
        counts=np.bincount(CODES).astype(np.int64),
        left_out=torch.tensor([0, 8, 10]),  # rows 0, 1 and 4
        memory_budget=10_000,
        fingerprint="of this test",
    )


def test_rows_are_read_as_from_a_tensor(rows) -> None:
    stored, x = rows
    assert (len(stored), stored.ndim, stored.shape) == (12, 2, torch.Size([12, 3]))
    numbers = torch.tensor([7, 0, 11, 7])
    assert stored.index_select(0, numbers).equal(x[numbers])
    assert stored[np.array([3, 1])].equal(x[[3, 1]])
    for part in (slice(2), slice(None), slice(4, 9), slice(None, None, 5), slice(3, 3), slice(5, 100)):
        assert stored[part].equal(x[part])
    assert stored.index_select(0, numbers[:0]).shape == (0, 3)
    taken = stored[:2]
    taken += 1  # new memory, which the caller may change
    assert stored[:2].equal(x[:2])


def test_a_file_of_another_size_is_damaged(tmp_path: Path) -> None:
    file = tmp_path / "rows"
    with pytest.raises(ValueError, match="damaged, it is missing: delete its folder"):
        StoredRows(file, np.float32, (2, 3))
    np.zeros(5, dtype=np.float32).tofile(file)
    with pytest.raises(ValueError, match="it holds 20 bytes where 24 were written"):
        StoredRows(file, np.float32, (2, 3))
    with pytest.raises(ValueError, match="it holds 20 bytes where 24 were written"):
        mapped_numbers(file, np.int32, 6)


def test_a_file_that_is_cut_short_later_is_noticed(rows) -> None:
    stored, _ = rows
    with open(stored.path, "r+b") as file:
        file.truncate(100)
    with pytest.raises(ValueError, match="it has been cut short while it was read"):
        stored.index_select(0, torch.tensor([0, 11]))


@given(st.sets(st.integers(0, 60), max_size=59))
def test_remaining_numbers(left_out: set[int]) -> None:
    remaining = [number for number in range(61) if number not in left_out]
    found = Remaining(torch.tensor(sorted(left_out), dtype=torch.int64))(torch.arange(len(remaining)))
    assert found.tolist() == remaining


def test_what_is_left_out(table: StoredTable) -> None:
    assert table.left_out_rows().tolist() == [0, 1, 4]
    assert table.drawn_counts.tolist() == [7, 1, 1]
    assert len(table) == 9
    assert table.numbers_by_class(torch.arange(9)).tolist() == [2, 3, 5, 7, 9, 10, 11, 6, 8]


@pytest.mark.parametrize("long", [2**22, 5])
def test_natural_batches_are_all_rows_but_those_left_out(table, rows, long, monkeypatch) -> None:
    monkeypatch.setattr(passes, "LONG", long)
    stream = BatchStream(table, None, batch_size=3, random_state=0)
    assert (stream.pass_size, len(stream)) == (9, 3)
    for _ in range(3):
        batches = [stream.draw() for _ in range(3)]
        drawn = torch.cat([x for x, _ in batches])
        labels = torch.cat([y for _, y in batches])
        numbers = (drawn[:, 0] / 3).long()
        assert sorted(numbers.tolist()) == [2, 3, 5, 6, 7, 8, 9, 10, 11]
        assert drawn.equal(rows[1][numbers])
        assert labels.dtype == torch.int64
        assert labels.tolist() == CODES[numbers].tolist()


@pytest.mark.parametrize("long", [2**22, 2])
def test_balanced_batches(table: StoredTable, long: int, monkeypatch) -> None:
    monkeypatch.setattr(passes, "LONG", long)
    stream = MetaBatchStream(
        table, None, support="over", query="under", meta_steps=40, support_batch_size=3, query_batch_size=3,
        random_state=0,
    )  # fmt: skip
    (x, y), (z, t) = stream.draw()
    assert y.sort().values.tolist() == t.sort().values.tolist() == [[0, 1, 2]] * 40
    for drawn in (x, z):
        numbers = (drawn[..., 0] / 3).long().unique()
        assert set(numbers.tolist()) == {2, 3, 5, 7, 9, 10, 11, 6, 8}


@pytest.mark.parametrize("long", [2**22, 2])
def test_a_stream_goes_on_from_its_state(table: StoredTable, long: int, monkeypatch) -> None:
    monkeypatch.setattr(passes, "LONG", long)
    one = MetaBatchStream(table, None, meta_steps=2, random_state=0)
    one.draw()
    state = one.state_dict()
    other = MetaBatchStream(table, None, meta_steps=2, random_state=3)
    other.load_state_dict(state)
    for _ in range(4):
        for pair, same in zip(one.draw(), other.draw(), strict=True):
            assert pair[0].equal(same[0])
            assert pair[1].equal(same[1])


def test_draws_are_those_of_the_same_rows_in_memory(table: StoredTable, rows) -> None:
    everything = replace(table, left_out=table.left_out[:0])
    stored = MetaBatchStream(everything, None, support="natural", query="under", random_state=7)
    memory = MetaBatchStream(
        rows[1], CODES.astype(np.int64), support="natural", query="under", random_state=7
    )
    for one, other in zip(stored.draw(), memory.draw(), strict=True):
        assert one[0].equal(other[0])
        assert one[1].equal(other[1])


def test_strategies_that_look_at_the_rows_take_them_into_memory(table: StoredTable) -> None:
    whole = replace(table, left_out=torch.tensor([0]))
    x, y = whole.in_memory("smote")
    assert (x[:, 0] / 3).tolist() == list(range(1, 12))
    assert y.tolist() == CODES[1:].tolist()
    with pytest.warns(UserWarning, match="smote uses k=1 neighbours"):
        stream = BatchStream(whole, None, strategy="smote", batch_size=6, random_state=0)
    assert stream.draw()[0].shape == (6, 3)


def test_a_pool_beyond_the_budget_is_refused(table: StoredTable) -> None:
    small = replace(table, memory_budget=300)
    # 9 rows, and at most as many of each class as there are of the largest: 30 rows of 12 bytes.
    with pytest.raises(
        ValueError, match=r"cluster_centroids looks at all 9 rows .* use natural, over or under"
    ):
        BatchStream(small, None, strategy="cluster_centroids", batch_size=6)
    BatchStream(small, None, strategy="over", batch_size=6)


def test_a_stored_table_has_its_labels(table: StoredTable) -> None:
    for options in ({"y": CODES}, {"y": None, "balance_by": CODES}):
        with pytest.raises(ValueError, match="leave out y and balance_by"):
            BatchStream(table, batch_size=2, **options)


def test_many_rows_at_once_take_several_reads(rows, monkeypatch) -> None:
    read = os.preadv
    monkeypatch.setattr(os, "preadv", lambda file, buffers, place: read(file, [buffers[0][:7]], place))
    assert rows[0][2:9].equal(rows[1][2:9])


def test_labels_are_needed_for_rows_in_memory() -> None:
    with pytest.raises(TypeError, match="y is None"):
        BatchStream(torch.zeros(4, 2), None, batch_size=2)
