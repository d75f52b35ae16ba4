"""Losses by name, their weights and frequencies, and what they get of a network's output."""

import numpy as np
import pytest
import torch
from torch import nn

from metabalance.estimators.losses import check_label_smoothing, choose_loss, loss_on_outputs
from metabalance.nn import LDAMLoss, TableNetwork

CPU = torch.device("cpu")
CODES = np.array([0, 1, 1, 0])
LABELS = np.array(["no", "yes"])


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_class_weights_count_by_their_ratio(scale: float) -> None:
    codes = np.array([0, 0, 0, 1])
    loss = choose_loss("cross_entropy", {"no": scale, "yes": 3 * scale}, LABELS, np.bincount(codes), CPU)
    # (1 + 1 + 1 + 3) / 4 = 1.5 is scaled to 1; at logits 0 every row costs log 2.
    value = loss(torch.zeros(2, 2), torch.tensor([0, 1])).item()
    assert value == pytest.approx((1 + 3) / 1.5 / 2 * np.log(2), rel=1e-6)


def test_logit_adjustment_takes_the_frequencies_of_the_training_part() -> None:
    loss = choose_loss("logit_adjusted", None, LABELS, np.array([9, 1]), CPU)
    # Equal logits then predict the frequencies: rows of the class with a tenth of them cost log 10.
    assert loss(torch.zeros(1, 1), torch.tensor([1])).item() == pytest.approx(np.log(10), rel=1e-6)
    assert loss(torch.zeros(1, 1), torch.tensor([0])).item() == pytest.approx(np.log(10 / 9), rel=1e-5)


@pytest.mark.parametrize("loss", ["cross_entropy", "focal"])
def test_effective_numbers_weigh_the_classes_of_the_training_part(loss: str) -> None:
    codes = np.repeat([0, 1], [2000, 20])
    weighted = choose_loss(loss, "effective_number", LABELS, np.bincount(codes), CPU)
    cost = [weighted(torch.zeros(1, 2), torch.tensor([code])).item() for code in (0, 1)]
    # As many rows as 20 are worth, over as many as 2,000 are worth.
    expected = sum(0.999**i for i in range(2000)) / sum(0.999**i for i in range(20))
    assert cost[1] / cost[0] == pytest.approx(expected, rel=1e-5)
    plain = choose_loss(loss, None, LABELS, np.bincount(codes), CPU)(
        torch.zeros(1, 2), torch.tensor([0])
    ).item()
    assert (2000 * cost[0] + 20 * cost[1]) / 2020 == pytest.approx(plain, rel=1e-5)


def test_own_losses_get_class_logits() -> None:
    seen = []

    def mine(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        seen.append(logits)
        return logits.sum()

    chosen = choose_loss(mine, None, LABELS, np.bincount(CODES), CPU)
    loss_on_outputs(chosen, nn.Linear(3, 1), None)(torch.tensor([[2.0]]), torch.tensor([1]))
    assert seen[0].tolist() == [[0.0, 2.0]]


def test_own_losses_get_the_logits_of_all_members_as_rows() -> None:
    seen = []

    def mine(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        seen.append((logits, target))
        return nn.functional.cross_entropy(logits, target)

    chosen = choose_loss(mine, None, LABELS, np.bincount(CODES), CPU)
    net = TableNetwork(2, 1, n_members=3, hidden_sizes=(4,))
    output, target = net(torch.randn(5, 2)), torch.tensor([0, 1, 0, 0, 1])
    found = loss_on_outputs(chosen, net, None)(output, target)
    logits, targets = seen[0]
    assert logits.shape == (15, 2)
    assert targets.tolist() == target.repeat_interleave(3).tolist()
    each = [nn.functional.binary_cross_entropy_with_logits(output[:, m, 0], target.float()) for m in range(3)]
    torch.testing.assert_close(found, sum(each))


def test_margins_take_the_counts_of_the_training_part() -> None:
    codes = np.repeat([0, 1], [1600, 100])
    found = choose_loss("ldam", "effective_number", LABELS, np.bincount(codes), CPU)
    weighted = choose_loss("cross_entropy", "effective_number", LABELS, np.bincount(codes), CPU)
    expected = LDAMLoss(torch.tensor([1600.0, 100.0]), weight=weighted.weight)
    logits, y = 30 * torch.tensor([[0.1, -0.4], [0.9, 0.2]]), torch.tensor([0, 1])
    torch.testing.assert_close(found(logits, y), expected(logits, y))


@pytest.mark.parametrize("loss", ["focal", "ldam", nn.CrossEntropyLoss()])
def test_losses_that_cannot_smooth_labels(loss) -> None:
    check_label_smoothing(loss, 0.0)
    with pytest.raises(ValueError, match=r"label_smoothing=0.1 goes with loss='cross_entropy' or 'logit_adj"):
        check_label_smoothing(loss, 0.1)
