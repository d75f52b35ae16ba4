"""What the compiled engine does where numbers, models or the compiler itself fail."""

import copy
import pickle
import subprocess
import sys
import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from metabalance.meta import MetaGradient, compiled
from tests.meta.compiling import assert_same, batches, gradients, updates

pytestmark = pytest.mark.usefixtures("compiled_anew")


class Root(nn.Linear):
    """A finite output with an infinite derivative."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).abs().sqrt()


def test_an_infinite_gradient_of_finite_losses_is_named():
    model = Root(4, 3)
    meta = MetaGradient(model, cross_entropy, inner_lr=0.0, engine="compiled")
    support, query = batches()
    for _ in range(2):
        model.zero_grad()
        meta.backward(support, query)
    before = copy.deepcopy(gradients(model))
    with torch.no_grad():
        model.weight.zero_()
        model.bias.zero_()
    with pytest.raises(FloatingPointError, match=r"the gradient of weight, bias is not finite|of weight"):
        meta.backward(support, query)
    assert_same([gradients(model)], [before])


class Smoothed(nn.Module):
    """A loss with a setting that its name does not show."""

    def __init__(self, smoothing: float) -> None:
        super().__init__()
        self.smoothing = smoothing

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(output, target, label_smoothing=self.smoothing)


def test_losses_whose_settings_do_not_show_are_told_apart():
    support, query = batches()
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
        meta.backward(*batches(meta_steps=meta_steps))
    with pytest.warns(UserWarning, match="functions for 2 kinds of updates are compiled"):
        meta.backward(*batches(meta_steps=4))
    assert meta.engine == "vectorized"


def test_too_many_variants_end_vectorized_and_not_in_an_error():
    model = nn.Sequential(nn.Dropout(0.0), nn.Linear(4, 3))
    meta = MetaGradient(model, cross_entropy, inner_lr=0.1, engine="compiled")
    with torch._dynamo.config.patch(recompile_limit=1):
        for _ in range(2):
            meta.backward(*batches())
        model[0].p = 0.25
        with pytest.warns(UserWarning, match="the update of Sequential cannot be compiled"):
            meta.backward(*batches())


def test_a_wrong_label_is_not_taken_for_a_missing_compiler(recwarn):
    model = nn.Linear(4, 3)
    meta = MetaGradient(model, cross_entropy, inner_lr=0.1, engine="compiled")
    support, query = batches()
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
    support, query = batches()
    for _ in range(2):
        meta.backward(support, query)
    before = copy.deepcopy(gradients(model))
    query[0][1, 0, 0] = torch.nan
    with pytest.raises(FloatingPointError, match="the query loss of meta step 1 is nan"):
        meta.backward(support, query)
    assert_same([gradients(model)], [before])


def test_without_a_compiler_it_warns_once_and_goes_on_vectorized():
    model = nn.Sequential(nn.Linear(4, 7), nn.Tanh(), nn.Linear(7, 3))
    meta = MetaGradient(model, cross_entropy, inner_lr=0.3, beta=0.4, engine="compiled")
    support, query = batches()
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
    found = gradients(model)
    model.zero_grad()
    MetaGradient(model, cross_entropy, inner_lr=0.3, beta=0.4, engine="loop").backward(support, query)
    assert_same([found], [gradients(model)])


@pytest.mark.parametrize("error", [OSError("no space left"), KeyError("uid not found")])
def test_whatever_fails_in_compiling_is_one_warning(monkeypatch, error):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(torch, "compile", fail)
    model = nn.Sequential(nn.Linear(4, 9), nn.Tanh(), nn.Linear(9, 3))
    with pytest.warns(UserWarning, match="cannot be compiled .*(no space left|uid not found)") as caught:
        updates(model, "compiled", 3)
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
    support, query = (((x.bfloat16(), y)) for x, y in batches())
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
    meta.backward(*batches())
    with pytest.warns(
        UserWarning, match="the update of Talking cannot be compiled .*'vectorized' to silence"
    ):
        meta.backward(*batches())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        meta.backward(*batches())


def test_compiled_refuses_what_cannot_be_vectorized():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    with pytest.raises(ValueError, match="use engine='loop', or LayerNorm"):
        MetaGradient(model, cross_entropy, inner_lr=0.1, engine="compiled").backward(*batches())
