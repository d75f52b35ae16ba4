"""Functions run by several processes of one group, as torchrun would start them."""

import gc
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import distributed, multiprocessing


def run_ranks(function: Callable[..., Any], *arguments: Any, world_size: int = 2) -> list[Any]:
    """Call it in every process, by gloo on the CPU and one thread each; return what each returned.

    The function and what it returns must be picklable; it takes its group by ``torch.distributed``.
    """
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(
            _be_rank, (world_size, Path(folder), function, arguments), nprocs=world_size, join=True
        )
        return [torch.load(_file(Path(folder), rank), weights_only=False) for rank in range(world_size)]


def _be_rank(
    rank: int, world_size: int, folder: Path, function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world_size
    )
    try:
        torch.save(function(*arguments), _file(folder, rank))
    finally:
        # As in `metabalance.cli.processes.torchrun_group`.
        gc.collect()
        distributed.destroy_process_group()


def _file(folder: Path, rank: int) -> Path:
    return folder / f"{rank}.pt"
