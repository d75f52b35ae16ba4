import numpy as np
import pytest

from metabalance.training.callbacks import log_loss, majority_and_minority_recall


def test_recalls_by_hand() -> None:
    codes = np.array([0, 0, 0, 0, 1, 1, 2])
    predicted = np.array([0, 0, 0, 1, 1, 2, 2])
    probabilities = np.eye(3)[predicted]
    majority, minority = majority_and_minority_recall(probabilities, codes, majority=0)
    assert majority == 0.75
    assert minority == pytest.approx((0.5 + 1.0) / 2)


def test_log_loss_by_hand_and_at_zero() -> None:
    assert log_loss(np.array([[0.5, 0.5], [0.25, 0.75]]), np.array([0, 1])) == pytest.approx(
        -(np.log(0.5) + np.log(0.75)) / 2
    )
    assert np.isfinite(log_loss(np.array([[1.0, 0.0]]), np.array([1])))
