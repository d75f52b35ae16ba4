"""The captured engine against the loop: its bookkeeping on any machine, CUDA graphs where there is a GPU."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from metabalance.meta import MetaGradient
from metabalance.meta.algorithm import Algorithm
from metabalance.meta.captured import CapturedEngine, CaptureError
from metabalance.meta.engines import loop
from metabalance.meta.recomputing import Recomputed
from metabalance.meta.update import Update


def _again(run, device):
    """Stands in for a CUDA graph: a warm-up, and a function that does the same again."""
    run()
    return run


def _outer(engine, algorithm, support, query):
    params = {name: p for name, p in algorithm.model.named_parameters() if p.requires_grad}
    return engine(algorithm, Update(params, dict(algorithm.model.named_buffers()), support, query))


@pytest.mark.parametrize("order", ["exact", "first"])
@pytest.mark.parametrize("policy", ["both", "frozen"])
def test_replays_do_what_the_loop_does(case, order, policy):
    algorithm = Algorithm(case.model, case.loss_fn, 0.3, 0.4, order, policy)
    engine = CapturedEngine(_again)
    swapped = case.query, case.support  # rows differ, so this is another situation
    for support, query in ((case.support, case.query), (case.support, case.query), swapped, swapped):
        found, expected = (_outer(way, algorithm, support, query) for way in (engine, loop))
        assert found.gradients.keys() == expected.gradients.keys()
        assert found.buffers.keys() == expected.buffers.keys()
        for one, other in (
            *((found.gradients[name], expected.gradients[name]) for name in expected.gradients),
            *((found.buffers[name], expected.buffers[name]) for name in expected.buffers),
            (found.support_losses, expected.support_losses),
            (found.query_losses, expected.query_losses),
        ):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_replays_use_the_parameters_as_they_are_and_hand_out_gradients_of_their_own(mlp_case):
    algorithm = Algorithm(mlp_case.model, mlp_case.loss_fn, 0.3, 0.4, "exact", "both")
    engine = CapturedEngine(_again)
    for _ in range(2):
        before = _outer(engine, algorithm, mlp_case.support, mlp_case.query)
    kept = copy.deepcopy(before.gradients)
    with torch.no_grad():
        for parameter in mlp_case.model.parameters():
            parameter.mul_(0.5)
    after = _outer(engine, algorithm, mlp_case.support, mlp_case.query)
    expected = _outer(loop, algorithm, mlp_case.support, mlp_case.query)
    for name, gradient in after.gradients.items():
        torch.testing.assert_close(gradient, expected.gradients[name])
        assert torch.equal(before.gradients[name], kept[name])


class Weighted(nn.Module):
    """A loss with a tensor of its own."""

    def __init__(self, weight):
        super().__init__()
        self.register_buffer("weight", torch.tensor(weight))

    def forward(self, output, target):
        return cross_entropy(output, target, self.weight)


def test_tensors_that_have_moved_in_memory_are_recorded_anew():
    recorded = []

    def record(run, device):
        recorded.append(device)
        return _again(run, device)

    model = nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 2)).requires_grad_(False)
    model[1].requires_grad_(True)
    loss = Weighted([1.0, 1.0])
    algorithm = Algorithm(model, loss, 0.3, 0.0, "exact", "both")
    pair = torch.randn(3, 4, 2), torch.randint(2, (3, 4))
    engine = CapturedEngine(record)

    def changed_by_nothing():
        pass

    def frozen_parameter_replaced():
        model[0].weight = nn.Parameter(torch.randn(4, 2), requires_grad=False)

    def weights_of_the_loss_replaced():
        loss.weight = torch.tensor([0.1, 5.0])

    changes = (changed_by_nothing, frozen_parameter_replaced, weights_of_the_loss_replaced)
    for change in changes:
        change()
        for _ in range(3):
            found = _outer(engine, algorithm, pair, pair).gradients
            expected = _outer(loop, algorithm, pair, pair).gradients
            torch.testing.assert_close(found, expected)
    assert recorded == [torch.device("cpu")] * len(changes)


def test_batches_whose_parts_come_in_another_order_are_recorded_anew():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.other = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, a, b):
            return self.one(a) + self.other(b)

    a, b, y = torch.randn(3, 4, 2), torch.randn(3, 4, 2), torch.randint(2, (3, 4))
    algorithm = Algorithm(Sum(), cross_entropy, 0.3, 0.4, "exact", "both")
    engine = CapturedEngine(_again)
    for inputs in ({"a": a, "b": b}, {"a": a, "b": b}, {"b": b, "a": a}, {"b": b, "a": a}):
        pair = inputs, y
        found, expected = (_outer(way, algorithm, pair, pair).gradients for way in (engine, loop))
        torch.testing.assert_close(found, expected)


def test_what_is_recorded_is_not_pickled(mlp_case):
    algorithm = Algorithm(mlp_case.model, mlp_case.loss_fn, 0.3, 0.4, "exact", "both")
    engine = CapturedEngine(_again)
    for _ in range(2):
        expected = _outer(engine, algorithm, mlp_case.support, mlp_case.query).gradients
    unpickled = pickle.loads(pickle.dumps(engine))
    torch.testing.assert_close(
        _outer(unpickled, algorithm, mlp_case.support, mlp_case.query).gradients, expected
    )


def test_recomputed_blocks_are_not_recorded():
    model = nn.Sequential(Recomputed(nn.Linear(2, 2)))
    pair = torch.randn(3, 4, 2), torch.randint(2, (3, 4))
    with pytest.raises(CaptureError, match="Recomputed blocks"):
        _outer(CapturedEngine(_again), Algorithm(model, cross_entropy, 0.3, 0.0, "exact", "both"), pair, pair)


def test_what_cannot_be_recorded_is_said():
    def refuse(run, device):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    algorithm = Algorithm(nn.Linear(2, 2), cross_entropy, 0.3, 0.0, "exact", "both")
    pair = torch.randn(3, 4, 2), torch.randint(2, (3, 4))
    engine = CapturedEngine(refuse)
    _outer(engine, algorithm, pair, pair)
    with pytest.raises(CaptureError, match=r"^operation not permitted when stream is capturing$"):
        _outer(engine, algorithm, pair, pair)


def test_what_cannot_be_recorded_is_looped_over_after_one_warning():
    def refuse(run, device):
        raise RuntimeError("operation not permitted when stream is capturing")

    model = nn.Linear(2, 2)
    meta = MetaGradient(model, cross_entropy, inner_lr=0.1, engine="captured")
    meta._evaluate._captured = CapturedEngine(refuse)
    pair = torch.randn(3, 4, 2), torch.randint(2, (3, 4))
    meta.backward(pair, pair)
    assert meta.engine == "captured"
    with pytest.warns(UserWarning, match="cannot be recorded as a CUDA graph .operation not permitted"):
        meta.backward(pair, pair)
    assert meta.engine == "loop"
    meta.backward(pair, pair)


def test_the_mode_and_autocast_are_part_of_what_is_recorded():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    algorithm = Algorithm(model, cross_entropy, 0.3, 0.0, "exact", "frozen")
    pair = torch.randn(3, 4, 2), torch.randint(2, (3, 4))
    engine = CapturedEngine(_again)
    for training, low in ((True, False), (False, False), (True, True)):
        model.train(training)
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            for _ in range(2):
                found, expected = (_outer(way, algorithm, pair, pair) for way in (engine, loop))
                torch.testing.assert_close(found.gradients, expected.gradients)
                torch.testing.assert_close(found.query_losses, expected.query_losses)


def test_several_shapes_are_kept_recorded_but_not_any_number():
    recorded = []

    def record(run, device):
        recorded.append(device)
        return _again(run, device)

    algorithm = Algorithm(nn.Linear(2, 2), cross_entropy, 0.3, 0.0, "exact", "both")
    engine = CapturedEngine(record)
    pairs = [(torch.randn(3, rows, 2), torch.randint(2, (3, rows))) for rows in (4, 5, 6, 7)]
    for _ in range(3):
        for pair in pairs:
            torch.testing.assert_close(
                _outer(engine, algorithm, pair, pair).gradients, _outer(loop, algorithm, pair, pair).gradients
            )
    assert len(recorded) == 4
    with pytest.raises(CaptureError, match="4 kinds of updates are recorded, and here is another"):
        _outer(engine, algorithm, (torch.randn(3, 9, 2), torch.randint(2, (3, 9))), pairs[0])


def test_a_parameter_that_is_reached_later_gets_its_gradient():
    class Staged(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.other, self.both = nn.Linear(2, 2), nn.Linear(2, 2), False

        def forward(self, x):
            return self.one(x) + self.other(x) if self.both else self.one(x)

    algorithm = Algorithm(Staged(), cross_entropy, 0.3, 0.0, "exact", "both")
    engine = CapturedEngine(_again)
    pair = torch.randn(3, 4, 2), torch.randint(2, (3, 4))
    assert _outer(engine, algorithm, pair, pair).gradients.keys() == {"one.weight", "one.bias"}
    algorithm.model.both = True  # before anything is recorded
    assert len(_outer(engine, algorithm, pair, pair).gradients) == 4


def test_without_cuda_the_remedy_is_named():
    pair = torch.randn(3, 4, 2), torch.randint(2, (3, 4))
    meta = MetaGradient(nn.Linear(2, 2), cross_entropy, inner_lr=0.1, engine="captured")
    with pytest.raises(ValueError, match="records CUDA graphs, but the model is on cpu: use engine='loop'"):
        meta.backward(pair, pair)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("engine", ["captured", "compiled"])
def test_cuda_graphs_give_the_gradient_of_the_loop(engine):
    norm = nn.BatchNorm1d(8) if engine == "captured" else nn.LayerNorm(8)
    model = nn.Sequential(nn.Linear(4, 8), norm, nn.Tanh(), nn.Linear(8, 3)).cuda()
    meta = {
        name: MetaGradient(model, cross_entropy, inner_lr=0.3, engine=name, buffers="frozen")
        for name in ("loop", engine)
    }
    for seed in range(4):
        generator = torch.Generator("cuda").manual_seed(seed)
        pair = (
            torch.randn(3, 6, 4, device="cuda", generator=generator),
            torch.randint(3, (3, 6), device="cuda", generator=generator),
        )
        found = []
        for way in meta.values():
            model.zero_grad()
            way.backward(pair, pair)
            found.append([p.grad for p in model.parameters()])
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.sub_(0.1 * parameter.grad)
