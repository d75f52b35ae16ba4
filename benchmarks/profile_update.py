"""Where the time of an outer update of the fraud network goes.

    python -m benchmarks.profile_update --out docs/speed/profile.json

torch's profiler over many updates (S = 80, exact order, one CPU thread), its rows gathered into kinds:
matrix products, random numbers of dropout, other arithmetic, the outer optimizer, and the rest, which is
framework: Python, dispatch, graphs, guards. The profiler itself slows every operation down a little.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from torch.profiler import profile

from benchmarks import peers
from benchmarks.markdown import as_table
from benchmarks.outer_update import fraud_task, ours
from benchmarks.timing import torch_threads, write_results

COMMAND = "python -m benchmarks.profile_update --out docs/speed/profile.json"
UPDATES = 20
KINDS = {
    "matrix products": ("aten::bmm", "aten::mm", "aten::addmm", "aoti_torch_cpu_bmm", "aoti_torch_cpu_mm"),
    "random numbers": ("aten::uniform_", "aten::bernoulli_"),
    "outer optimizer": ("Optimizer.", "aten::_foreach"),
    "other arithmetic": ("aten::", "graph_0_cpp_fused"),
}
VIEWS = ("view", "expand", "transpose", "as_strided", "reshape", "empty", "detach", "squeeze", "select", "t")
"""Operations that compute nothing: they count as framework."""


def kind_of(name: str) -> str:
    """The kind that a row of the profiler belongs to."""
    if name.removeprefix("aten::").removesuffix("_strided").removesuffix("_like") in VIEWS:
        return "framework"
    for kind, prefixes in KINDS.items():
        if name.startswith(prefixes):
            return kind
    return "framework"


def milliseconds_by_kind(update: Callable[[], None]) -> dict[str, float]:
    """Milliseconds of one update by kind, averaged."""
    for _ in range(5):
        update()
    with profile() as recorded:
        for _ in range(UPDATES):
            update()
    spent = dict.fromkeys([*KINDS, "framework"], 0.0)
    for row in recorded.key_averages():
        spent[kind_of(row.key)] += row.self_cpu_time_total / UPDATES / 1e3
    return spent


def main() -> None:
    """Profile, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    updates = {
        "plain SGD step": peers.sgd_step(fraud_task()),
        **{engine: ours(fraud_task(), engine) for engine in ("vectorized", "compiled")},
        "compiled, first order": ours(fraud_task(), "compiled", "first"),
    }
    # Without this the profiler would see a compiled update as one row.
    with torch_threads(1), torch._inductor.config.patch({"cpp.enable_kernel_profile": True}):
        spent = {name: milliseconds_by_kind(update) for name, update in updates.items()}
    frame = pd.DataFrame.from_dict(spent, orient="index").rename_axis("ms of one update")
    frame["all"] = frame.sum(axis=1)
    print(as_table(frame, digits=2))
    write_results(arguments.out, COMMAND, {"milliseconds": spent})


if __name__ == "__main__":
    main()
