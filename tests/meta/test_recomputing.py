"""Recomputed blocks give the results of the blocks alone, from less memory."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

from metabalance.meta import MetaGradient, Recomputed

INNER_LR, STEPS, ROWS, WIDTH = 0.3, 2, 5, 8


class Pair(nn.Module):
    """Takes two tensors and a flag, and returns two tensors, one of them of integers."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(WIDTH, WIDTH)
        self.unused = nn.Linear(1, 1)

    def forward(self, x: Tensor, *, other: Tensor, flip: bool = False) -> tuple[Tensor, Tensor]:
        output = torch.tanh(self.linear(x) + other)
        return -output if flip else output, output.argmax(-1)


class Several(nn.Module):
    """Calls one block twice, with keyword arguments."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        first, _ = self.block(x, other=2 * x)
        second, places = self.block(x.sin(), flip=True, other=first)
        return first + second + torch.nn.functional.one_hot(places, WIDTH)


class Tied(nn.Module):
    """Two names for one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.second(torch.tanh(self.first(x))))


def blocks(kind: str) -> list[nn.Module]:
    """Blocks that map rows of WIDTH numbers to rows of WIDTH numbers."""
    if kind == "dropout":
        return [nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Dropout(0.4), nn.Tanh()) for _ in range(3)]
    if kind == "images":
        conv = (nn.Unflatten(1, (2, 2, 2)), nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2), nn.Tanh())
        return [nn.Sequential(*conv, nn.Flatten()), nn.BatchNorm1d(WIDTH)]
    if kind == "attention":
        return [nn.TransformerEncoderLayer(WIDTH, 2, 16, dropout=0.0, batch_first=True) for _ in range(2)]
    if kind == "frozen":
        return [nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh()).requires_grad_(i > 0) for i in range(3)]
    if kind == "nested":
        return [nn.Sequential(nn.Linear(WIDTH, WIDTH), Recomputed(nn.Tanh()), Recomputed(Tied()))]
    return [Tied()]


KINDS = ["dropout", "images", "attention", "frozen", "nested", "tied"]


def model_of(parts: list[nn.Module]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(WIDTH, WIDTH), *parts, nn.Linear(WIDTH, 3))
        for p in model.parameters():
            if p.dim() > 1:
                nn.init.normal_(p, std=0.5)
    return model.double()


def batch(seed: int, *shape: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(STEPS, ROWS, *shape, WIDTH, generator=generator, dtype=torch.float64)
    return x, torch.randint(3, (STEPS, ROWS, *shape), generator=generator)


def loss_fn(output: Tensor, target: Tensor) -> Tensor:
    return cross_entropy(output.flatten(0, -2), target.flatten())


def trained(model: nn.Module, order: str, shape: tuple[int, ...]) -> tuple[list[Tensor | None], list[Tensor]]:
    """Gradients and buffers after one outer update, from a fixed state of torch's generator."""
    model.zero_grad()
    with torch.random.fork_rng():
        torch.manual_seed(3)
        meta = MetaGradient(model, loss_fn, inner_lr=INNER_LR, beta=0.4, order=order, engine="loop")
        meta.backward(batch(0, *shape), batch(1, *shape))
    return [p.grad for p in model.parameters()], [b.clone() for b in model.buffers()]


def assert_same(found, expected) -> None:
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("order", ["exact", "first"])
@pytest.mark.parametrize("kind", KINDS)
def test_meta_gradients_and_buffers_are_those_of_the_blocks_alone(kind, order):
    shape = (3,) if kind == "attention" else ()
    parts = blocks(kind)
    alone = trained(model_of(copy.deepcopy(parts)), order, shape)
    wrapped = trained(model_of([Recomputed(part) for part in parts]), order, shape)
    for found, expected in zip(wrapped, alone, strict=True):
        assert_same(found, expected)


@pytest.mark.parametrize("order", ["exact", "first"])
def test_arguments_and_several_outputs(order):
    pair = Pair()
    alone = trained(model_of([Several(copy.deepcopy(pair))]), order, ())
    wrapped = trained(model_of([Several(Recomputed(pair))]), order, ())
    assert_same(wrapped[0], alone[0])
    assert wrapped[0][4] is None  # of the layer that is not used


def test_plain_training_is_as_without():
    parts = blocks("dropout")
    gradients = []
    for wrapped in (False, True):
        model = model_of([Recomputed(part) if wrapped else copy.deepcopy(part) for part in parts])
        with torch.random.fork_rng():
            torch.manual_seed(0)
            loss_fn(model(batch(0)[0]), batch(0)[1]).backward()
            following = torch.rand(1)
        gradients.append([p.grad for p in model.parameters()] + [following])
    assert_same(*gradients)


class Centred(nn.Module):
    """Takes off a running mean that it moves first, in place or by a new tensor."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.linear, self.in_place = nn.Linear(WIDTH, WIDTH), in_place
        self.register_buffer("mean", torch.zeros(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        output = torch.tanh(self.linear(x))
        if self.in_place:
            self.mean.lerp_(output.detach().mean(0), 0.5)
        else:
            self.mean = self.mean.lerp(output.detach().mean(0), 0.5)
        return output * (output - self.mean)


@pytest.mark.parametrize("in_place", [True, False])
def test_buffers_move_once_and_are_read_as_they_were(in_place):
    block = Centred(in_place)
    results = []
    for part in (copy.deepcopy(block), Recomputed(block)):
        model = model_of([part])
        loss = loss_fn(model(batch(0)[0][0]), batch(0)[1][0])
        moved = [b.clone() for b in model.buffers()]
        gradients = torch.autograd.grad(loss, list(model.parameters()), create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in gradients), list(model.parameters()))
        assert_same(model.buffers(), moved)
        results.append([*gradients, *second, *moved])
    assert_same(*results)


@pytest.mark.parametrize("order", ["exact", "first"])
def test_meta_gradients_under_autocast(order):
    parts = blocks("tied") + blocks("images")
    results = []
    for wrapped in (False, True):
        model = model_of([Recomputed(part) if wrapped else copy.deepcopy(part) for part in parts]).float()
        x, y = batch(0)
        with torch.autocast("cpu", torch.bfloat16):
            MetaGradient(model, loss_fn, inner_lr=0.01, order=order).backward((x.float(), y), (x.float(), y))
        results.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    assert results[1].dtype == torch.float32
    # Gradients by inputs and parameters are summed in another order, in low precision.
    assert torch.cosine_similarity(*results, dim=0) > 0.999


def test_autocast_comes_back_in_the_backward_pass():
    block = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
    x = torch.randn(3, 4)
    gradients = []
    for module in (copy.deepcopy(block), Recomputed(block)):
        with torch.autocast("cpu", torch.bfloat16):
            output = module(x)
        assert output.dtype == torch.bfloat16
        output.float().sum().backward()
        gradients.append([p.grad for p in module.parameters()])
    assert_same(*gradients)


class Saved:
    """Counts the elements of the tensors that autograd graphs hold."""

    live = peak = 0

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        Saved.live += tensor.numel()
        Saved.peak = max(Saved.peak, Saved.live)

    def __del__(self) -> None:
        Saved.live -= self.tensor.numel()


@pytest.mark.parametrize(("order", "part"), [("exact", 0.3), ("first", 0.5)])
def test_the_graph_is_small(order, part):
    deep = [
        nn.Sequential(*(nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh()) for _ in range(6))) for _ in "abcd"
    ]
    peaks = []
    for parts in (copy.deepcopy(deep), [Recomputed(block) for block in deep]):
        Saved.peak = 0
        with torch.autograd.graph.saved_tensors_hooks(Saved, lambda saved: saved.tensor):
            trained(model_of(parts), order, (100,))
        peaks.append(Saved.peak)
        assert Saved.live == 0
    assert peaks[1] < part * peaks[0]


class Checkpointed(nn.Module):
    """A module with torch's own activation checkpointing."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(self.module, x, use_reentrant=False)


@pytest.mark.parametrize("order", ["exact", "first"])
def test_torchs_checkpoint_is_refused_rather_than_wrong(order):
    model = model_of([Checkpointed(part) for part in blocks("dropout")])
    with pytest.raises(
        RuntimeError, match=r"uses torch.utils.checkpoint.* wrap blocks in metabalance.meta.Rec"
    ):
        trained(model, order, ())
    assert all(p.grad is None for p in model.parameters())


def test_hooks_of_the_caller_on_saved_tensors_are_allowed():
    model = model_of(blocks("tied"))
    alone = trained(model, "exact", ())
    with torch.autograd.graph.save_on_cpu():
        assert_same(trained(model, "exact", ())[0], alone[0])


def test_without_a_gradient_the_module_runs_as_it_is():
    block = nn.BatchNorm1d(2)
    with torch.no_grad():
        Recomputed(block)(torch.randn(4, 2))
    assert block.num_batches_tracked == 1


def test_mistakes():
    with pytest.raises(TypeError, match=r"module must be a torch.nn.Module, got function"):
        Recomputed(loss_fn)
    with pytest.raises(
        TypeError, match=r"Recomputed\(Pair\) takes each tensor as an argument of its own, got a dict"
    ):
        Recomputed(Pair())(torch.ones(1, WIDTH), other={"deep": [torch.ones(1)]})
    with pytest.raises(TypeError, match=r"Recomputed\(LSTM\) needs a module that returns .* got tuple"):
        Recomputed(nn.LSTM(2, 2))(torch.ones(3, 1, 2))


def test_a_gradient_penalty_takes_one_derivative_more():
    block = blocks("tied")[0]
    gradients = []
    for part in (copy.deepcopy(block), Recomputed(block)):
        model = model_of([part])

        def penalised(output: Tensor, target: Tensor, first: nn.Module = model[0]) -> Tensor:
            loss = loss_fn(output, target)
            return loss + torch.autograd.grad(loss, first.weight, create_graph=True)[0].square().sum()

        for order in ("first", "exact"):
            model.zero_grad()
            meta = MetaGradient(model, penalised, inner_lr=INNER_LR, order=order, engine="loop")
            if order == "exact" and isinstance(part, Recomputed):
                with pytest.raises(RuntimeError, match=r"Recomputed\(Tied\) has no third derivative"):
                    meta.backward(batch(0), batch(1))
            else:
                meta.backward(batch(0), batch(1))
                gradients.append([p.grad for p in model.parameters()])
    alone, _, wrapped = gradients
    assert_same(wrapped, alone)


def test_a_block_that_changes_its_input_is_refused():
    block = nn.Sequential(nn.SiLU(inplace=True), nn.Linear(4, 3))
    with pytest.raises(
        RuntimeError, match=r"Recomputed\(Sequential\) changes its input in place.*inplace=False"
    ):
        Recomputed(block)(torch.randn(5, 4))
