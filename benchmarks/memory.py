"""Peak memory of one outer update at S = 80 against S = 1, loop engine, exact order.

    python -m benchmarks.memory --out docs/speed/memory.json

Each figure is of a fresh process: how far the update lifts the process's high-water mark above what it held
before, the batches included. ResNet-18 has support 20 and query 30 images of 32×32, the small network two
convolutions with BatchNorm and the same batches; one CPU thread. Every pair is measured twice: with the C
library told to give freed memory back at once, so that the mark is what tensors hold, and as it comes, where
a heap that has been used for long is full of gaps.
"""

import argparse
import json
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from benchmarks.images import QUERY, SUPPORT
from benchmarks.markdown import as_table
from benchmarks.timing import in_fresh_process, peak_memory_mb, torch_threads, write_results
from metabalance import MetaGradient
from metabalance.nn import ResNet

COMMAND = "python -m benchmarks.memory --out docs/speed/memory.json"
META_STEPS = (1, 80)
HEAPS = {
    "given back at once": {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"},
    "as it comes": {},
}
TARGET = 1.05


def small_network() -> nn.Module:
    """Two convolutions."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


NETWORKS = {"ResNet-18": ResNet, "small": small_network}


def one_update(network: str, meta_steps: int) -> dict[str, Any]:
    """Run one update in this process and say what it took."""
    torch.manual_seed(0)
    meta = MetaGradient(NETWORKS[network](), cross_entropy, inner_lr=0.01, engine="loop")
    support, query = (
        (torch.randn(meta_steps, rows, 3, 32, 32), torch.randint(10, (meta_steps, rows)))
        for rows in (SUPPORT, QUERY)
    )
    before = peak_memory_mb()
    with torch_threads(1):
        meta.backward(support, query)
    return {"update_mb": round(peak_memory_mb() - before, 1), "before_mb": round(before, 1)}


def compared(network: str, heap: str, repeats: int) -> dict[str, Any]:
    """One line of the table: medians over processes with their range, and the ratio."""
    peaks = {
        meta_steps: [
            float(
                in_fresh_process("benchmarks.memory", "--one", network, meta_steps, **HEAPS[heap])[
                    "update_mb"
                ]
            )
            for _ in range(repeats)
        ]
        for meta_steps in META_STEPS
    }
    line: dict[str, Any] = {
        f"MB at S = {meta_steps}": f"{median(found):.0f} ({min(found):.0f}–{max(found):.0f})"
        for meta_steps, found in peaks.items()
    }
    one, many = (median(peaks[meta_steps]) for meta_steps in META_STEPS)
    return line | {"ratio": round(many / one, 3), "target": f"<= {TARGET}"}


def main() -> None:
    """Run the benchmark, or one update of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--repeats", type=int, default=3, help="processes for each figure; the median counts")
    parser.add_argument("--one", nargs=2, metavar=("NETWORK", "S"), help="used by the benchmark itself")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one_update(arguments.one[0], int(arguments.one[1]))))
        return
    rows = {
        f"{network}, memory {heap}": compared(network, heap, arguments.repeats)
        for network in arguments.networks
        for heap in HEAPS
    }
    print(as_table(pd.DataFrame.from_dict(rows, orient="index").rename_axis("network"), digits=3))
    if arguments.out:
        write_results(arguments.out, COMMAND, {"peaks": rows})


if __name__ == "__main__":
    main()
