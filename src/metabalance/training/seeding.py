"""Seeded initialisation and dropout without touching the caller's random state."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

# Two threads' blocks at once would draw from one generator: they run one after the other.
_lent = threading.RLock()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run a block with torch's generators seeded, and put them back as they were afterwards.

    Blocks of several threads wait for each other.

    ``torch.nn`` initialises weights and draws dropout masks from the global generator only, so the one way to
    make them an argument is to lend it out for the length of the block.
    """
    # Of every GPU too: seeding reaches them all.
    with _lent, torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.random.manual_seed(seed)
        yield
