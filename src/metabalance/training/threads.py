"""How many threads a small network trains on."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from metabalance.nn import TableNetwork

MOST_PARAMETERS = 200_000


def is_small(module: nn.Module, x: Tensor) -> bool:
    """Whether a network of a table on the CPU is too small for several threads."""
    parameters = sum(parameter.numel() for parameter in module.parameters())
    of_table = x.ndim == 2 or isinstance(module, TableNetwork)
    return x.device.type == "cpu" and of_table and parameters <= MOST_PARAMETERS


@contextmanager
def one_thread() -> Iterator[None]:
    """Run a block on one torch thread and put the number back as it was.

    Most networks of tables are so small that two threads spend their time waiting for each other, several
    times as long as one thread needs where other work shares the cores.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
