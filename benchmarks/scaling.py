"""Cost of an outer update in the meta steps S and in the parameters, for every engine.

    python -m benchmarks.scaling --out docs/speed/scaling.json --plot docs/images/scaling.png

Meta steps: the paper's fraud network (1,917 parameters), S from 10 to 640. Parameters: two hidden layers of
equal width, 10³ to 10⁷ parameters, S = 8. Support 24 and query 16 rows, exact order, one CPU thread, the step
of the outer optimizer included. Linear growth is a straight line of slope 1 in the plot.
"""

import argparse
import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import torch

from benchmarks import peers
from benchmarks.markdown import as_table
from benchmarks.outer_update import binary_loss, fraud_task, ours, random_batches
from benchmarks.timing import Timing, measure, write_results
from metabalance.nn import MLP

COMMAND = "python -m benchmarks.scaling --out docs/speed/scaling.json --plot docs/images/scaling.png"
META_STEPS = (10, 20, 40, 80, 160, 320, 640)
PARAMETERS = (10**3, 10**4, 3 * 10**4, 10**5, 10**6, 10**7)
STEPS_FOR_PARAMETERS = 8
ENGINES = ("loop", "vectorized", "compiled")

Timings = dict[int, dict[str, Timing]]


def dense_task(parameters: int, meta_steps: int) -> peers.Task:
    """A network with about so many parameters: 29-w-w-1, which has w² + 32w + 1."""
    width = round(-16 + math.sqrt(16**2 + parameters))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MLP(29, 1, hidden_sizes=(width, width))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    support, query = random_batches(meta_steps)
    return peers.Task(model, binary_loss, optimizer, 0.01, support, query)


def measured(sizes: tuple[int, ...], make_task: Callable[[int], peers.Task], repeats: int) -> Timings:
    """Time every engine at every size."""
    found: Timings = {}
    for size in sizes:
        candidates = {engine: ours(make_task(size), engine) for engine in ENGINES}
        found[size] = measure(candidates, repeats=repeats)
        row = ", ".join(f"{name} {timing.median * 1e3:.2f} ms" for name, timing in found[size].items())
        print(f"{size}: {row}", flush=True)
    return found


def growth(timings: Timings, engine: str) -> float:
    """The largest slope between neighbouring sizes, in logarithms: at most 1 is no worse than linear."""
    sizes = sorted(timings)
    return max(
        math.log(timings[larger][engine].median / timings[smaller][engine].median)
        / math.log(larger / smaller)
        for smaller, larger in pairwise(sizes)
    )


def frame_of(timings: Timings, name: str) -> pd.DataFrame:
    """One row per size: milliseconds of each engine, and how much faster than the loop the others are."""
    rows = {}
    for size, by_engine in timings.items():
        rows[f"{size:,}"] = {f"{engine} ms": timing.median * 1e3 for engine, timing in by_engine.items()}
        for engine in ENGINES[1:]:
            rows[f"{size:,}"][f"loop ÷ {engine}"] = by_engine["loop"].ratio_to(by_engine[engine])[0]
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(name)


def draw(panels: Mapping[str, Timings], path: Path) -> None:
    """Plot cost against size on logarithmic axes, with the range of the samples."""
    figure, axes = plt.subplots(1, len(panels), figsize=(10, 4), layout="constrained")
    for axis, (name, timings) in zip(axes, panels.items(), strict=True):
        sizes = sorted(timings)
        for engine in ENGINES:
            by_size = [timings[size][engine] for size in sizes]
            (line,) = axis.plot(sizes, [t.median * 1e3 for t in by_size], marker="o", label=engine)
            lowest, highest = ([f(t.seconds) * 1e3 for t in by_size] for f in (min, max))
            axis.fill_between(sizes, lowest, highest, color=line.get_color(), alpha=0.2, linewidth=0)
        axis.set(xscale="log", yscale="log", xlabel=name, ylabel="one outer update (ms)")
        axis.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    """Measure, print, draw and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--plot", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=20)
    arguments = parser.parse_args()
    panels = {
        "meta steps": measured(META_STEPS, fraud_task, arguments.repeats),
        "parameters": measured(
            PARAMETERS, lambda size: dense_task(size, STEPS_FOR_PARAMETERS), arguments.repeats
        ),
    }
    results: dict[str, Any] = {}
    for name, timings in panels.items():
        steepest = {engine: round(growth(timings, engine), 3) for engine in ENGINES}
        print(f"\n{as_table(frame_of(timings, name), digits=2)}\n\nsteepest growth exponent: {steepest}")
        sizes = {
            str(size): {engine: timing.summary() for engine, timing in by_engine.items()}
            for size, by_engine in timings.items()
        }
        results[name] = {"timings": sizes, "steepest_growth_exponent": steepest}
    draw(panels, arguments.plot)
    write_results(arguments.out, COMMAND, results)


if __name__ == "__main__":
    main()
