import numpy as np
import pytest
import torch
from torch.nn import functional as F

from metabalance.nn import CrossEntropy, FocalLoss, class_logits


def logits_and_targets(n_classes: int = 4, dtype: torch.dtype = torch.float64):
    generator = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(50, n_classes, generator=generator, dtype=dtype)
    return logits, torch.randint(n_classes, (50,), generator=generator)


def test_a_single_logit_is_binary_cross_entropy() -> None:
    generator = torch.Generator().manual_seed(0)
    z = 4 * torch.randn(30, 1, generator=generator, dtype=torch.float64)
    y = torch.randint(2, (30,), generator=generator)
    expected = F.binary_cross_entropy_with_logits(z[:, 0], y.double())
    torch.testing.assert_close(CrossEntropy()(class_logits(z), y), expected)
    torch.testing.assert_close(CrossEntropy()(class_logits(z[:, 0]), y), expected)


def test_several_logits_pass_through() -> None:
    logits, _ = logits_and_targets()
    assert class_logits(logits) is logits


def test_weighted_cross_entropy_is_a_mean_over_rows() -> None:
    logits, y = logits_and_targets()
    weight = torch.tensor([0.5, 1.0, 2.0, 7.0], dtype=torch.float64)
    p = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(axis=1, keepdims=True)
    expected = np.mean([-weight[c].item() * np.log(p[i, c]) for i, c in enumerate(y.tolist())])
    assert CrossEntropy(weight)(logits, y).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_focal_loss_against_its_formula(gamma: float, weighted: bool, n_classes: int) -> None:
    logits, y = logits_and_targets(n_classes)
    weight = torch.arange(1, n_classes + 1, dtype=torch.float64) if weighted else None
    p = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(axis=1, keepdims=True)
    true = p[np.arange(50), y.numpy()]
    w = weight.numpy()[y.numpy()] if weighted else 1.0
    expected = np.mean(-w * (1 - true) ** gamma * np.log(true))
    assert FocalLoss(gamma, weight)(logits, y).item() == pytest.approx(expected, rel=1e-10)


def test_focal_loss_derivatives() -> None:
    logits, y = logits_and_targets()
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: FocalLoss(2.0)(z, y), logits)
    assert torch.autograd.gradgradcheck(lambda z: FocalLoss(2.0)(z, y), logits)


def test_focal_loss_is_finite_where_a_row_is_certain() -> None:
    logits = torch.tensor([[200.0, 0.0], [0.0, 200.0]], requires_grad=True)
    loss = FocalLoss(0.5)(logits, torch.tensor([0, 0]))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()


def test_negative_gamma() -> None:
    with pytest.raises(ValueError, match="gamma must be at least 0, got -1"):
        FocalLoss(-1)
