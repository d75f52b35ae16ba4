"""After an exception of any kind, parameters, buffers, training modes and ``.grad`` are as before."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils._named_member_accessor import NamedMemberAccessor

from metabalance.meta import MetaGradient, adapt

STEPS = 4


class FailingLoss:
    """Cross-entropy that raises or turns non-finite at its call ``at``; support and query alternate."""

    def __init__(self, at: int, failure: Callable[[Tensor], Tensor]) -> None:
        self.at, self.failure, self.calls = at, failure, 0

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        self.calls += 1
        loss = cross_entropy(output, target)
        return self.failure(loss) if self.calls == self.at else loss


def _raise(error: BaseException) -> Callable[[Tensor], Tensor]:
    def failure(_: Tensor) -> Tensor:
        raise error

    return failure


def _net() -> nn.Sequential:
    net = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 3))
    net[3].eval()
    for p in net.parameters():
        p.grad = torch.full_like(p, 0.25)
    net[4].bias.grad = None
    return net


def _batch(rows: int, width: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(rows)
    x = torch.randn(STEPS, rows, width, generator=generator)
    return x, torch.randint(3, (STEPS, rows), generator=generator)


def _state(net: nn.Module) -> list[object]:
    tensors = [t.detach().clone() for t in net.state_dict().values()]
    grads = [None if p.grad is None else p.grad.clone() for p in net.parameters()]
    return [tensors, grads, [m.training for m in net.modules()], [p.requires_grad for p in net.parameters()]]


def _assert_untouched(before: list[object], after: list[object]) -> None:
    for old, new in zip(before[0] + before[1], after[0] + after[1], strict=True):
        assert (old is None and new is None) or torch.equal(old, new)
    assert before[2:] == after[2:]


@pytest.mark.parametrize(
    ("loss_fn", "error", "message"),
    [
        (FailingLoss(5, _raise(KeyError("loss"))), KeyError, "loss"),
        (FailingLoss(6, _raise(KeyboardInterrupt("stop"))), KeyboardInterrupt, "stop"),
        (FailingLoss(5, lambda x: x / 0), FloatingPointError, "support loss of meta step 2 is inf; nothing"),
        (FailingLoss(4, lambda x: x * torch.nan), FloatingPointError, "query loss of meta step 1 is nan"),
        (FailingLoss(8, lambda x: x.expand(2)), ValueError, r"one scalar per batch, got shape \(2,\)"),
        (FailingLoss(7, lambda x: x.item()), TypeError, "loss_fn must return a tensor, got float"),
        (FailingLoss(2, lambda x: x.detach()), ValueError, "query loss depends on no parameter"),
        # The square root has a finite value and an infinite slope at zero.
        (
            FailingLoss(2, lambda x: x + (x - x).sqrt()),
            FloatingPointError,
            "gradient of .*0.weight.* not finite",
        ),
    ],
)
def test_a_failure_in_the_loss_changes_nothing(loss_fn, error, message):
    net = _net()
    before = _state(net)
    with pytest.raises(error, match=message):
        MetaGradient(net, loss_fn, inner_lr=0.1, beta=0.5).backward(_batch(6), _batch(5))
    _assert_untouched(before, _state(net))


def test_a_failure_of_the_model_in_the_query_pass_changes_nothing():
    net = _net()
    before = _state(net)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        MetaGradient(net, cross_entropy, inner_lr=0.1).backward(_batch(6), _batch(5, width=3))
    _assert_untouched(before, _state(net))


@pytest.mark.parametrize("engine", ["auto", "vectorized"])
def test_a_failure_under_vmap_changes_nothing(engine):
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).train()
    before = _state(net)
    with pytest.raises(RuntimeError):
        MetaGradient(net, cross_entropy, inner_lr=0.1, engine=engine).backward(_batch(6), _batch(5, width=3))
    x, y = _batch(5)
    x[2, 0, 0] = torch.nan
    with pytest.raises(FloatingPointError, match="query loss of meta step 2 is nan"):
        MetaGradient(net, cross_entropy, inner_lr=0.1, engine=engine).backward(_batch(6), (x, y))
    _assert_untouched(before, _state(net))


@pytest.mark.parametrize("work", ["loop", "vectorized", "adapt"])
def test_ctrl_c_while_torch_exchanges_tensors_leaves_the_models_own(work, monkeypatch):
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    support, query = _batch(6), _batch(5)
    own = [*net.parameters()]
    exchange = NamedMemberAccessor.swap_tensor
    left = 0

    def run() -> None:
        if work == "adapt":
            adapt(net, cross_entropy, (support[0][0], support[1][0]), inner_lr=0.1, chunk_size=3)
        else:
            MetaGradient(net, cross_entropy, inner_lr=0.1, engine=work).backward(support, query)

    def interrupted(*args, **kwargs):
        nonlocal left
        left -= 1
        tensor = exchange(*args, **kwargs)
        if left == 0:
            raise KeyboardInterrupt
        return tensor

    monkeypatch.setattr(NamedMemberAccessor, "swap_tensor", interrupted)
    for last in range(1, 16):  # two passes over four tensors, there and back
        left = last
        with pytest.raises(KeyboardInterrupt):
            run()
        assert all(one is other for one, other in zip(net.parameters(), own, strict=True))


def test_the_buffers_that_were_moved_before_a_failure_are_not_kept():
    net = _net()
    running = net[1].running_mean
    with pytest.raises(KeyError):
        MetaGradient(net, FailingLoss(8, _raise(KeyError())), inner_lr=0.1).backward(_batch(6), _batch(5))
    assert net[1].running_mean is running
    assert torch.equal(running, torch.zeros(6))
    assert net[1].num_batches_tracked == 0
