import numpy as np
import pytest
import torch
from torch.nn import functional as F

from metabalance.nn import CrossEntropy, FocalLoss, LogitAdjustedCrossEntropy, class_logits


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


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_logit_adjusted_loss_against_its_formula(tau: float, weighted: bool) -> None:
    logits, y = logits_and_targets()
    counts = torch.tensor([900.0, 90.0, 9.0, 1.0], dtype=torch.float64)
    weight = torch.tensor([0.5, 1.0, 2.0, 7.0], dtype=torch.float64) if weighted else None
    # Menon et al., eq. 11: log(1 + Σ_{k ≠ y} (π_k / π_y)^τ · e^{f_k − f_y})
    f, pi = logits.numpy(), counts.numpy() / 1000
    expected = np.mean(
        [
            (weight[c].item() if weighted else 1.0)
            * np.log1p(sum((pi[k] / pi[c]) ** tau * np.exp(f[i, k] - f[i, c]) for k in range(4) if k != c))
            for i, c in enumerate(y.tolist())
        ]
    )
    assert LogitAdjustedCrossEntropy(counts, tau, weight)(logits, y).item() == pytest.approx(expected, 1e-12)


def test_logit_adjusted_loss_is_least_at_the_balanced_posterior() -> None:
    # One input value, seen 90 times with class 0 and 10 times with class 1 in data of 900 to 50 rows: under a
    # balanced prior its odds are (90 / 900) : (10 / 50) = 1 : 2.
    y = torch.tensor([0] * 90 + [1] * 10)
    loss = LogitAdjustedCrossEntropy(torch.tensor([900.0, 50.0], dtype=torch.float64))
    z = torch.tensor([[0.0, np.log(2.0)]], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(z.expand(100, 2), y), z)
    torch.testing.assert_close(gradient, torch.zeros_like(z), atol=1e-12, rtol=0)


def test_wrong_adjustments() -> None:
    with pytest.raises(ValueError, match="tau must be at least 0 and finite, got -1"):
        LogitAdjustedCrossEntropy(torch.ones(2), tau=-1)
    with pytest.raises(ValueError, match=r"prior must be above 0 for every class, got \[1.0, 0.0\]"):
        LogitAdjustedCrossEntropy(torch.tensor([1.0, 0.0]))
    with pytest.raises(ValueError, match=r"above 0 for every class, got \[\[1.0, 1.0\]\]"):
        LogitAdjustedCrossEntropy(torch.ones(1, 2))
    with pytest.raises(TypeError, match=r"prior must be a tensor, got \[90, 10\]: pass torch.as_tensor"):
        LogitAdjustedCrossEntropy([90, 10])


@pytest.mark.parametrize("prior", [[np.inf, 1.0], [1e308, 1e308], [5e-324, 1e300]], ids=str)
def test_frequencies_without_finite_logarithms(prior: list[float]) -> None:
    with pytest.raises(ValueError, match=r"must give finite log-frequencies, got prior .* and tau 1\.0"):
        LogitAdjustedCrossEntropy(torch.tensor(prior, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"got prior .*0\.5\] and tau 1e\+308"):
        LogitAdjustedCrossEntropy(torch.tensor([1e-9, 0.5], dtype=torch.float64), tau=1e308)


def test_counts_of_rows_will_do_as_integers() -> None:
    loss = LogitAdjustedCrossEntropy(torch.tensor([90, 10]))
    assert loss(torch.zeros(1, 2), torch.tensor([1])).item() == pytest.approx(np.log(10), rel=1e-6)


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
    with pytest.raises(ValueError, match="gamma must be at least 0 and finite, got -1"):
        FocalLoss(-1)


def test_label_smoothing_against_torch() -> None:
    logits, target = logits_and_targets()
    expected = F.cross_entropy(logits, target, label_smoothing=0.3)
    torch.testing.assert_close(CrossEntropy(label_smoothing=0.3)(logits, target), expected)
    weight = torch.tensor([1.0, 2.0, 0.5, 4.0], dtype=logits.dtype)
    of_rows = F.cross_entropy(logits, target, reduction="none", label_smoothing=0.3)
    found = CrossEntropy(weight, label_smoothing=0.3)(logits, target)
    torch.testing.assert_close(found, (weight[target] * of_rows).mean())
    prior = torch.tensor([70.0, 20.0, 9.0, 1.0])
    expected = F.cross_entropy(logits + (prior / 100).log(), target, label_smoothing=0.3)
    found = LogitAdjustedCrossEntropy(prior, label_smoothing=0.3)(logits, target)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_wrong_smoothing(smoothing: float) -> None:
    with pytest.raises(ValueError, match="label_smoothing must be at least 0 and below 1"):
        CrossEntropy(label_smoothing=smoothing)
    with pytest.raises(ValueError, match="label_smoothing must be at least 0 and below 1"):
        LogitAdjustedCrossEntropy(torch.ones(2), label_smoothing=smoothing)


def test_smoothing_does_not_draw_rows_to_a_class_with_a_large_weight() -> None:
    loss = CrossEntropy(torch.tensor([0.5, 50.0]), label_smoothing=0.05)
    logits = torch.zeros(1, 2, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], line_search_fn="strong_wolfe", max_iter=100)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss(logits, torch.tensor([0]))
        value.backward()
        return value

    optimizer.step(closure)
    assert logits.softmax(-1)[0, 1].item() == pytest.approx(0.025, abs=1e-3)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_weights_go_with_logits_of_any_precision(dtype: torch.dtype) -> None:
    loss = CrossEntropy(torch.tensor([1.0, 10.0]))
    assert loss(torch.zeros(2, 2, dtype=dtype), torch.tensor([0, 1])).item() == pytest.approx(3.81, abs=0.03)
