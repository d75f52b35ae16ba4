"""How many threads a small network trains on."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from metabalance.nn import TableNetwork
from metabalance.sampling.stored import StoredRows

MOST_PARAMETERS = 200_000


class _Here(threading.local):
    inside = False  # a block, in this thread of the user's


_here = _Here()
_put_back: list[int] = []  # the numbers that blocks of all threads found


def is_small(module: nn.Module, x: Tensor | StoredRows) -> bool:
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
    if _here.inside:
        yield
        return
    before = torch.get_num_threads()
    if before == 1 and _put_back:  # a thread that is new takes over the number of another one's block
        before = max(_put_back)
    try:
        _put_back.append(before)
        _here.inside = True
        torch.set_num_threads(1)
        yield
    finally:
        _here.inside = False
        if before in _put_back:
            _put_back.remove(before)
        torch.set_num_threads(before)
