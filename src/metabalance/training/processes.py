"""One training by several processes, each of which computes a share of the meta steps of every update."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import torch
from torch import Tensor, distributed

from metabalance.meta.functional import part_of
from metabalance.sampling.shares import share_of
from metabalance.training.rules import RuleAround, UpdateRule
from metabalance.training.seeding import seeded

_SEEDS = 2**62


class Shared(RuleAround):
    """A rule that draws the meta steps of all processes and computes this one's share of them.

    All processes draw the same, from generators in the same states, so that the state of one is that of all:
    a checkpoint by one of them is enough to go on in any number. Random numbers of the networks themselves
    (dropout) are other ones in each process.

    Parameters
    ----------
    rule : UpdateRule
        Whose ``backward`` sums gradients over the processes.
    group : torch.distributed.ProcessGroup
    meta_steps : int
        Of one draw.
    """

    def __init__(self, rule: UpdateRule, group: distributed.ProcessGroup, meta_steps: int) -> None:
        super().__init__(rule)
        self.rank = distributed.get_rank(group)
        self.part = share_of(meta_steps, distributed.get_world_size(group), self.rank)

    def draw(self) -> Any:
        """Return this process's part of the rule's next draw."""
        return part_of(self.rule.draw(), self.part)

    def backward(self, batch: Any) -> Tensor:
        """Add the gradient of all processes' losses to ``.grad``, and return the loss of all."""
        seed = int(torch.randint(_SEEDS, ()))  # the same in all processes
        with seeded(seed + self.rank):
            return self.rule.backward(batch)


def agreed(score: Callable[..., float], group: distributed.ProcessGroup) -> Callable[..., float]:
    """The score as the group's first process has it: all stop at the same epoch, whatever their machines."""
    first = distributed.get_global_rank(group, 0)

    @wraps(score)
    def from_first(*arguments: Any) -> float:
        value = torch.tensor([score(*arguments)], dtype=torch.float64)
        device = torch.device("cuda") if distributed.get_backend(group) == "nccl" else torch.device("cpu")
        sent = value.to(device)
        distributed.broadcast(sent, first, group)
        return float(sent)

    return from_first


def check_same_fit(made_of: Mapping[str, str], group: distributed.ProcessGroup) -> None:
    """Raise ValueError, in all processes, unless all of them fit the same parameters to the same rows."""
    everyone: list[Any] = [None] * distributed.get_world_size(group)
    distributed.all_gather_object(everyone, dict(made_of), group=group)
    for rank, other in enumerate(everyone):
        different = sorted(name for name in made_of if other.get(name) != everyone[0].get(name))
        if different:
            name = different[0]
            raise ValueError(
                f"process {rank} of process_group was given other {', '.join(different)} than process 0 "
                f"({name}: {other.get(name)}, not {everyone[0].get(name)}): call fit with the same data, "
                "parameters and random_state in all processes"
            )
