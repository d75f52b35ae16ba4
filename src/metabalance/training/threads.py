"""How many threads a small network trains on."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from metabalance.nn import TableNetwork

MOST_PARAMETERS = 200_000


class _Here(threading.local):
    depth = 0  # of blocks within each other, in this thread of the user's


_here = _Here()
_lock = threading.Lock()
_inside = 0  # threads of the user's that are in a block
_before = 1


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
    global _inside, _before
    if not _here.depth:
        with _lock:
            if not _inside:  # otherwise the number may be that of another thread's block
                _before = torch.get_num_threads()
            _inside += 1
    _here.depth += 1
    torch.set_num_threads(1)
    try:
        yield
    finally:
        _here.depth -= 1
        if not _here.depth:
            with _lock:
                _inside -= 1
                torch.set_num_threads(_before)
