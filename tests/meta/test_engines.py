"""The engines agree with each other, and each keeps what it promises."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from metabalance.meta import MetaGradient
from metabalance.meta.algorithm import Algorithm
from metabalance.meta.engines import loop, vectorized
from metabalance.meta.update import Update


def _algorithm(model, loss_fn, **kwargs) -> Algorithm:
    settings = {"inner_lr": 0.3, "beta": 0.4, "order": "exact", "buffers": "both"} | kwargs
    return Algorithm(model=model, loss_fn=loss_fn, **settings)


@pytest.mark.parametrize("order", ["exact", "first"])
@pytest.mark.parametrize("inner_lr", [0.0, 0.3])
def test_engines_agree(case, order, inner_lr):
    if not case.vectorizes:
        with pytest.raises(
            ValueError, match="BatchNorm2d '1' in training mode: use engine='loop', or LayerNorm"
        ):
            MetaGradient(case.model, case.loss_fn, inner_lr=0.3, engine="vectorized").backward(
                case.support, case.query
            )
        case.model.eval()
    losses, gradients = [], []
    for engine in ("loop", "vectorized"):
        case.model.zero_grad()
        meta = MetaGradient(case.model, case.loss_fn, inner_lr=inner_lr, beta=0.4, order=order, engine=engine)
        losses.append(meta.backward(case.support, case.query))
        gradients.append([p.grad for p in case.model.parameters()])
    for one, other in zip(*losses, strict=True):
        assert abs(one - other) < 1e-10
    for one, other in zip(*gradients, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


class Saved:
    """Counts the elements of the tensors that autograd graphs hold."""

    live = peak = 0

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        Saved.live += tensor.numel()
        Saved.peak = max(Saved.peak, Saved.live)

    def __del__(self) -> None:
        Saved.live -= self.tensor.numel()


def _peak(engine, order: str, meta_steps: int, **kwargs) -> int:
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    x, y = torch.randn(meta_steps, 5, 4), torch.randint(3, (meta_steps, 5))
    Saved.live = Saved.peak = 0
    with torch.autograd.graph.saved_tensors_hooks(Saved, lambda saved: saved.tensor):
        outer = engine(
            _algorithm(model, cross_entropy, order=order, **kwargs),
            Update(dict(model.named_parameters()), {}, (x, y), (x, y)),
        )
    assert Saved.live == 0
    assert not any(
        t.requires_grad for t in (*outer.gradients.values(), outer.support_losses, outer.query_losses)
    )
    return Saved.peak


@pytest.mark.parametrize("order", ["exact", "first"])
def test_the_loop_holds_the_graph_of_one_meta_step(order):
    assert _peak(loop, order, 2) == _peak(loop, order, 16) < _peak(vectorized, order, 16)


def test_first_order_holds_less_than_exact():
    assert _peak(loop, "first", 2) < _peak(loop, "exact", 2)


@pytest.mark.parametrize("beta", [0.0, 0.4])
def test_without_an_inner_step_exact_builds_no_second_order_graph(beta):
    assert _peak(loop, "exact", 2, inner_lr=0.0, beta=beta) <= _peak(loop, "first", 2)


@pytest.mark.parametrize("engine", [loop, vectorized])
def test_dropout_draws_fresh_masks_in_every_pass_and_meta_step(engine):
    # Weights 2^-i make the output spell out the mask: two of 40 places agree with probability 2^-40.
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(40, 1, bias=False)).double()
    with torch.no_grad():
        model[1].weight.copy_(0.5 ** torch.arange(40))
    ones = torch.ones(30, 1, 40, dtype=torch.float64)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        outer = engine(
            _algorithm(model, lambda output, _: output.sum(), inner_lr=0.0),
            Update(dict(model.named_parameters()), {}, (ones, ones), (ones, ones)),
        )
    assert torch.cat([outer.support_losses, outer.query_losses]).unique().numel() == 60


def test_a_padding_row_has_no_gradient_and_is_not_vectorized() -> None:
    model = nn.Sequential(nn.Embedding(5, 3, padding_idx=0), nn.Flatten(1), nn.Linear(6, 2)).double()
    ids, labels = torch.tensor([[[0, 1], [0, 2], [3, 0]]] * 2), torch.tensor([[0, 1, 0]] * 2)
    MetaGradient(model, nn.CrossEntropyLoss(), inner_lr=0.1).backward((ids, labels), (ids, labels))
    assert (model[0].weight.grad[0] == 0).all()
    assert (model[0].weight.grad[1] != 0).any()
    with pytest.raises(ValueError, match="padding row of the Embedding '0' a gradient"):
        MetaGradient(model, nn.CrossEntropyLoss(), inner_lr=0.1, engine="vectorized").backward(
            (ids, labels), (ids, labels)
        )


@pytest.mark.parametrize("engine", ["loop", "vectorized"])
def test_a_loss_may_read_the_models_parameters(engine: str) -> None:
    model = nn.Linear(3, 2).double()

    def penalised(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(output, target) + 10 * model.weight.square().sum()

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 6, 3, generator=generator, dtype=torch.float64)
    y = torch.randint(2, (2, 6), generator=generator)
    MetaGradient(model, penalised, inner_lr=0.02, engine=engine).backward((x, y), (x, y))
    weight, bias = (p.detach().clone().requires_grad_() for p in model.parameters())
    total = torch.zeros((), dtype=torch.float64)
    for s in range(2):
        w, b = weight, bias
        for last in (False, True):
            loss = nn.functional.cross_entropy(x[s] @ w.T + b, y[s]) + 10 * w.square().sum()
            if not last:
                g_w, g_b = torch.autograd.grad(loss, (weight, bias), create_graph=True)
                w, b = weight - 0.02 * g_w, bias - 0.02 * g_b
        total = total + loss / 2
    for found, expected in zip(model.parameters(), torch.autograd.grad(total, (weight, bias)), strict=True):
        torch.testing.assert_close(found.grad, expected, rtol=1e-10, atol=1e-12)


def test_a_padding_row_in_the_forward_pass_is_left_to_the_loop():
    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.embedding(x, self.table.weight, padding_idx=0).sum(-2)

    model = Padded()
    pair = torch.randint(4, (3, 5, 2)), torch.randint(3, (3, 5))
    with pytest.raises(RuntimeError, match="padding row of an embedding"):
        MetaGradient(model, cross_entropy, inner_lr=0.1, engine="vectorized").backward(pair, pair)
    with pytest.warns(UserWarning, match="cannot run under torch.func.vmap"):
        MetaGradient(model, cross_entropy, inner_lr=0.1).backward(pair, pair)
    assert (model.table.weight.grad[0] == 0).all()


def test_backward_hooks_are_left_to_the_loop():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 3))
    called = []
    model[1].register_full_backward_hook(lambda *args: called.append(args))
    pair = torch.randn(3, 5, 4), torch.randint(3, (3, 5))
    with pytest.raises(ValueError, match="would not run the backward hooks of Linear '1'"):
        MetaGradient(model, cross_entropy, inner_lr=0.1, engine="vectorized").backward(pair, pair)
    MetaGradient(model, cross_entropy, inner_lr=0.1).backward(pair, pair)
    assert called
