"""LDAM against its formula, written out row by row, and cosines against NumPy's."""

import numpy as np
import pytest
import torch

from metabalance.nn import CosineLinear, CrossEntropy, LDAMLoss

COUNTS = torch.tensor([5000.0, 50.0, 5.0])


def cosines(rows=40):
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.rand(rows, 3, generator=generator, dtype=torch.float64) - 1
    return logits, torch.randint(3, (rows,), generator=generator)


@pytest.mark.parametrize("max_margin", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_ldam_against_its_formula(max_margin, scale, weighted):
    logits, y = cosines()
    weight = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64) if weighted else None
    # Eq. 12 and 13: Δ_j = C / n_j^{1/4}, with C such that the largest is max_margin.
    c = max_margin * COUNTS.min().item() ** 0.25
    expected = []
    for z, k in zip(logits.numpy(), y.tolist(), strict=True):
        own = np.exp(scale * (z[k] - c / COUNTS[k].item() ** 0.25))
        others = sum(np.exp(scale * z[j]) for j in range(3) if j != k)
        expected.append(-np.log(own / (own + others)) * (1.0 if weight is None else weight[k].item()))
    loss = LDAMLoss(COUNTS.double(), max_margin, scale, weight)
    assert loss(scale * logits, y).item() == pytest.approx(np.mean(expected), rel=1e-10)


def test_without_margins_it_is_cross_entropy():
    logits, y = cosines()
    torch.testing.assert_close(
        LDAMLoss(COUNTS.double(), max_margin=0, scale=1)(logits, y), CrossEntropy()(logits, y)
    )


def test_rows_take_further_dimensions():
    logits, y = cosines(12)
    loss = LDAMLoss(COUNTS.double())
    stacked = loss.rows(logits.reshape(3, 4, 3), y.reshape(3, 4))
    torch.testing.assert_close(stacked.flatten(), loss.rows(logits, y))


def test_second_derivatives():
    logits, y = cosines(4)
    loss = LDAMLoss(COUNTS.double(), scale=3.0)
    assert torch.autograd.gradgradcheck(lambda z: loss(z, y), (logits.requires_grad_(),))


def test_cosines():
    head = CosineLinear(4, 3).double()
    x = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    w, found = head.weight.detach().numpy(), head(x).detach().numpy()
    for i in range(6):
        for k in range(3):
            expected = 30 * x[i].numpy() @ w[k] / np.linalg.norm(x[i].numpy()) / np.linalg.norm(w[k])
            assert found[i, k] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"counts": torch.tensor([1.0, 0.0])}, r"counts must be above 0 for every class, got \[1.0, 0.0\]"),
        ({"counts": torch.tensor(3.0)}, "counts must be above 0"),
        ({"counts": COUNTS, "max_margin": -0.1}, "max_margin must be at least 0 and finite, got -0.1"),
        ({"counts": COUNTS, "scale": 0.0}, "scale must be above 0 and finite, got 0.0"),
    ],
    ids=range(4),
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        LDAMLoss(**arguments)


def test_a_bad_scale_of_cosines():
    with pytest.raises(ValueError, match="scale must be above 0 and finite, got -1"):
        CosineLinear(4, 3, scale=-1)
