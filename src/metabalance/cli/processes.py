"""``metabalance fit`` under torchrun: one of several processes that train a network together."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import distributed
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous


def count_processes() -> int:
    """Return how many processes torchrun has started with this one, itself included; 1 without torchrun."""
    return int(os.environ["WORLD_SIZE"]) if distributed.is_torchelastic_launched() else 1


def under_torchrun() -> bool:
    """Return whether there are others."""
    return count_processes() > 1


@contextmanager
def torchrun_group() -> Iterator[distributed.ProcessGroup | None]:
    """Join the processes that torchrun has started, each on a GPU of its own where there are any.

    Gives their group, or None where this process is on its own.
    """
    if not under_torchrun():
        yield None
        return
    on_gpus = torch.cuda.is_available()
    if on_gpus:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    store, rank, size = next(rendezvous("env://"))
    if os.environ["GROUP_WORLD_SIZE"] == "1":
        # torchrun keeps the store when it starts processes again, and with it the addresses of dead ones.
        store = PrefixStore(f"attempt {os.environ['TORCHELASTIC_RESTART_COUNT']}", store)
    distributed.init_process_group("nccl" if on_gpus else "gloo", store=store, rank=rank, world_size=size)
    try:
        yield distributed.group.WORLD
    finally:
        # What holds the group in a circle keeps threads of it alive, which may abort the process as it ends
        # (pytorch/pytorch#190489).
        gc.collect()
        distributed.destroy_process_group()


def name_of_process() -> str:
    """Return what messages call this process, which is nothing where it speaks for all."""
    return "" if speaks() else f" in process {os.environ['RANK']}"


def speaks() -> bool:
    """Return whether this process is the one that prints and writes files."""
    return not under_torchrun() or os.environ["RANK"] == "0"
