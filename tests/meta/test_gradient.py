"""The outer gradient against finite differences, closed forms, plain autograd and hand computation."""

import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from metabalance.meta import MetaGradient

INNER_LR, BETA = 0.3, 0.4
STEPS = 3


def outer_objective(case) -> float:
    """Σ_s L_Z(θ'_s) + beta·L_X(θ), with the inner step taken in place and taken back."""
    params = list(case.trainable().values())
    total = 0.0
    for s in range(STEPS):
        # case.loss copies the model, so the derivative is taken by the parameters that are handed in.
        leaf = {name: p.detach().clone().requires_grad_() for name, p in case.trainable().items()}
        support = case.loss(leaf, case.support, s)
        inner = torch.autograd.grad(support, list(leaf.values()), allow_unused=True)
        before = [p.detach().clone() for p in params]
        with torch.no_grad():
            for p, g in zip(params, inner, strict=True):
                p -= 0 if g is None else INNER_LR * g
            total += float(case.loss({}, case.query, s)) + BETA * support.item()
            for p, value in zip(params, before, strict=True):
                p.copy_(value)
    return total


def finite_differences(case, eps: float = 1e-5) -> dict[str, Tensor]:
    gradients = {}
    for name, p in case.trainable().items():
        gradients[name] = torch.zeros_like(p)
        flat, out = p.detach().view(-1), gradients[name].view(-1)
        for i in range(flat.numel()):
            value = float(flat[i])
            flat[i] = value + eps
            above = outer_objective(case)
            flat[i] = value - eps
            out[i] = (above - outer_objective(case)) / (2 * eps)
            flat[i] = value
    return gradients


def gradients_of(case, **kwargs) -> dict[str, Tensor | None]:
    case.model.zero_grad()
    settings = {"inner_lr": INNER_LR, "beta": BETA, "reduction": "sum"} | kwargs
    MetaGradient(case.model, case.loss_fn, **settings).backward(case.support, case.query)
    return {name: p.grad for name, p in case.trainable().items()}


def assert_same(found, expected, atol: float = 1e-10) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if value is None:
            assert found[name] is None, name
        else:
            torch.testing.assert_close(
                found[name], value, rtol=0, atol=atol, msg=lambda m, name=name: f"{name}: {m}"
            )


def test_exact_gradient_agrees_with_finite_differences(case):
    numeric = finite_differences(case)
    exact = gradients_of(case)
    size = torch.cat([g.flatten() for g in numeric.values()]).norm()
    for name, expected in numeric.items():
        found = torch.zeros_like(expected) if exact[name] is None else exact[name]
        assert (found - expected).norm() <= 1e-6 * expected.norm() + 1e-9 * size, name


@pytest.mark.parametrize("order", ["exact", "first"])
def test_loop_agrees_with_plain_autograd(case, order):
    assert_same(gradients_of(case, engine="loop", order=order), case.reference(INNER_LR, BETA, order))


def test_the_hessian_matters_in_the_sweep(mlp_case):
    exact, first = gradients_of(mlp_case), gradients_of(mlp_case, order="first")
    assert (exact["0.weight"] - first["0.weight"]).norm() > 1e-2 * exact["0.weight"].norm()


def test_mean_is_the_sum_divided_by_the_meta_steps(case):
    total = gradients_of(case)
    assert_same(
        gradients_of(case, reduction="mean"), {n: None if g is None else g / STEPS for n, g in total.items()}
    )


def test_linear_regression_has_the_closed_form():
    generator = torch.Generator().manual_seed(0)
    x, z = (torch.randn(1, n, 3, generator=generator, dtype=torch.float64) for n in (6, 4))
    y, t = (torch.randn(1, n, 1, generator=generator, dtype=torch.float64) for n in (6, 4))
    model = nn.Linear(3, 1, bias=False).double()
    theta = model.weight.detach().T.clone()

    def gradient(features: Tensor, target: Tensor, at: Tensor) -> Tensor:
        return 2 / len(features) * features.T @ (features @ at - target)

    hessian = 2 / 6 * x[0].T @ x[0]
    g_support = gradient(x[0], y[0], theta)
    g_query = gradient(z[0], t[0], theta - INNER_LR * g_support)
    expected = (torch.eye(3, dtype=torch.float64) - INNER_LR * hessian) @ g_query + BETA * g_support
    MetaGradient(model, mse_loss, inner_lr=INNER_LR, beta=BETA).backward((x, y), (z, t))
    torch.testing.assert_close(model.weight.grad, expected.T, rtol=0, atol=1e-12)


@pytest.mark.parametrize("engine", ["loop", "vectorized"])
def test_quadratic_has_the_closed_form(engine):
    class Quadratic(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.theta = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))

        def forward(self, matrix: Tensor) -> Tensor:
            return 0.5 * self.theta @ matrix @ self.theta

    support = torch.tensor([[[2.0, 0.5], [0.5, 1.0]], [[1.0, 0.0], [0.0, 3.0]]], dtype=torch.float64)
    query = torch.tensor([[[1.0, 0.2], [0.2, 2.0]], [[0.5, 0.1], [0.1, 1.0]]], dtype=torch.float64)
    no_target = torch.zeros(2, 1)
    model = Quadratic()
    theta = model.theta.detach().clone()
    identity = torch.eye(2, dtype=torch.float64)
    expected = sum(
        (identity - INNER_LR * a) @ b @ (identity - INNER_LR * a) @ theta + BETA * a @ theta
        for a, b in zip(support, query, strict=True)
    )
    meta = MetaGradient(
        model, lambda output, _: output, inner_lr=INNER_LR, beta=BETA, reduction="sum", engine=engine
    )
    losses = meta.backward((support, no_target), (query, no_target))
    torch.testing.assert_close(model.theta.grad, expected, rtol=0, atol=1e-12)
    support_loss = sum(0.5 * theta @ a @ theta for a in support)
    torch.testing.assert_close(losses.support, support_loss)
    torch.testing.assert_close(losses.total, losses.query + BETA * losses.support)


def test_first_order_is_the_gradient_at_the_adapted_parameters_plus_beta(mlp_case):
    case = mlp_case
    expected = {name: torch.zeros_like(p) for name, p in case.trainable().items()}
    for s in range(STEPS):
        theta = {name: p.detach().clone().requires_grad_() for name, p in case.trainable().items()}
        g_support = torch.autograd.grad(case.loss(theta, case.support, s), list(theta.values()))
        moved = {
            name: (p - INNER_LR * g).detach().requires_grad_()
            for (name, p), g in zip(theta.items(), g_support, strict=True)
        }
        g_query = torch.autograd.grad(case.loss(moved, case.query, s), list(moved.values()))
        for name, g_z, g_x in zip(theta, g_query, g_support, strict=True):
            expected[name] += g_z + BETA * g_x
    assert_same(gradients_of(case, order="first"), expected)


@pytest.mark.parametrize("engine", ["loop", "auto"])
@pytest.mark.parametrize("beta", [0.0, 0.7])
def test_without_an_inner_step_it_is_plain_backward(case, engine, beta):
    found = gradients_of(case, inner_lr=0.0, beta=beta, engine=engine, reduction="mean")
    case.model.zero_grad()
    params = case.trainable()
    losses = [
        case.loss(params, case.query, s) + beta * case.loss(params, case.support, s) for s in range(STEPS)
    ]
    torch.stack(losses).mean().backward()
    assert_same(found, {name: p.grad for name, p in params.items()})


def test_losses_are_detached_scalars_of_both_passes(mlp_case):
    case = mlp_case
    meta = MetaGradient(case.model, case.loss_fn, inner_lr=0.0, beta=BETA)
    losses = meta.backward(case.support, case.query)
    params = case.trainable()
    expected = [
        torch.stack([case.loss(params, p, s) for s in range(STEPS)]) for p in (case.support, case.query)
    ]
    assert all(loss.shape == () and not loss.requires_grad for loss in losses)
    torch.testing.assert_close(losses.support, expected[0].detach().mean())
    torch.testing.assert_close(losses.query, expected[1].detach().mean())
    torch.testing.assert_close(losses.total, losses.query + BETA * losses.support)


def test_two_calls_accumulate_in_place_and_parameters_stay(case):
    before = {name: p.detach().clone() for name, p in case.model.named_parameters()}
    once = {name: None if g is None else g.clone() for name, g in gradients_of(case).items()}
    meta = MetaGradient(
        case.model, case.loss_fn, inner_lr=INNER_LR, beta=BETA, reduction="sum", buffers="frozen"
    )
    case.model.zero_grad()
    meta.backward(case.support, case.query)
    held = {name: p.grad for name, p in case.trainable().items()}
    meta.backward(case.support, case.query)
    assert all(p.grad is held[name] for name, p in case.trainable().items())
    assert_same(held, {name: None if g is None else 2 * g for name, g in once.items()})
    assert all(torch.equal(p, before[name]) for name, p in case.model.named_parameters())


@pytest.mark.parametrize("engine", ["loop", "vectorized"])
def test_unreached_and_frozen_parameters_keep_their_grad(engine):
    model = nn.ModuleDict({"used": nn.Linear(2, 1), "unused": nn.Linear(2, 1), "frozen": nn.Linear(1, 1)})
    model["frozen"].requires_grad_(False)
    model["unused"].bias.grad = torch.full((1,), 5.0)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = model

        def forward(self, x: Tensor) -> Tensor:
            return self.parts["frozen"](self.parts["used"](x))

    x, y = torch.ones(2, 3, 2), torch.zeros(2, 3, 1)
    MetaGradient(Net(), mse_loss, inner_lr=0.1, engine=engine).backward((x, y), (x, y))
    assert model["used"].weight.grad is not None
    assert model["unused"].weight.grad is None
    assert model["unused"].bias.grad == 5
    assert model["frozen"].weight.grad is None


def test_parameters_may_be_frozen_or_replaced_between_calls(mlp_case):
    case = mlp_case
    meta = MetaGradient(case.model, case.loss_fn, inner_lr=INNER_LR, beta=BETA, reduction="sum")
    meta.backward(case.support, case.query)
    case.model[0].requires_grad_(False)
    case.model[3] = nn.Linear(5, 3).double()
    case.model.zero_grad()
    meta.backward(case.support, case.query)
    assert case.model[0].weight.grad is None
    assert_same({n: p.grad for n, p in case.trainable().items()}, case.reference(INNER_LR, BETA))


@pytest.mark.parametrize("engine", ["loop", "vectorized"])
@pytest.mark.parametrize("beta", [0.0, BETA])
def test_bfloat16_autocast_is_close_to_float32(mlp_case, engine, beta):
    case = mlp_case
    case.model.float()
    case.support, case.query = ((x.float(), y) for x, y in (case.support, case.query))
    full = {name: g.clone() for name, g in gradients_of(case, engine=engine, beta=beta).items()}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = gradients_of(case, engine=engine, beta=beta)
    size = torch.cat([g.flatten() for g in full.values()]).norm()
    for name, g in half.items():
        assert g.dtype == torch.float32
        # bfloat16 has 8 bits of mantissa; a few roundings of the whole gradient's size are allowed.
        assert (g - full[name]).norm() < 0.03 * size, name


@pytest.mark.parametrize("engine", ["loop", "vectorized"])
def test_gradients_are_laid_out_like_their_parameters(engine):
    class Turned(nn.Linear):
        def forward(self, x):
            return x @ self.weight.t().contiguous() + self.bias

    model = Turned(4, 3)
    x, y = torch.randn(2, 5, 4), torch.randint(3, (2, 5))
    MetaGradient(model, nn.functional.cross_entropy, inner_lr=0.1, engine=engine).backward((x, y), (x, y))
    assert [p.grad.stride() for p in model.parameters()] == [p.stride() for p in model.parameters()]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_with_cpu(case):
    # Copies: a module that is moved takes the very tensors of its gradients along.
    expected = {name: None if g is None else g.clone() for name, g in gradients_of(case).items()}

    def to_cuda(part):
        if isinstance(part, dict):
            return {key: to_cuda(value) for key, value in part.items()}
        return tuple(map(to_cuda, part)) if isinstance(part, tuple) else part.cuda()

    case.model.cuda()
    case.support, case.query = to_cuda(case.support), to_cuda(case.query)
    found = {name: None if g is None else g.cpu() for name, g in gradients_of(case).items()}
    assert_same(found, expected, atol=1e-9)


@pytest.mark.parametrize("engine", ["loop", "vectorized", "compiled"])
def test_a_module_that_stands_in_the_model_twice_keeps_its_parameters(engine):
    torch.manual_seed(0)
    layer = torch.nn.Linear(3, 3)
    model = torch.nn.Sequential(layer, torch.nn.Tanh(), layer, torch.nn.Linear(3, 2))
    before = dict(model.named_parameters())
    batch = torch.randn(2, 4, 3), torch.randint(2, (2, 4))
    meta = MetaGradient(model, torch.nn.CrossEntropyLoss(), inner_lr=0.1, engine=engine)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # not torch's own, when it first compiles
        for _ in range(2):
            meta.backward(batch, batch)
    assert all(parameter is before[name] for name, parameter in model.named_parameters())
    assert layer.weight.grad.abs().max() > 0
