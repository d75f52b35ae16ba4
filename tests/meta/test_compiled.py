"""The compiled engine: its formula on every module, and what it notices between updates."""

import sys

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from metabalance.meta import MetaGradient
from metabalance.meta.algorithm import Algorithm
from metabalance.meta.compiled import _may_change, _outer_gradient
from metabalance.meta.functional import aliases_of
from metabalance.meta.update import Update
from tests.meta.compiling import assert_same, batches, gradients, graphs, updates

pytestmark = pytest.mark.usefixtures("compiled_anew")


@pytest.mark.parametrize("order", ["exact", "first"])
@pytest.mark.parametrize(("inner_lr", "beta"), [(0.0, 0.0), (0.0, 0.4), (0.3, 0.0), (0.3, 0.4)])
def test_the_function_that_is_compiled_is_the_outer_gradient(case, order, inner_lr, beta):
    case.model.eval()  # BatchNorm cannot be vectorized in training mode; no module here has dropout
    algorithm = Algorithm(case.model, case.loss_fn, inner_lr, beta, order, "both")
    steps = torch.tensor([inner_lr, beta], dtype=torch.float64)
    update = Update(case.trainable(), {}, case.support, case.query)
    with torch.no_grad():
        gradients, support_losses, query_losses, finite, nonzero = _outer_gradient(
            algorithm.loss_of, aliases_of(algorithm.model), algorithm.terms, False, *steps, update
        )
    assert finite
    assert nonzero.tolist() == [bool(gradient.any()) for gradient in gradients.values()]
    expected = case.reference(inner_lr, beta, order)
    for name, gradient in gradients.items():
        reference = torch.zeros_like(gradient) if expected[name] is None else expected[name]
        torch.testing.assert_close(gradient, reference, rtol=0, atol=1e-10)
    losses = MetaGradient(
        case.model, case.loss_fn, inner_lr=inner_lr, engine="loop", reduction="sum"
    ).backward(case.support, case.query)
    torch.testing.assert_close(support_losses.sum(), losses.support)
    torch.testing.assert_close(query_losses.sum(), losses.query)


class PartlyUnused(nn.Module):
    """Dropout, and a layer that no loss reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 3))
        self.unused = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


def test_compiled_updates_are_those_of_the_vectorized_engine_with_the_same_seed():
    found = []
    for engine in ("vectorized", "compiled"):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            found.append(updates(PartlyUnused(), engine, 3))
    assert graphs() == 1
    assert_same(*found)


def test_compiled_once_for_models_of_the_same_structure_and_all_settings_of_the_same_terms():
    models = [nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)) for _ in range(3)]
    for model, inner_lr, beta in zip(models, (0.3, 0.01, 1.0), (0.4, 0.1, 0.9), strict=True):
        assert_same(
            updates(model, "compiled", 2, inner_lr=inner_lr, beta=beta),
            updates(model, "vectorized", 2, inner_lr=inner_lr, beta=beta),
        )
    assert graphs() == 1


def test_what_is_changed_in_the_model_is_noticed():
    model = nn.Sequential(nn.Dropout(0.0), nn.Linear(4, 3))
    meta = MetaGradient(model, cross_entropy, inner_lr=0.1, engine="compiled")
    support, query = batches()
    for _ in range(2):
        meta.backward(support, query)
    model[0].p = 1.0  # every input is dropped from now on
    model.zero_grad()
    meta.backward(support, query)
    assert (model[1].weight.grad == 0).all()
    assert (model[1].bias.grad != 0).any()
    model[0].eval()
    model.zero_grad()
    meta.backward(support, query)
    assert (model[1].weight.grad != 0).any()


def test_hooks_that_come_and_go_are_noticed():
    model = nn.Linear(4, 3)
    meta = MetaGradient(model, cross_entropy, inner_lr=0.1, engine="compiled")
    support, query = batches()

    def update() -> bool:
        model.zero_grad()
        meta.backward(support, query)
        return bool(model.weight.grad.any())

    assert [update() for _ in range(2)] == [True, True]
    for register in (
        lambda: model.register_forward_hook(lambda module, args, output: 0 * output),
        lambda: model.register_forward_pre_hook(lambda module, args: 0 * args[0]),
    ):
        handle = register()
        assert [update() for _ in range(2)] == [False, False]
        handle.remove()
        assert update()


SCALE = 1.0


class Scaled(nn.Linear):
    """A forward that reads a global of the module it is written in."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(SCALE * x)


def test_a_global_setting_that_is_changed_is_noticed(monkeypatch):
    model = Scaled(4, 3)
    meta = MetaGradient(model, cross_entropy, inner_lr=0.1, engine="compiled")
    support, query = batches()
    for _ in range(2):
        meta.backward(support, query)
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 0.0)
    model.zero_grad()
    meta.backward(support, query)
    assert (model.weight.grad == 0).all()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("loss_of._modules['model'].training", True),
        ("", True),
        ("G['__import___main__'].SCALE", True),
        ("G['__import_torch_geometric_dot_nn'].SCALE", True),
        ("G['__import_torch_dot_nn_dot_functional'].relu", False),
        ("G['__import_metabalance_dot_meta_dot_checks'].check_scalar", False),
        ("dict(G['Derivative'].__dict__)['__new__'].__func__", False),
        ("G['__builtins_dict___0']['zip']", False),
        ("list(dict.keys(__import__('torch').utils._pytree.SUPPORTED_NODES))[0]", False),
        ("G['___unnamed_scope_1_c0']['scale']", True),
    ],
)
def test_which_guards_are_kept(name, expected):
    assert _may_change(name) is expected


def test_parameters_that_were_moved_by_hand_are_used():
    model = nn.Linear(4, 3)
    meta = MetaGradient(model, cross_entropy, inner_lr=0.1, engine="compiled")
    support, query = batches()
    for _ in range(2):
        meta.backward(support, query)
    model.load_state_dict(nn.Linear(4, 3).state_dict())
    model.weight = nn.Parameter(torch.ones(3, 4))
    model.zero_grad()
    meta.backward(support, query)
    found = gradients(model)
    model.zero_grad()
    MetaGradient(model, cross_entropy, inner_lr=0.1, engine="loop").backward(support, query)
    assert_same([found], [gradients(model)])


def test_a_loss_may_read_the_models_parameters():
    model = nn.Linear(4, 3)

    def penalised(output: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(output, target) + model.weight.square().sum()

    support, query = batches()
    found = []
    for engine in ("compiled", "loop"):
        meta = MetaGradient(model, penalised, inner_lr=0.1, engine=engine)
        for _ in range(2):
            model.zero_grad()
            meta.backward(support, query)
        found.append(gradients(model))
    assert_same([found[0]], [found[1]])


class Staged(nn.Module):
    """A second branch that is switched on later."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.both = nn.Linear(4, 3), nn.Linear(4, 3), False

    def forward(self, x: Tensor) -> Tensor:
        return self.first(x) + self.second(x) if self.both else self.first(x)


def test_parameters_that_are_reached_later_get_their_gradient():
    model = Staged()
    meta = MetaGradient(model, cross_entropy, inner_lr=0.1, engine="compiled")
    support, query = batches()
    for _ in range(2):
        meta.backward(support, query)
    assert model.second.weight.grad is None
    model.both = True
    found = []
    for way in (meta, MetaGradient(model, cross_entropy, inner_lr=0.1, engine="loop")):
        model.zero_grad()
        way.backward(support, query)
        found.append(gradients(model))
    assert_same([found[0]], [found[1]])


def test_parameters_that_are_no_longer_reached_get_none():
    model = Staged()
    model.both = True
    meta = MetaGradient(model, cross_entropy, inner_lr=0.1, engine="compiled")
    for _ in range(2):
        model.zero_grad()
        meta.backward(*batches())
    assert model.second.weight.grad is not None
    model.both = False
    for _ in range(2):
        model.zero_grad()
        meta.backward(*batches())
        assert model.second.weight.grad is None
        assert model.first.weight.grad is not None


def test_a_gradient_of_zeros_is_not_taken_for_none():
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    with torch.no_grad():
        model[0].bias.fill_(-100.0)  # nothing passes the ReLU
    found = updates(model, "compiled", 3)
    assert all(gradient is not None for gradients in found for gradient in gradients)
    assert (found[2][0] == 0).all()
