from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metabalance.search.halving import LEAST_EPOCHS, best_first, plan_rounds


def test_one_round_has_everything() -> None:
    assert plan_rounds(49, 50, None) == [(49, 50)]
    assert plan_rounds(2, 50, 3) == [(2, 50)]
    assert plan_rounds(49, 2, 3) == [(49, 2)]


@given(st.integers(1, 2000), st.integers(1, 2000), st.integers(2, 5))
def test_the_plan_is_a_successive_halving(candidates: int, max_epochs: int, factor: int) -> None:
    rounds = plan_rounds(candidates, max_epochs, factor)
    assert rounds[0].candidates == candidates
    assert rounds[-1].epochs == max_epochs
    for place, (number, epochs) in enumerate(rounds):
        assert number == ceil(Fraction(candidates, factor**place))
        assert epochs == ceil(Fraction(max_epochs, factor ** (len(rounds) - 1 - place)))
    if len(rounds) > 1:
        assert rounds[0].epochs >= LEAST_EPOCHS
    # One round more would have too few candidates or too few epochs.
    next_power = factor ** len(rounds)
    assert candidates < next_power or ceil(Fraction(max_epochs, next_power)) < LEAST_EPOCHS


@pytest.mark.parametrize(
    ("scores", "order"),
    [([0.1, 0.3, 0.2], [1, 2, 0]), ([0.5, 0.5], [0, 1]), ([float("nan")] * 2, []), ([float("nan"), -1], [1])],
)
def test_best_first(scores, order) -> None:
    assert best_first(scores) == order
