"""The compiled engine: its formula on every module, and its promises about compiling on small ones."""

import copy
import pickle
import subprocess
import sys
import warnings
from collections.abc import Iterator
from itertools import chain

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters
from torch.nn.functional import cross_entropy

from metabalance.meta import MetaGradient, compiled
from metabalance.meta.algorithm import Algorithm
from metabalance.meta.compiled import _may_change, _outer_gradient
from metabalance.meta.functional import aliases_of
from metabalance.meta.update import Update


@pytest.fixture(autouse=True)
def _compiled_anew() -> Iterator[None]:
    torch.compiler.reset()
    counters.clear()
    yield
    torch.compiler.reset()


def _graphs() -> int:
    return counters["stats"]["unique_graphs"]


def _batches(seed: int = 0, meta_steps: int = 3) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    support, query = (
        (
            torch.randn(meta_steps, rows, 4, generator=generator),
            torch.randint(3, (meta_steps, rows), generator=generator),
        )
        for rows in (5, 6)
    )
    return support, query


def _gradients(model: nn.Module) -> list[Tensor | None]:
    return [None if p.grad is None else p.grad.clone() for p in model.parameters()]


def _updates(model: nn.Module, engine: str, count: int, **kwargs) -> list[list[Tensor | None]]:
    """The gradients of several updates on different batches, from one MetaGradient."""
    meta = MetaGradient(model, cross_entropy, **{"inner_lr": 0.3, "beta": 0.4, "engine": engine} | kwargs)
    found = []
    for seed in range(count):
        model.zero_grad()
        meta.backward(*_batches(seed))
        found.append(_gradients(model))
    return found


def _assert_same(found: list[list[Tensor | None]], expected: list[list[Tensor | None]]) -> None:
    for one, other in zip(chain(*found), chain(*expected), strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


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
            found.append(_updates(PartlyUnused(), engine, 3))
    assert _graphs() == 1
    _assert_same(*found)


def test_compiled_once_for_models_of_the_same_structure_and_all_settings_of_the_same_terms():
    models = [nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)) for _ in range(3)]
    for model, inner_lr, beta in zip(models, (0.3, 0.01, 1.0), (0.4, 0.1, 0.9), strict=True):
        _assert_same(
            _updates(model, "compiled", 2, inner_lr=inner_lr, beta=beta),
            _updates(model, "vectorized", 2, inner_lr=inner_lr, beta=beta),
        )
    assert _graphs() == 1


def test_what_is_changed_in_the_model_is_noticed():
    model = nn.Sequential(nn.Dropout(0.0), nn.Linear(4, 3))
    meta = MetaGradient(model, cross_entropy, inner_lr=0.1, engine="compiled")
    support, query = _batches()
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
    support, query = _batches()

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
    support, query = _batches()
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
    support, query = _batches()
    for _ in range(2):
        meta.backward(support, query)
    model.load_state_dict(nn.Linear(4, 3).state_dict())
    model.weight = nn.Parameter(torch.ones(3, 4))
    model.zero_grad()
    meta.backward(support, query)
    found = _gradients(model)
    model.zero_grad()
    MetaGradient(model, cross_entropy, inner_lr=0.1, engine="loop").backward(support, query)
    _assert_same([found], [_gradients(model)])


def test_a_loss_may_read_the_models_parameters():
    model = nn.Linear(4, 3)

    def penalised(output: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(output, target) + model.weight.square().sum()

    support, query = _batches()
    found = []
    for engine in ("compiled", "loop"):
        meta = MetaGradient(model, penalised, inner_lr=0.1, engine=engine)
        for _ in range(2):
            model.zero_grad()
            meta.backward(support, query)
        found.append(_gradients(model))
    _assert_same([found[0]], [found[1]])


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
    support, query = _batches()
    for _ in range(2):
        meta.backward(support, query)
    assert model.second.weight.grad is None
    model.both = True
    found = []
    for way in (meta, MetaGradient(model, cross_entropy, inner_lr=0.1, engine="loop")):
        model.zero_grad()
        way.backward(support, query)
        found.append(_gradients(model))
    _assert_same([found[0]], [found[1]])


def test_parameters_that_are_no_longer_reached_get_none():
    model = Staged()
    model.both = True
    meta = MetaGradient(model, cross_entropy, inner_lr=0.1, engine="compiled")
    for _ in range(2):
        model.zero_grad()
        meta.backward(*_batches())
    assert model.second.weight.grad is not None
    model.both = False
    for _ in range(2):
        model.zero_grad()
        meta.backward(*_batches())
        assert model.second.weight.grad is None
        assert model.first.weight.grad is not None


def test_a_gradient_of_zeros_is_not_taken_for_none():
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    with torch.no_grad():
        model[0].bias.fill_(-100.0)  # nothing passes the ReLU
    found = _updates(model, "compiled", 3)
    assert all(gradient is not None for gradients in found for gradient in gradients)
    assert (found[2][0] == 0).all()


class Root(nn.Linear):
    """A finite output with an infinite derivative."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).abs().sqrt()


def test_an_infinite_gradient_of_finite_losses_is_named():
    model = Root(4, 3)
    meta = MetaGradient(model, cross_entropy, inner_lr=0.0, engine="compiled")
    support, query = _batches()
    for _ in range(2):
        model.zero_grad()
        meta.backward(support, query)
    before = copy.deepcopy(_gradients(model))
    with torch.no_grad():
        model.weight.zero_()
        model.bias.zero_()
    with pytest.raises(FloatingPointError, match=r"the gradient of weight, bias is not finite|of weight"):
        meta.backward(support, query)
    _assert_same([_gradients(model)], [before])


class Smoothed(nn.Module):
    """A loss with a setting that its name does not show."""

    def __init__(self, smoothing: float) -> None:
        super().__init__()
        self.smoothing = smoothing

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(output, target, label_smoothing=self.smoothing)


def test_losses_whose_settings_do_not_show_are_told_apart():
    support, query = _batches()
    with torch._dynamo.config.patch(recompile_limit=1), warnings.catch_warnings():
        warnings.simplefilter("error")
        for smoothing in (0.0, 0.25, 0.5):
            meta = MetaGradient(nn.Linear(4, 3), Smoothed(smoothing), inner_lr=0.1, engine="compiled")
            for _ in range(2):
                meta.backward(support, query)
            assert meta.engine == "compiled"


def test_batches_that_keep_changing_their_shape_are_not_compiled_for_ever(monkeypatch):
    monkeypatch.setattr(compiled, "MAX_SITUATIONS", 2)
    meta = MetaGradient(nn.Linear(4, 3), cross_entropy, inner_lr=0.1, engine="compiled")
    for meta_steps in (2, 3):
        meta.backward(*_batches(meta_steps=meta_steps))
    with pytest.warns(UserWarning, match="functions for 2 kinds of updates are compiled"):
        meta.backward(*_batches(meta_steps=4))
    assert meta.engine == "vectorized"


def test_too_many_variants_end_vectorized_and_not_in_an_error():
    model = nn.Sequential(nn.Dropout(0.0), nn.Linear(4, 3))
    meta = MetaGradient(model, cross_entropy, inner_lr=0.1, engine="compiled")
    with torch._dynamo.config.patch(recompile_limit=1):
        for _ in range(2):
            meta.backward(*_batches())
        model[0].p = 0.25
        with pytest.warns(UserWarning, match="the update of Sequential cannot be compiled"):
            meta.backward(*_batches())


def test_a_wrong_label_is_not_taken_for_a_missing_compiler(recwarn):
    model = nn.Linear(4, 3)
    meta = MetaGradient(model, cross_entropy, inner_lr=0.1, engine="compiled")
    support, query = _batches()
    for _ in range(2):
        meta.backward(support, query)
    wrong = support[0], torch.full_like(support[1], 7)
    with pytest.raises((RuntimeError, IndexError)):
        meta.backward(wrong, query)
    assert not [w for w in recwarn if "cannot be compiled" in str(w.message)]
    assert pickle.loads(pickle.dumps(meta)).backward(support, query).total.isfinite()


def test_a_loss_that_is_not_finite_is_named_and_nothing_is_changed():
    model = nn.Linear(4, 3)
    meta = MetaGradient(model, cross_entropy, inner_lr=0.1, engine="compiled")
    support, query = _batches()
    for _ in range(2):
        meta.backward(support, query)
    before = copy.deepcopy(_gradients(model))
    query[0][1, 0, 0] = torch.nan
    with pytest.raises(FloatingPointError, match="the query loss of meta step 1 is nan"):
        meta.backward(support, query)
    _assert_same([_gradients(model)], [before])


def test_without_a_compiler_it_warns_once_and_goes_on_vectorized():
    model = nn.Sequential(nn.Linear(4, 7), nn.Tanh(), nn.Linear(7, 3))
    meta = MetaGradient(model, cross_entropy, inner_lr=0.3, beta=0.4, engine="compiled")
    support, query = _batches()
    without_compiler = {"cpp.cxx": ("no-such-compiler",), "force_disable_caches": True}
    with (
        torch._inductor.config.patch(without_compiler),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always")
        for _ in range(3):
            model.zero_grad()
            meta.backward(support, query)
    ours = [w for w in caught if "cannot be compiled" in str(w.message)]
    assert len(ours) == 1
    assert "No working C++ compiler found" in str(ours[0].message)
    assert "engine='vectorized' is used from now on" in str(ours[0].message)
    assert ours[0].filename == __file__
    found = _gradients(model)
    model.zero_grad()
    MetaGradient(model, cross_entropy, inner_lr=0.3, beta=0.4, engine="loop").backward(support, query)
    _assert_same([found], [_gradients(model)])


@pytest.mark.parametrize("error", [OSError("no space left"), KeyError("uid not found")])
def test_whatever_fails_in_compiling_is_one_warning(monkeypatch, error):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(torch, "compile", fail)
    model = nn.Sequential(nn.Linear(4, 9), nn.Tanh(), nn.Linear(9, 3))
    with pytest.warns(UserWarning, match="cannot be compiled .*(no space left|uid not found)") as caught:
        _updates(model, "compiled", 3)
    assert len(caught) == 1


def test_the_package_is_imported_without_the_compiler():
    done = subprocess.run(
        [sys.executable, "-c", "import sys, metabalance; print('torch._dynamo' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"


class Scale(nn.Module):
    """A parameter without dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.5))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


def test_gradients_have_the_dtype_of_their_parameters():
    model = nn.Sequential(nn.Linear(4, 3), Scale()).bfloat16()
    meta = MetaGradient(model, cross_entropy, inner_lr=0.1, beta=0.5, engine="compiled")
    support, query = (((x.bfloat16(), y)) for x, y in _batches())
    for _ in range(2):
        model.zero_grad()
        meta.backward(support, query)
        assert {p.grad.dtype for p in model.parameters()} == {torch.bfloat16}


class Talking(nn.Linear):
    """A forward that torch.compile cannot take as one function."""

    def forward(self, x: Tensor) -> Tensor:
        torch._dynamo.graph_break()
        return super().forward(x)


def test_a_model_that_cannot_be_compiled_is_vectorized():
    model = Talking(4, 3)
    meta = MetaGradient(model, cross_entropy, inner_lr=0.3, beta=0.4, engine="compiled")
    meta.backward(*_batches())
    with pytest.warns(
        UserWarning, match="the update of Talking cannot be compiled .*'vectorized' to silence"
    ):
        meta.backward(*_batches())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        meta.backward(*_batches())


def test_compiled_refuses_what_cannot_be_vectorized():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    with pytest.raises(ValueError, match="use engine='loop', or LayerNorm"):
        MetaGradient(model, cross_entropy, inner_lr=0.1, engine="compiled").backward(*_batches())
