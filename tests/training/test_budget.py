from hypothesis import given
from hypothesis import strategies as st

from metabalance.training import MAX_ROWS_PER_EPOCH, MIN_ROWS_PER_EPOCH, EpochBudget


@given(n_rows=st.integers(1, 100_000), rows=st.integers(1, 4096), epochs=st.integers(1, 30))
def test_any_rule_has_drawn_the_same_rows_after_any_epoch(n_rows: int, rows: int, epochs: int) -> None:
    budget = EpochBudget(n_rows, rows)
    planned = budget.updates(epochs)
    drawn = sum(budget.next_epoch() * rows for _ in range(epochs))
    assert drawn == budget.rows_drawn == planned * rows
    due = epochs * min(max(n_rows, MIN_ROWS_PER_EPOCH), MAX_ROWS_PER_EPOCH)
    assert due <= drawn < due + rows


def test_an_epoch_has_at_least_one_step() -> None:
    budget = EpochBudget(n_rows=100, rows_per_update=50_000)
    assert [budget.next_epoch() for _ in range(3)] == [1, 1, 1]
