import pytest
import torch
from torch.nn import functional as F

from metabalance.nn import CrossEntropy, FocalLoss, LogitAdjustedCrossEntropy, MemberLoss, class_logits


@pytest.mark.parametrize(
    "loss", [CrossEntropy(), FocalLoss(), LogitAdjustedCrossEntropy(torch.tensor([9.0, 1.0]))]
)
def test_without_weights_it_is_the_sum_of_the_members_losses(loss) -> None:
    output, target = torch.randn(7, 3, 1), torch.randint(2, (7,))
    expected = sum(loss(class_logits(output[:, member]), target) for member in range(3))
    torch.testing.assert_close(MemberLoss(loss)(output, target), expected)


def test_rows_count_for_the_members_that_do_not_hold_them_out() -> None:
    output, codes, group = torch.randn(12, 2, 3), torch.randint(3, (12,)), torch.arange(12) % 3
    weights = torch.tensor([[0.0, 3.0], [1.5, 0.0], [1.5, 0.0]])  # of three groups for two members
    found = MemberLoss(CrossEntropy(), weights)(output, torch.stack([codes, group], dim=1))
    one = F.cross_entropy(output[group > 0, 0], codes[group > 0])
    two = F.cross_entropy(output[group == 0, 1], codes[group == 0])
    torch.testing.assert_close(found, one + two)
