"""Outer updates on a GPU: graph capture and bfloat16, the fraud network and ResNet-18.

    python -m benchmarks.cuda --out docs/speed/cuda.json

S = 80 for the fraud network, S = 8 for ResNet-18 (support 20, query 30 images of 32×32), exact order. The
baselines are one SGD step, or one forward and backward pass, on the same rows.
"""

import argparse
import contextlib
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks import peers
from benchmarks.images import QUERY, SUPPORT
from benchmarks.markdown import as_table
from benchmarks.outer_update import fraud_task, ours
from benchmarks.timing import measure, timing_frame, write_results
from metabalance import MetaGradient
from metabalance.nn import ResNet

COMMAND = "python -m benchmarks.cuda --out docs/speed/cuda.json"
META_STEPS = 8
BASELINE = "plain"


def on_cuda(task: peers.Task) -> peers.Task:
    """The same task with everything on the GPU."""
    model = task.model.cuda()
    support, query = ((x.cuda(), y.cuda()) for x, y in (task.support, task.query))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    return peers.Task(model, task.loss_fn, optimizer, task.inner_lr, support, query)


def fraud_candidates() -> dict[str, Callable[[], None]]:
    """Every engine on the fraud network."""
    made: dict[str, Callable[[], None]] = {BASELINE: peers.sgd_step(on_cuda(fraud_task()))}
    for engine in ("loop", "captured", "vectorized", "compiled"):
        made[engine] = ours(on_cuda(fraud_task()), engine)
    return made


def image_batches(rows: int, layout: torch.memory_format) -> tuple[Tensor, Tensor]:
    """Random images with S in front, each meta step's in this layout."""
    flat = torch.randn(META_STEPS * rows, 3, 32, 32, device="cuda").contiguous(memory_format=layout)
    return flat.unflatten(0, (META_STEPS, rows)), torch.randint(10, (META_STEPS, rows), device="cuda")


def image_candidates() -> dict[str, Callable[[], None]]:
    """The loop and its capture on ResNet-18, in single precision and in bfloat16 with channels last."""

    def autocast(half: bool) -> contextlib.AbstractContextManager[None]:
        context: contextlib.AbstractContextManager[None] = torch.autocast(
            "cuda", dtype=torch.bfloat16, enabled=half
        )
        return context

    def plain(half: bool, layout: torch.memory_format) -> Callable[[], None]:
        model: nn.Module = ResNet().cuda().to(memory_format=layout)
        x, y = (part.flatten(0, 1) for part in image_batches(SUPPORT + QUERY, layout))

        def run() -> None:
            model.zero_grad()
            with autocast(half):
                loss = cross_entropy(model(x), y)
            loss.backward()

        return run

    def meta(engine: str, half: bool, layout: torch.memory_format) -> Callable[[], None]:
        model: nn.Module = ResNet().cuda().to(memory_format=layout)
        gradient = MetaGradient(model, cross_entropy, inner_lr=0.01, engine=engine)
        support, query = image_batches(SUPPORT, layout), image_batches(QUERY, layout)

        def run() -> None:
            model.zero_grad()
            with autocast(half):
                gradient.backward(support, query)

        return run

    made: dict[str, Callable[[], None]] = {BASELINE: plain(False, torch.contiguous_format)}
    made["plain, bfloat16"] = plain(True, torch.channels_last)
    for engine in ("loop", "captured"):
        made[engine] = meta(engine, False, torch.contiguous_format)
        made[f"{engine}, bfloat16"] = meta(engine, True, torch.channels_last)
    return made


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=25)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("benchmarks.cuda needs a CUDA device, and torch sees none here", file=sys.stderr)
        raise SystemExit(2)
    results: dict[str, object] = {"gpu": torch.cuda.get_device_name()}
    for name, candidates in (("fraud network", fraud_candidates()), ("ResNet-18", image_candidates())):
        timings = measure(candidates, repeats=arguments.repeats, warmup=5, shortest=0.05)
        frame = timing_frame(timings, baseline=BASELINE).rename_axis(name)
        print(as_table(frame, digits=2), "\n", flush=True)
        results[name] = {candidate: timing.summary() for candidate, timing in timings.items()}
    write_results(arguments.out, COMMAND, results)


if __name__ == "__main__":
    main()
