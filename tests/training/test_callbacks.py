from types import SimpleNamespace

import numpy as np
import pytest
import torch

from metabalance.training.callbacks import (
    CosineSchedule,
    WeightAveraging,
    log_loss,
    majority_and_minority_recall,
)


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


def test_the_learning_rate_falls_along_half_a_cosine() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.4)
    net = SimpleNamespace(optimizer_=optimizer, max_epochs=5)
    schedule, rates = CosineSchedule(5), []
    schedule.on_train_begin(net)
    for _ in range(5):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.on_epoch_end(net)
    np.testing.assert_allclose(rates, 0.2 * (1 + np.cos(np.pi * np.arange(5) / 5)))
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-12)


class _Net:
    """As much of a training loop as the callback looks at."""

    def __init__(self) -> None:
        self.module_ = torch.nn.Linear(1, 1, bias=False)
        torch.nn.init.zeros_(self.module_.weight)
        self.optimizer_ = torch.optim.SGD(self.module_.parameters(), lr=1.0)

    def update(self) -> None:
        self.module_.weight.grad = -torch.ones(1, 1)  # each update adds 1
        self.optimizer_.step()

    @property
    def weight(self) -> float:
        return self.module_.weight.item()


def test_the_average_is_looked_at_and_training_goes_on_without_it() -> None:
    net, averaging = _Net(), WeightAveraging(0.1)
    averaging.on_train_begin(net)
    for epoch in range(2):
        averaging.on_epoch_begin(net)
        assert net.weight == 2 * epoch
        net.update()
        net.update()
        averaging.on_epoch_end(net)
        # from 1 after the first update, each later one counts nine tenths
        assert net.weight == pytest.approx([1.9, (1.9 * 0.1 + 3 * 0.9) * 0.1 + 4 * 0.9][epoch])
    averaging.on_train_end(net)
    assert net.weight == pytest.approx(3.889)


def test_an_epoch_that_is_broken_off_leaves_the_average() -> None:
    net, averaging = _Net(), WeightAveraging(0.1)
    averaging.on_train_begin(net)
    averaging.on_epoch_begin(net)
    net.update()
    net.update()
    averaging.on_train_end(net)
    assert net.weight == pytest.approx(1.9)


@pytest.mark.parametrize("at", ["shown", "hidden"])
def test_being_broken_off_between_the_two_leaves_the_average(at) -> None:
    net, averaging = _Net(), WeightAveraging(0.1)
    net.module_.register_parameter("other", torch.nn.Parameter(torch.zeros(1)))
    averaging.on_train_begin(net)
    averaging.on_epoch_begin(net)
    net.update()
    net.update()
    if at == "hidden":
        averaging.on_epoch_end(net)
    source = averaging.averages_ if at == "shown" else averaging.trained_
    second, source[1] = source[1], None  # a TypeError in the middle of copying, in place of Ctrl-C
    with pytest.raises(TypeError):
        averaging.on_epoch_end(net) if at == "shown" else averaging.on_epoch_begin(net)
    source[1] = second
    averaging.on_train_end(net)
    assert net.weight == pytest.approx(1.9)


def test_statistics_of_batch_norm_are_averaged_and_other_buffers_left_alone() -> None:
    net, averaging = _Net(), WeightAveraging(0.1)
    net.module_ = torch.nn.Sequential(torch.nn.BatchNorm1d(1))
    mask = torch.tensor([0.0, -torch.inf]).expand(3, 2)
    net.module_.register_buffer("mask", mask)
    net.module_.register_parameter("frozen", torch.nn.Parameter(torch.ones(1), requires_grad=False))
    net.optimizer_ = torch.optim.SGD(net.module_.parameters(), lr=0.1)
    averaging.on_train_begin(net)
    averaging.on_epoch_begin(net)
    means = []
    for value in (1.0, 3.0, 5.0):
        net.module_(torch.full((2, 1), value)).sum().backward()
        net.optimizer_.step()
        means.append(net.module_[0].running_mean.item())
    averaging.on_epoch_end(net)
    expected = (means[0] * 0.1 + means[1] * 0.9) * 0.1 + means[2] * 0.9
    assert net.module_[0].running_mean.item() == pytest.approx(expected)
    assert net.module_[0].num_batches_tracked.item() == 3
    assert torch.equal(net.module_.mask, mask)
    assert net.module_.frozen.item() == 1


def test_the_beginning_is_forgotten_faster() -> None:
    net, averaging = _Net(), WeightAveraging(0.9)
    averaging.on_train_begin(net)
    averaging.on_epoch_begin(net)
    expected = 1.0
    for n in range(1, 101):
        net.update()
        if n > 1:
            decay = min(0.9, n / (9 + n))
            expected = decay * expected + (1 - decay) * n
    averaging.on_epoch_end(net)
    assert net.weight == pytest.approx(expected, rel=1e-5)
