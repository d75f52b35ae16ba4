"""Measuring on a shared machine: alternating samples, medians with their range, and what was used.

Seconds taken one after the other say more about the neighbours than about the code. Here every round takes
one sample of each candidate, in an order that turns from round to round, and candidates are compared by the
ratios within rounds. Memory is the high-water mark of a fresh process.

    timings = measure({"loop": loop, "vectorized": vectorized}, repeats=21)
    print(as_table(timing_frame(timings, baseline="loop"), digits=2))
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
import torch

from metabalance.evaluation.environment import describe_environment

MILLISECONDS = 1e3


@dataclass(frozen=True)
class Timing:
    """Seconds per call, one sample a round, and the calls that each sample averages over."""

    seconds: tuple[float, ...]
    calls: int

    @property
    def median(self) -> float:
        """The middle sample."""
        return median(self.seconds)

    def ratio_to(self, baseline: "Timing") -> tuple[float, float, float]:
        """Median, least and greatest of this one's seconds over the baseline's, round by round."""
        ratios = [own / other for own, other in zip(self.seconds, baseline.seconds, strict=True)]
        return median(ratios), min(ratios), max(ratios)

    def summary(self) -> dict[str, Any]:
        """Return what a results file should hold of it."""
        return {
            "median_ms": round(self.median * MILLISECONDS, 4),
            "min_ms": round(min(self.seconds) * MILLISECONDS, 4),
            "max_ms": round(max(self.seconds) * MILLISECONDS, 4),
            "samples": len(self.seconds),
            "calls_per_sample": self.calls,
        }


def measure(
    candidates: Mapping[str, Callable[[], object]],
    *,
    repeats: int = 21,
    warmup: int = 3,
    shortest: float = 0.005,
    threads: int = 1,
) -> dict[str, Timing]:
    """Time candidates in alternation.

    Parameters
    ----------
    candidates : mapping of str to callable
        What to call, by name. Work on a GPU is waited for at the end of every sample.
    repeats : int, default=21
        Rounds: samples of each candidate.
    warmup : int, default=3
        Calls of each candidate before anything is timed; the last one sets how many calls a sample takes.
    shortest : float, default=0.005
        Seconds that a sample should last at least: quick candidates are called more than once in each.
    threads : int, default=1
        Torch threads while measuring; the number is put back afterwards.
    """
    with torch_threads(threads):
        calls = {name: _calls_per_sample(call, warmup, shortest) for name, call in candidates.items()}
        samples: dict[str, list[float]] = {name: [] for name in candidates}
        names = list(candidates)
        for turn in range(repeats):
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                samples[name].append(_sample(candidates[name], calls[name]))
    return {name: Timing(tuple(samples[name]), calls[name]) for name in names}


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """Run a block on so many torch threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _calls_per_sample(call: Callable[[], object], warmup: int, shortest: float) -> int:
    for _ in range(warmup - 1):
        call()
    return max(1, round(shortest / _sample(call, 1)))


def _sample(call: Callable[[], object], calls: int) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        call()
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return (time.perf_counter() - started) / calls


def timing_frame(timings: Mapping[str, Timing], baseline: str) -> pd.DataFrame:
    """Return one row per candidate: milliseconds with their range, and the ratio to the baseline."""
    rows = {}
    for name, timing in timings.items():
        middle, least, most = timing.ratio_to(timings[baseline])
        figures = timing.summary()
        rows[name] = {
            "median ms": figures["median_ms"],
            "range ms": f"{figures['min_ms']:.3g}–{figures['max_ms']:.3g}",
            f"× {baseline}": middle,
            "range ×": f"{least:.2f}–{most:.2f}",
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("candidate")


def in_fresh_process(module: str, *arguments: object, **environment: str) -> dict[str, Any]:
    """Run ``python -m module arguments`` and return the JSON object on the last line that it prints.

    ``environment`` is set in the new process besides what this one has.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **environment}
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def peak_memory_mb() -> float:
    """Return the most memory in 10⁶ bytes that this process has held, as Linux counts it.

    Not ``resource.getrusage``, whose mark a process inherits from the one that started it.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


def write_results(path: Path, command: str, results: Mapping[str, Any]) -> None:
    """Write results as JSON, with the command that made them and the versions and hardware it ran on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"command": command, "environment": describe_environment(), **results}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
