"""Meta steps of ResNet-18 shared out among two processes, against one process with one thread.

    python -m benchmarks.distributed --out docs/speed/distributed.json

Both sides are measured in turn by the same two processes, of one thread each: while the first one works
alone, the other waits. Support 20 and query 30 images of 32×32, BatchNorm, exact order. Also, what is sent.
"""

import argparse
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, distributed, multiprocessing
from torch.nn.functional import cross_entropy

from benchmarks.timing import write_results
from metabalance import MetaGradient
from metabalance.nn import MLP, ResNet

COMMAND = "python -m benchmarks.distributed --out docs/speed/distributed.json"
RANKS, META_STEPS, SUPPORT, QUERY = 2, 4, 20, 30
TARGET = 1.8
PORT_FILE = "/dev/shm/metabalance-benchmark-{}"


def images(steps: int, rows: int) -> tuple[Tensor, Tensor]:
    """Random images and labels of so many meta steps."""
    return torch.randn(steps, rows, 3, 32, 32), torch.randint(10, (steps, rows))


def seconds_of(meta: MetaGradient, steps: int) -> float:
    """Time one outer update."""
    support, query = images(steps, SUPPORT), images(steps, QUERY)
    started = time.perf_counter()
    meta.backward(support, query)
    return time.perf_counter() - started


def bytes_sent(steps: int) -> tuple[int, int]:
    """Bytes that a process hands over in one update of a small network, and those of its gradient."""
    model = MLP(29, 2)
    meta = MetaGradient(model, cross_entropy, inner_lr=0.1, process_group=distributed.group.WORLD)
    sent: list[int] = []
    send = distributed.all_reduce

    def counted(tensor: Tensor, *arguments: Any, **options: Any) -> Any:
        sent.append(tensor.nbytes)
        return send(tensor, *arguments, **options)

    distributed.all_reduce = counted
    try:
        x, y = torch.randn(steps, 16, 29), torch.randint(2, (steps, 16))
        meta.backward((x, y), (x, y))
    finally:
        distributed.all_reduce = send
    return sum(sent), sum(p.nbytes for p in model.parameters())


def seconds_of_all_reduce(size: int) -> float:
    """Time a sum of so many float32 numbers over the processes."""
    numbers = torch.zeros(size)
    distributed.barrier()
    started = time.perf_counter()
    distributed.all_reduce(numbers)
    return time.perf_counter() - started


def work(rank: int, store: str, rounds: int, results: Any) -> None:
    """Be one of the processes; the first one gives the results."""
    torch.set_num_threads(1)
    torch.manual_seed(rank)
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=RANKS)
    alone = MetaGradient(ResNet(), cross_entropy, inner_lr=0.1)
    together = MetaGradient(ResNet(), cross_entropy, inner_lr=0.1, process_group=distributed.group.WORLD)
    pairs = []
    for _ in range(rounds + 1):
        distributed.barrier()
        one = seconds_of(alone, META_STEPS) if rank == 0 else 0.0
        distributed.barrier()
        pairs.append((one, seconds_of(together, META_STEPS // RANKS)))
    sizes = {steps: bytes_sent(steps) for steps in (1, 8, 64)}
    gradient = sum(p.numel() for p in ResNet().parameters())
    sums = {size: median(seconds_of_all_reduce(size) for _ in range(21)) for size in (1, gradient)}
    if rank == 0:
        results.put((pairs[1:], sizes, sums))  # the first round warms up
    distributed.barrier()
    distributed.destroy_process_group()


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    store = Path(PORT_FILE.format(time.time_ns()))
    processes = multiprocessing.spawn(work, (str(store), arguments.rounds, results), nprocs=RANKS, join=False)
    pairs, sizes, sums = results.get()
    processes.join()
    store.unlink(missing_ok=True)
    ratios = [one / two for one, two in pairs]
    print(f"one process {median(one for one, _ in pairs):.2f} s, two {median(two for _, two in pairs):.2f} s")
    print(f"ratio {median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}), target ≥ {TARGET}")
    for steps, (sent, gradient) in sizes.items():
        print(f"{steps} meta steps in each process: {sent} bytes sent, {gradient} in a gradient")
    for size, seconds in sums.items():
        print(f"all-reduce of {size} numbers: {1e3 * seconds:.2f} ms")
    if arguments.out:
        content = {
            "seconds": [{"one process": one, "two processes": two} for one, two in pairs],
            "ratio": {"median": median(ratios), "min": min(ratios), "max": max(ratios), "target": TARGET},
            "all_reduce_seconds": {str(4 * size): seconds for size, seconds in sums.items()},
            "bytes": {
                str(steps): {"sent": sent, "gradient": gradient} for steps, (sent, gradient) in sizes.items()
            },
        }
        write_results(arguments.out, COMMAND, content)


if __name__ == "__main__":
    main()
