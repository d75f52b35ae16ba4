"""A fit on 50 million rows of Parquet: memory, time to the first update, and updates against memory.

    python -m benchmarks.large --folder /tmp/large --out docs/speed/large.json

The table is made first if it is not there: ``--rows`` rows of 29 numbers and a label, a file for each
million, float64 as pandas writes it (12 GB at 50 million, and 6 GB for the store). Numbers are normal; the
label is rare, one row in about 580, by a logistic rule of six of them, so that there is something to learn.
Every fit is a process of its own, whose peak resident memory is that of the whole process with its libraries.
A cold fit finds no store, and no file in the system's cache; a warm one finds both. Updates are timed by a
callback, in fits on the store and fits on the first two million rows in memory in turn.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
from skorch.callbacks import Callback

from benchmarks.timing import write_results
from metabalance import LargeTable, MetaBalanceClassifier

COMMAND = "python -m benchmarks.large --folder /tmp/large --out docs/speed/large.json"
COLUMNS, ROWS_OF_A_FILE, IN_MEMORY = 29, 10**6, 2 * 10**6
WEIGHTS = np.array([1.5, -1.0, 0.8, -0.6, 0.5, 0.4])
INTERCEPT = -8.3  # about one row in 580 is of the rare class
TARGETS = {"peak_gb": 2.0, "cold_seconds": 600.0, "warm_seconds": 20.0, "updates_ratio": 1.3}


def make(folder: Path, rows: int) -> None:
    """Write the table, file by file, those that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(-(-rows // ROWS_OF_A_FILE)):
        file = folder / f"part-{number:04}.parquet"
        if file.exists():
            continue
        rng = np.random.default_rng(number)
        x = rng.normal(size=(min(ROWS_OF_A_FILE, rows - number * ROWS_OF_A_FILE), COLUMNS))
        chance = 1 / (1 + np.exp(-(x[:, : len(WEIGHTS)] @ WEIGHTS + INTERCEPT)))
        columns = {f"V{column + 1}": x[:, column] for column in range(COLUMNS)}
        table = pa.table({**columns, "Class": (rng.random(len(x)) < chance).astype(np.int64)})
        unfinished = file.with_suffix(".tmp")
        pq.write_table(table, unfinished, row_group_size=2**18)
        unfinished.replace(file)


class Clock(Callback):  # type: ignore[misc]
    """Remembers when each update ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_batch_end(self, net: Any, **kwargs: Any) -> None:
        """Look at the clock."""
        self.ends.append(time.perf_counter())


def peak_gb() -> float:
    """What was resident at most; `getrusage` would count the parent process's memory, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(peak) * 1024 / 1e9


def fit(data: Any, target: Any, epochs: int) -> dict[str, float]:
    """Fit, and say how long the first and the others of its updates took, and what memory was resident."""
    clock = Clock()
    started = time.perf_counter()
    MetaBalanceClassifier(max_epochs=epochs, callbacks=[clock], random_state=0).fit(data, target)
    ended = time.perf_counter()
    return {
        "first_update_seconds": clock.ends[0] - started,
        "fit_seconds": ended - started,
        "update_ms": 1e3 * median(np.diff(clock.ends)),
        "peak_gb": peak_gb(),
    }


def one_process(kind: str, folder: Path, epochs: int) -> dict[str, float]:
    """Have a process of its own do one fit."""
    command = [sys.executable, "-m", "benchmarks.large", "--folder", str(folder), "--only", kind]
    found = subprocess.run([*command, "--epochs", str(epochs)], check=True, stdout=subprocess.PIPE)
    result: dict[str, float] = json.loads(found.stdout.splitlines()[-1])
    print(kind, {name: round(value, 3) for name, value in result.items()}, flush=True)
    return result


def forget(folder: Path) -> None:
    """Ask the system to drop what it has cached of the files."""
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def in_memory(folder: Path) -> tuple[Any, Any]:
    """The first rows of the table, as they are passed to a fit in memory."""
    frame = pads.dataset(folder / "rows", format="parquet").head(IN_MEMORY).to_pandas()
    return frame.drop(columns="Class"), frame["Class"]


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the table and its store are kept")
    parser.add_argument("--rows", type=int, default=50_000_000)
    parser.add_argument("--rounds", type=int, default=5, help="fits in turn, on the store and in memory")
    parser.add_argument("--epochs", type=int, default=4, help="of each fit")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", choices=("store", "memory"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    folder, epochs = arguments.folder, arguments.epochs
    if arguments.only:
        table = LargeTable(folder / "rows", store=folder / "store")
        data = (table, "Class") if arguments.only == "store" else in_memory(folder)
        print(json.dumps(fit(*data, epochs)))
        return
    make(folder / "rows", arguments.rows)
    shutil.rmtree(folder / "store", ignore_errors=True)
    forget(folder)
    cold = one_process("store", folder, epochs)
    warm, memory = [], []
    for _ in range(arguments.rounds):
        warm.append(one_process("store", folder, epochs))
        memory.append(one_process("memory", folder, epochs))
    ratios = [one["update_ms"] / other["update_ms"] for one, other in zip(warm, memory, strict=True)]
    found = {
        "peak_gb": max(each["peak_gb"] for each in (cold, *warm)),
        "cold_seconds": cold["first_update_seconds"],
        "warm_seconds": median(each["first_update_seconds"] for each in warm),
        "updates_ratio": median(ratios),
    }
    for name, target in TARGETS.items():
        print(f"{name}: {found[name]:.2f}, target ≤ {target}")
    print(f"ratios {min(ratios):.2f}–{max(ratios):.2f}")
    if arguments.out:
        content = {"rows": arguments.rows, "columns": COLUMNS, "found": found, "targets": TARGETS}
        fits = {"cold": cold, "warm": warm, "memory": memory}
        write_results(arguments.out, COMMAND, {**content, "fits": fits})


if __name__ == "__main__":
    main()
