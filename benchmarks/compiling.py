"""After how many updates compiling an outer update has paid for itself, the basis of ``engine="auto"``.

    python -m benchmarks.compiling --out docs/speed/compiling.json

Dense networks of several sizes, random batches, exact order, one CPU thread, all caches of torch.compile off.
The seconds of compiling are those of the first two updates, of which the second one compiles; the first
network in the process also pays for what torch loads once.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from benchmarks.markdown import as_table
from benchmarks.outer_update import binary_loss
from benchmarks.timing import measure, torch_threads, write_results
from metabalance import MetaGradient
from metabalance.meta.choice import pays_to_compile
from metabalance.nn import MLP

COMMAND = "python -m benchmarks.compiling --out docs/speed/compiling.json"
NETWORKS = (
    # features, hidden layers, dropout, meta steps, support rows, query rows
    (29, (16, 24, 20, 24), (0, 0.5, 0, 0), 80, 24, 16),
    (29, (64, 32), 0.1, 4, 32, 32),
    (29, (64, 32), 0.1, 80, 24, 16),
    (29, (), 0.0, 4, 32, 32),
    (29, (64,) * 6, 0.1, 4, 32, 32),
    (100, (256, 128), 0.1, 4, 32, 32),
    (29, (512, 512, 512), 0.1, 4, 32, 32),
)


def rule(model: MLP, meta_steps: int, rows: int) -> int | None:
    """The number of updates from which on the rule compiles; None where it never does."""
    least, most = 1, 1_000_000
    if not pays_to_compile(model, meta_steps, rows, most):
        return None
    while least < most:
        middle = (least + most) // 2
        if pays_to_compile(model, meta_steps, rows, middle):
            most = middle
        else:
            least = middle + 1
    return least


def compare(features: int, hidden: tuple[int, ...], dropout: Any, steps: int, *rows: int) -> dict[str, Any]:
    """Measure one network."""
    torch.manual_seed(0)
    model = MLP(features, 1, hidden_sizes=hidden, dropout=dropout)
    batches = [(torch.randn(steps, n, features), torch.randint(2, (steps, n)).float()) for n in rows]
    meta = {
        engine: MetaGradient(model, binary_loss, inner_lr=0.1, beta=0.5, engine=engine)
        for engine in ("vectorized", "compiled")
    }
    started = time.perf_counter()
    for _ in range(2):
        meta["compiled"].backward(*batches)
    seconds = time.perf_counter() - started
    timings = measure(
        {engine: lambda way=way: way.backward(*batches) for engine, way in meta.items()}, shortest=0.02
    )
    vectorized, compiled = (timings[engine].median for engine in meta)
    return {
        "S": steps,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "vectorized ms": vectorized * 1e3,
        "compiled ms": compiled * 1e3,
        "compiling s": round(seconds, 1),
        "pays after updates": round(seconds / (vectorized - compiled)),
        "rule compiles from": rule(model, steps, steps * sum(rows)),
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    rows = {}
    with torch_threads(1), torch._inductor.config.patch(force_disable_caches=True):
        for features, hidden, *others in NETWORKS:
            name = f"{'-'.join(map(str, (features, *hidden, 1)))}, S = {others[1]}"
            rows[name] = compare(features, hidden, *others)
            print(name, rows[name], flush=True)
    print(as_table(pd.DataFrame.from_dict(rows, orient="index").rename_axis("network"), digits=2))
    write_results(arguments.out, COMMAND, {"networks": rows})


if __name__ == "__main__":
    main()
