"""LDAM and CosFace against their formulas, written out row by row, and cosines against NumPy's."""

import copy

import numpy as np
import pytest
import pytorch_metric_learning.losses
import torch
from torch import nn

from metabalance.meta import MetaGradient
from metabalance.nn import (
    CosFaceLoss,
    CosineLinear,
    CrossEntropy,
    FocalLoss,
    LDAMLoss,
    MarginLoss,
    ResNet,
    weight_decay_groups,
)
from metabalance.nn.margins import cosines

COUNTS = torch.tensor([5000.0, 50.0, 5.0])


def logits_and_targets(rows=40):
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.rand(rows, 3, generator=generator, dtype=torch.float64) - 1
    return logits, torch.randint(3, (rows,), generator=generator)


@pytest.mark.parametrize("max_margin", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_ldam_against_its_formula(max_margin, scale, weighted):
    logits, y = logits_and_targets()
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
    logits, y = logits_and_targets()
    torch.testing.assert_close(
        LDAMLoss(COUNTS.double(), max_margin=0, scale=1)(logits, y), CrossEntropy()(logits, y)
    )


def test_rows_take_further_dimensions():
    logits, y = logits_and_targets(12)
    loss = LDAMLoss(COUNTS.double())
    stacked = loss.rows(logits.reshape(3, 4, 3), y.reshape(3, 4))
    torch.testing.assert_close(stacked.flatten(), loss.rows(logits, y))


def test_second_derivatives():
    logits, y = logits_and_targets(4)
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


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("margin", "scale"), [(0.35, 30.0), (0.0, 64.0), (0.5, 1.0)])
def test_cosface_against_its_formula(dtype, margin, scale):
    x, y = torch.randn(7, 4, generator=torch.Generator().manual_seed(1)).to(dtype), torch.arange(7) % 3
    head = CosineLinear(4, 3, scale).to(dtype)
    found = CosFaceLoss(margin, scale)(head(x), y)
    # Eq. 4, written out; half precision is of the features and weights only.
    f, w = x.double().numpy(), head.weight.detach().double().numpy()
    cos = f @ w.T / np.linalg.norm(f, axis=1)[:, None] / np.linalg.norm(w, axis=1)
    rows = []
    for i, k in enumerate(y.tolist()):
        own = np.exp(scale * (cos[i, k] - margin))
        others = sum(np.exp(scale * cos[i, j]) for j in range(3) if j != k)
        rows.append(-np.log(own / (own + others)))
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert found.item() == pytest.approx(np.mean(rows), rel=1e-10 if dtype == torch.float64 else 1e-4)


@pytest.mark.parametrize("scale", [30.0, 64.0])
def test_cosface_is_that_of_pytorch_metric_learning(scale):
    theirs = pytorch_metric_learning.losses.CosFaceLoss(
        num_classes=5, embedding_size=8, margin=0.35, scale=scale
    ).double()
    head = CosineLinear(8, 5, scale).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        head.weight.copy_(torch.randn(5, 8, dtype=torch.float64, generator=generator))
        theirs.W.copy_(head.weight.T)
    x = torch.randn(12, 8, dtype=torch.float64, generator=generator)
    y = torch.arange(12) % 5
    pairs = []
    for loss, weight in (
        (lambda z: theirs(z, y), theirs.W),
        (lambda z: CosFaceLoss(0.35, scale)(head(z), y), head.weight),
    ):
        z = x.clone().requires_grad_()
        value = loss(z)
        value.backward()
        pairs.append((value, z.grad, weight.grad if weight is head.weight else weight.grad.T))
    torch.testing.assert_close(pairs[1], pairs[0])


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_a_focal_loss_with_a_margin_has_exact_derivatives(gamma):
    y = torch.tensor([0, 2, 1])
    loss = CosFaceLoss(0.2, scale=4.0, loss=FocalLoss(gamma, weight=torch.tensor([1.0, 2.0, 0.5]).double()))
    x = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    w = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)

    def value(features, directions):
        return loss(4.0 * cosines(features, directions), y)

    assert torch.autograd.gradcheck(value, (x, w))
    assert torch.autograd.gradgradcheck(value, (x, w))
    # Each row by hand: the margin set the true class back, then focal loss on the softmax.
    logits = 4.0 * (cosines(x, w) - 0.2 * torch.nn.functional.one_hot(y, 3))
    p = logits.softmax(-1)[torch.arange(3), y]
    by_hand = (torch.tensor([1.0, 2.0, 0.5])[y] * -((1 - p) ** gamma) * p.log()).mean()
    torch.testing.assert_close(value(x, w), by_hand)


@pytest.mark.parametrize(("engine", "order"), [("loop", "exact"), ("vectorized", "exact"), ("loop", "first")])
def test_the_meta_gradient_goes_through_margin_head_and_focal_loss(engine, order):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), CosineLinear(8, 4)).double()
    loss = CosFaceLoss(loss=FocalLoss())
    x, z = torch.randn(2, 2, 10, 6, dtype=torch.float64)
    y, t = torch.randint(4, (2, 2, 10))
    MetaGradient(model, loss, inner_lr=0.1, beta=0.5, order=order, engine=engine).backward((x, y), (z, t))
    found = [parameter.grad for parameter in model.parameters()]
    # By finite differences of the outer loss, whose inner step is a number where the order is the first.
    start = torch.nn.utils.parameters_to_vector(model.parameters()).detach()

    def outer(vector, inner_at):
        total = 0.0
        for s in range(2):
            torch.nn.utils.vector_to_parameters(inner_at, model.parameters())
            step = torch.autograd.grad(loss(model(x[s]), y[s]), list(model.parameters()))
            moved = vector - 0.1 * torch.nn.utils.parameters_to_vector(step)
            torch.nn.utils.vector_to_parameters(moved, model.parameters())
            total += loss(model(z[s]), t[s]).item()
            torch.nn.utils.vector_to_parameters(vector, model.parameters())
            total += 0.5 * loss(model(x[s]), y[s]).item()
        return total / 2

    flat = torch.nn.utils.parameters_to_vector(found)
    for place in range(0, len(start), 7):
        ahead, behind = start.clone(), start.clone()
        ahead[place] += 1e-5
        behind[place] -= 1e-5
        at = (ahead, behind) if order == "exact" else (start, start)
        slope = (outer(ahead, at[0]) - outer(behind, at[1])) / 2e-5
        assert flat[place].item() == pytest.approx(slope, rel=1e-5, abs=1e-7)


def test_cosines_keep_their_precision_under_autocast():
    head = CosineLinear(64, 10, scale=64)
    x = torch.randn(32, 64, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = head(x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, head(x), rtol=0, atol=1e-5)


def test_the_meta_gradient_of_a_network_with_batch_norm_under_autocast():
    torch.manual_seed(0)
    model = ResNet(6, blocks=(1, 1), width=4, cosine_scale=30.0)
    loss, (x, z) = CosFaceLoss(loss=FocalLoss()), torch.randn(2, 2, 16, 3, 12, 12)
    y, t = torch.randint(6, (2, 2, 16))
    gradients, losses = [], []
    for enabled in (False, True):
        same = copy.deepcopy(model)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            found = MetaGradient(same, loss, inner_lr=0.05).backward((x, y), (z, t))
        losses.append(float(found.query))
        gradients.append(torch.cat([each.grad.flatten() for each in same.parameters()]))
    assert bool(gradients[1].isfinite().all())
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert torch.cosine_similarity(*gradients, dim=0) > 0.99
    assert (gradients[1] - gradients[0]).norm() < 0.15 * gradients[0].norm()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"margin": -0.1}, ValueError, "margin must be at least 0 and finite, got -0.1"),
        ({"scale": 0}, ValueError, "scale must be above 0 and finite, got 0"),
        ({"loss": nn.CrossEntropyLoss()}, TypeError, r"loss must be a metabalance.nn.RowLoss, such as Focal"),
    ],
    ids=range(3),
)
def test_bad_arguments_of_cosface(arguments, error, message):
    with pytest.raises(error, match=message):
        CosFaceLoss(**arguments)


def test_features_that_are_all_zero_have_finite_second_derivatives():
    x = torch.zeros(3, 4, dtype=torch.float64)
    x[0] = 1.0
    x.requires_grad_()
    w = torch.eye(4, 3, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad((30 * cosines(x, w)).exp().log().sum(), x, create_graph=True)
    second = torch.autograd.grad(first.square().sum(), (x, w))
    assert all(bool(each.isfinite().all()) for each in second)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 3), nn.ReLU(), CosineLinear(3, 2))
    rows, y = torch.randn(2, 1, 64, 6), torch.randint(2, (2, 1, 64))
    assert not net[:2](rows[0, 0]).any(dim=1).all()  # some rows are dead
    MetaGradient(net, LDAMLoss(COUNTS[:2]), inner_lr=0.1).backward((rows[0], y[0]), (rows[1], y[1]))
    assert all(bool(each.grad.isfinite().all()) for each in net.parameters())


@pytest.mark.parametrize("margins", [-1.0, float("inf"), torch.ones(2, 2), torch.tensor([0.1, -0.1])])
def test_bad_margins(margins):
    with pytest.raises(ValueError, match="margins must be one number, or one for each class, at least 0 and"):
        MarginLoss(margins, 30.0, CrossEntropy())
    assert MarginLoss(0.3, 30.0, CrossEntropy()).margins.item() == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: CosFaceLoss(margin="x"), TypeError, "margin must be a number, got 'x'"),
        (lambda: CosFaceLoss(scale=0), ValueError, "scale must be above 0 and finite, got 0"),
        (lambda: CosineLinear(8, 3, scale="30"), TypeError, "scale must be a number, got '30'"),
        (lambda: CosineLinear(8, 0), ValueError, "n_outputs must be at least 1, got 0"),
        (lambda: CosineLinear(2.5, 3), TypeError, "n_inputs must be a whole number, got 2.5"),
        (lambda: FocalLoss("2"), TypeError, "gamma must be a number, got '2'"),
        (lambda: FocalLoss(weight=[1, 2]), TypeError, "weight must be a tensor with a number for each class"),
        (lambda: FocalLoss(weight=torch.tensor([-1.0, 1.0])), ValueError, "at least 0 for each class, got"),
        (lambda: FocalLoss(weight=torch.ones(2, 2)), ValueError, "weight must be one finite number"),
        (lambda: weight_decay_groups(nn.Linear(2, 2), "x"), TypeError, "weight_decay must be a number"),
        (
            lambda: weight_decay_groups(nn.Linear(2, 2).parameters(), 0.1),
            TypeError,
            "must be a torch.nn",
        ),
    ],
)
def test_numbers_that_are_none(make, error, message) -> None:
    with pytest.raises(error, match=message):
        make()
