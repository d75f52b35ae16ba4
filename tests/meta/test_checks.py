"""Every mistake that can be seen from the arguments gets one clear message with the value found."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from metabalance.meta import MetaGradient
from metabalance.meta.algorithm import OuterGradient
from metabalance.meta.checks import check_gradients_finite

X, Y = torch.ones(3, 5, 4), torch.zeros(3, 5, 2)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": lambda x: x}, TypeError, "model must be a torch.nn.Module, got function"),
        ({"loss_fn": "mse"}, TypeError, r"loss_fn must be a callable \(output, target\).* got str"),
        ({"inner_lr": "0.1"}, TypeError, "inner_lr must be a real number, got '0.1' of type str"),
        ({"inner_lr": True}, TypeError, "inner_lr must be a real number, got True of type bool"),
        ({"inner_lr": -0.1}, ValueError, "inner_lr must be finite and at least 0, got -0.1"),
        ({"inner_lr": float("inf")}, ValueError, "inner_lr must be finite and at least 0, got inf"),
        ({"beta": float("nan")}, ValueError, "beta must be finite and at least 0, got nan"),
        ({"order": "second"}, ValueError, "order must be one of 'exact', 'first', got 'second'"),
        ({"reduction": None}, ValueError, "reduction must be one of 'mean', 'sum', got None"),
        (
            {"engine": "vmap"},
            ValueError,
            "engine must be one of 'auto', 'loop', 'vectorized', 'compiled', 'captured', got 'vmap'",
        ),
        ({"buffers": "none"}, ValueError, "buffers must be one of 'both', .*'frozen', got 'none'"),
    ],
)
def test_construction(change, error, message):
    arguments = {"model": nn.Linear(4, 2), "loss_fn": mse_loss, "inner_lr": 0.1} | change
    with pytest.raises(error, match=message):
        MetaGradient(arguments.pop("model"), arguments.pop("loss_fn"), **arguments)


def test_numpy_numbers_are_numbers():
    MetaGradient(nn.Linear(4, 2), mse_loss, inner_lr=np.float32(0.1), beta=np.int64(1)).backward(
        (X, Y), (X, Y)
    )


@pytest.mark.parametrize(
    ("support", "query", "error", "message"),
    [
        (X, (X, Y), TypeError, r"support must be a pair \(inputs, targets\), got Tensor"),
        ((X, Y, Y), (X, Y), TypeError, "support must be a pair .* got tuple of length 3"),
        ((X, Y), (X, [1, 2]), TypeError, "query target must be a tensor, or a tuple or dict .* got list"),
        ((X, Y), ({"x": np.ones(3)}, Y), TypeError, r"query input\['x'\] must be a tensor.* got ndarray"),
        (((), Y), (X, Y), ValueError, "support inputs and targets must hold at least one tensor each"),
        (
            (X, Y),
            (X, Y[:, 0, 0]),
            ValueError,
            r"query target has shape \(3,\): it needs two leading dimensions",
        ),
        ((X, Y), ((X, X[0, 0]), Y), ValueError, r"query input\[1\] has shape \(4,\)"),
        ((X[:0], Y[:0]), (X, Y), ValueError, r"shape \(0, 5, 4\): there must be at least one meta step"),
        ((X, Y), (X[:, :0], Y), ValueError, "one row in each batch"),
        ((X, Y[:2]), (X, Y), ValueError, r"same leading dimension.* support target \(2, 5, 2\)"),
        ((X, Y), (X[:2], Y[:2]), ValueError, r"same leading dimension.* query input \(2, 5, 4\)"),
    ],
)
def test_batches(support, query, error, message):
    model = nn.Linear(4, 2)
    with pytest.raises(error, match=message):
        MetaGradient(model, mse_loss, inner_lr=0.1).backward(support, query)
    assert model.weight.grad is None


def test_a_loader_may_hand_out_pairs_as_lists():
    model = nn.Linear(4, 2)
    MetaGradient(model, mse_loss, inner_lr=0.1).backward([X, Y], [X, Y])
    assert model.weight.grad is not None


def test_targets_may_be_structured():
    """Mixed labels: two sets of targets with a weight for each row."""

    def mixed(output: Tensor, target: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        first, second, weight = target
        losses = [cross_entropy(output, labels, reduction="none") for labels in (first, second)]
        return (weight * losses[0] + (1 - weight) * losses[1]).mean()

    labels = torch.zeros(3, 5, dtype=torch.long)
    results = []
    for engine in ("loop", "vectorized"):
        model = nn.Linear(4, 2)
        nn.init.zeros_(model.weight)
        nn.init.zeros_(model.bias)
        target = labels, labels + 1, torch.full((3, 5), 0.75)
        MetaGradient(model, mixed, inner_lr=0.0, engine=engine).backward((X, target), (X, target))
        results.append(model.bias.grad)
    # softmax is (1/2, 1/2), the mixed label (3/4, 1/4).
    assert torch.allclose(results[0], torch.tensor([-0.25, 0.25]))
    assert torch.allclose(results[1], results[0])


def test_a_model_without_trainable_parameters():
    model = nn.Linear(4, 2).requires_grad_(False)
    meta = MetaGradient(model, mse_loss, inner_lr=0.1)
    with pytest.raises(
        ValueError, match="Linear has no parameter that requires a gradient: call requires_grad_"
    ):
        meta.backward((X, Y), (X, Y))
    model.requires_grad_(True)
    meta.backward((X, Y), (X, Y))
    assert model.weight.grad is not None


@pytest.mark.parametrize("engine", ["loop", "vectorized"])
def test_a_loss_that_depends_on_nothing(engine):
    meta = MetaGradient(nn.Linear(4, 2), lambda out, t: t.mean(), inner_lr=0.1, engine=engine)
    with pytest.raises(ValueError, match=r"the support loss depends on no parameter .*no_grad"):
        meta.backward((X, Y), (X, Y))


@pytest.mark.parametrize("engine", ["loop", "vectorized", "compiled"])
@pytest.mark.parametrize("switched_off", [torch.no_grad, torch.inference_mode])
def test_gradients_that_are_switched_off(engine, switched_off):
    model = nn.Linear(4, 2)
    meta = MetaGradient(model, mse_loss, inner_lr=0.1, engine=engine)
    for _ in range(2):
        with switched_off(), pytest.raises(ValueError, match="gradients are switched off: call this outside"):
            meta.backward((X, Y), (X, Y))
    assert model.weight.grad is None


@pytest.mark.parametrize("engine", ["loop", "vectorized", "auto"])
def test_a_loss_for_each_row(engine):
    meta = MetaGradient(
        nn.Linear(4, 2),
        lambda out, t: mse_loss(out, t, reduction="none").sum(-1),
        inner_lr=0.1,
        engine=engine,
    )
    with pytest.raises(ValueError, match=r"one scalar per batch, got shape \(5,\): reduce it"):
        meta.backward((X, Y), (X, Y))


def test_sparse_gradients_are_refused():
    model = nn.Sequential(nn.Embedding(4, 2, sparse=True), nn.Flatten(), nn.Linear(10, 2))
    ids, target = torch.zeros(2, 3, 5, dtype=torch.long), torch.zeros(2, 3, 2)
    with pytest.raises(
        ValueError, match=r"gradient of 0.weight is sparse: use nn.Embedding\(..., sparse=False\)"
    ):
        MetaGradient(model, mse_loss, inner_lr=0.1, engine="loop").backward((ids, target), (ids, target))


def test_a_norm_that_overflows_is_not_an_error():
    gradients, losses = {"weight": torch.full((4,), 3e38)}, torch.ones(2)
    assert not OuterGradient(gradients, losses, losses, {}).is_finite()
    check_gradients_finite(gradients)
