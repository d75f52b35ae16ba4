"""How rows are split and scaled."""

import numpy as np
import pytest
from paper.protocols import make_split

from tests.paper.conftest import rows_of


def test_paper_and_released_have_one_split_and_sound_has_many():
    X, y = rows_of()
    for protocol in ("paper", "released"):
        one, other = (make_split(X, y, protocol, run) for run in (0, 1))
        assert one.valid is None
        np.testing.assert_array_equal(one.test.y, other.test.y)
        assert len(one.test.y) == 48
    one, other = (make_split(X, y, "sound", run) for run in (0, 1))
    assert not np.array_equal(one.test.x, other.test.x)
    assert [len(part.y) for part in (one.train, one.valid, one.test)] == [153, 39, 48]
    assert one.test.y.sum() == 8  # stratified


@pytest.mark.parametrize("protocol", ["paper", "sound"])
def test_scaling_is_fitted_to_the_training_rows(protocol):
    X, y = rows_of()
    split = make_split(X, y, protocol, 0)
    np.testing.assert_allclose(split.train.x.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(split.train.x.std(0, correction=0), 1, atol=1e-5)


def test_released_scales_by_all_rows():
    X, y = rows_of()
    split = make_split(X, y, "released", 0)
    both = np.concatenate([split.train.x, split.test.x])
    np.testing.assert_allclose(both.mean(0), 0, atol=1e-6)
    assert abs(split.train.x.mean(0)).max() > 1e-3
