"""An outer update shared out among processes against one process that does it all."""

from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.nn.functional import cross_entropy

from metabalance.meta import MetaGradient
from tests.ranks import run_ranks

OPTIONS = {"vectorized": {}, "loop": {"engine": "loop", "order": "first", "reduction": "sum"}}
META_STEPS, BATCH, INPUTS = 5, 6, 4


def network(kind: str, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    layers = {
        "dense": [nn.Linear(INPUTS, 8), nn.Tanh(), nn.Linear(8, 3)],
        "norm": [nn.Linear(INPUTS, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3)],
    }[kind]
    return nn.Sequential(OrderedDict((str(i), layer) for i, layer in enumerate(layers))).double()


def batches(seed: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)

    def pair() -> tuple[Tensor, Tensor]:
        x = torch.randn(META_STEPS, BATCH, INPUTS, generator=generator, dtype=torch.float64)
        return x, torch.randint(3, (META_STEPS, BATCH), generator=generator)

    return pair(), pair()


def share(pair: tuple[Tensor, Tensor], rank: int) -> tuple[Tensor, Tensor]:
    """Three meta steps for the first process, two for the second."""
    part = slice(0, 3) if rank == 0 else slice(3, None)
    return pair[0][part], pair[1][part]


def train(kind: str, updates: int, shared: bool, options: dict) -> dict[str, Tensor]:
    """Parameters, statistics and losses after some updates, alone or as one of the processes."""
    rank = distributed.get_rank() if shared else 0
    model = network(kind, seed=rank)  # the first one's is the one that counts
    group = distributed.group.WORLD if shared else None
    meta = MetaGradient(model, cross_entropy, inner_lr=0.2, beta=0.3, process_group=group, **options)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for update in range(updates):
        support, query = batches(update)
        if shared:
            support, query = share(support, rank), share(query, rank)
        losses.append(torch.stack(meta.backward(support, query)))
        optimizer.step()
        optimizer.zero_grad()
    return {**model.state_dict(), "losses": torch.stack(losses)}


def all_that_takes_two() -> dict[str, Any]:
    """One start of two processes for all tests."""
    return {
        **{name: train("dense", 200, True, options) for name, options in OPTIONS.items()},
        "norm": train("norm", 1, True, {}),
        "trouble": meet_trouble(),
        "unreached": gradients_of_unreached(),
        "wrapped": wrapped_models(),
    }


@pytest.fixture(scope="module")
def ranks() -> list[dict[str, Any]]:
    return run_ranks(all_that_takes_two)


@pytest.mark.parametrize("name", OPTIONS)
def test_two_processes_do_what_one_does(name, ranks) -> None:
    first, second = (each[name] for each in ranks)
    alone = train("dense", 200, False, OPTIONS[name])
    for name, expected in alone.items():
        assert torch.equal(first[name], second[name])  # they do not drift apart
        torch.testing.assert_close(first[name], expected, rtol=1e-6, atol=1e-12)


def test_statistics_are_averaged_by_meta_steps(ranks) -> None:
    first, second = (each["norm"] for each in ranks)
    model, moved = network("norm"), []
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for rank in range(2):
        model.load_state_dict(state)
        support, query = batches(0)
        MetaGradient(model, cross_entropy, inner_lr=0.2, beta=0.3).backward(
            share(support, rank), share(query, rank)
        )
        moved.append({name: tensor.clone() for name, tensor in model.named_buffers()})
    for name in ("1.running_mean", "1.running_var"):
        torch.testing.assert_close(first[name], 0.6 * moved[0][name] + 0.4 * moved[1][name])
        assert torch.equal(first[name], second[name])


def meet_trouble() -> list[str]:
    """What each process is told of a loss that is no number in the second one, and of another model."""
    rank = distributed.get_rank()
    model = network("dense")
    before = [p.clone() for p in model.parameters()]
    meta = MetaGradient(model, cross_entropy, inner_lr=0.2, process_group=distributed.group.WORLD)
    support, query = (share(pair, rank) for pair in batches(0))
    if rank == 1:
        query[0][1] = torch.nan
    told = []
    try:
        meta.backward(support, query)
    except FloatingPointError as error:
        told.append(str(error))
    assert all(p.grad is None for p in model.parameters())
    assert all(map(torch.equal, before, model.parameters()))
    try:
        other = nn.Linear(INPUTS, 3 + rank)
        MetaGradient(other, cross_entropy, inner_lr=0.2, process_group=distributed.group.WORLD)
    except ValueError as error:
        told.append(str(error))
    return told


def test_trouble_in_one_process_is_told_in_all(ranks) -> None:
    first, second = (each["trouble"] for each in ranks)
    assert "another process of process_group is not finite" in first[0]
    assert "the query loss of meta step 1 is nan" in second[0]
    for told in (first, second):
        assert "other parameters or shapes in another process" in told[1]


class OnlyFirst(nn.Module):
    """A network of which the second process never reaches one parameter, and none another."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(INPUTS, 3).double()
        self.sometimes, self.never = (nn.Parameter(torch.zeros(3, dtype=torch.float64)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        logits = self.linear(x)
        return logits + self.sometimes if distributed.get_rank() == 0 else logits


def gradients_of_unreached() -> list[bool]:
    model = OnlyFirst()
    support, query = (share(pair, distributed.get_rank()) for pair in batches(0))
    MetaGradient(
        model, cross_entropy, inner_lr=0.1, engine="loop", process_group=distributed.group.WORLD
    ).backward(support, query)
    return [parameter.grad is not None for parameter in (model.linear.weight, model.sometimes, model.never)]


def test_a_parameter_has_a_gradient_where_any_process_reaches_it(ranks) -> None:
    assert [each["unreached"] for each in ranks] == [[True, True, False]] * 2


def wrapped_models() -> list[str]:
    told = []
    for wrap in (nn.parallel.DistributedDataParallel, lambda m: nn.Sequential(nn.DataParallel(m))):
        try:
            MetaGradient(wrap(network("dense")), cross_entropy, inner_lr=0.1)
        except TypeError as error:
            told.append(str(error))
    return told


def test_wrapped_models_are_told_what_to_pass(ranks) -> None:
    ddp, inside = ranks[0]["wrapped"]
    assert ddp.startswith("the model is wrapped by DistributedDataParallel, which")
    assert "wrapped by DataParallel (its part '0')" in inside
    assert "pass the module inside, and process_group=" in ddp


def test_what_is_no_group_is_refused() -> None:
    model = network("dense")
    with pytest.raises(TypeError, match=r"process_group must be a .*ProcessGroup, .*got 'world'"):
        MetaGradient(model, cross_entropy, inner_lr=0.1, process_group="world")
    with pytest.raises(ValueError, match="this process is not in process_group"):
        MetaGradient(
            model, cross_entropy, inner_lr=0.1, process_group=distributed.GroupMember.NON_GROUP_MEMBER
        )
