import pytest

from metabalance.sampling.neighbours import (
    Neighbours,
    among_all_rows,
    among_balanced_rows,
    clamp_neighbours,
    within_each_grown_class,
    within_smallest_class,
)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (within_each_grown_class, ("class 7", 4, 3)),
        (within_smallest_class, ("class 7", 4, 4)),
        (among_all_rows, ("the whole data set", 23, 22)),
        (among_balanced_rows, ("the balanced data set", 30, 29)),
    ],
)
def test_what_limits_the_neighbours(limit, expected):
    assert limit({-2: 10, 3: 9, 7: 4}) == expected


def test_classes_of_equal_size_need_no_neighbours():
    assert within_each_grown_class({0: 1, 1: 1}) is None


def test_enough_rows_leave_the_defaults():
    wanted = Neighbours("k_neighbors", 5, within_each_grown_class)
    assert clamp_neighbours("smote", (wanted,), {0: 100, 1: 6}) == {"k_neighbors": 5}


def test_too_few_rows_warn_with_class_rows_and_k():
    wanted = Neighbours("k_neighbors", 5, within_each_grown_class)
    with pytest.warns(UserWarning, match="^class 1 has 4 rows: smote uses k=3 neighbours instead of 5$"):
        assert clamp_neighbours("smote", (wanted,), {0: 100, 1: 4, 2: 50}) == {"k_neighbors": 3}


def test_two_counts_share_one_warning():
    wanted = (
        Neighbours("k_neighbors", 5, within_each_grown_class),
        Neighbours("m_neighbors", 10, among_all_rows),
    )
    with pytest.warns(
        UserWarning, match=r"class 1 has 2 rows: x uses k=1 .* set has 8 rows: x uses m=7"
    ) as seen:
        assert clamp_neighbours("x", wanted, {0: 6, 1: 2}) == {"k_neighbors": 1, "m_neighbors": 7}
    assert len(seen) == 1


def test_one_row_where_two_are_needed():
    wanted = Neighbours("k_neighbors", 5, within_each_grown_class)
    with pytest.raises(ValueError, match=r"class 1 has 1 row, but smote needs at least 2 .* or use over"):
        clamp_neighbours("smote", (wanted,), {0: 10, 1: 1})
