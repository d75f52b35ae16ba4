"""Seeded initialisation and dropout without touching the caller's random state."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Run a block with torch's generators seeded, and put them back as they were afterwards.

    ``torch.nn`` initialises weights and draws dropout masks from the global generator only, so the one way to
    make them an argument is to lend it out for the length of the block.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.random.manual_seed(seed)
        yield
