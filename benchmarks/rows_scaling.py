"""What an outer update costs on ten thousand to ten million training rows.

    python -m benchmarks.rows_scaling --out docs/speed/rows_scaling.json

The network and the sizes are those of the paper's fraud task (29-16-24-20-24-1, dropout 0.5 after the second
layer, S = 80, batches of 24 and 16). An update is a draw, the outer gradient and a step of AdamW; all numbers
of rows are timed in alternation. Draws alone are then timed one by one over a whole pass of the support
stream, so that their mean contains the drawing of the orders and their maximum is the longest pause.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from benchmarks.markdown import as_table
from benchmarks.rows import make_rows
from benchmarks.timing import MILLISECONDS, measure, torch_threads, write_results
from metabalance import MetaBatchStream, MetaGradient
from metabalance.nn import MLP

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
QUERIES = ("under", "over", "smote")
FEWEST_DRAWS = 500


def outer_update(stream: MetaBatchStream) -> Callable[[], None]:
    """Return one outer update of a fresh network over the stream."""
    network = MLP(29, 1, hidden_sizes=(16, 24, 20, 24), dropout=(0, 0.5, 0, 0))
    loss = nn.BCEWithLogitsLoss()
    meta = MetaGradient(network, lambda output, target: loss(output[:, 0], target.float()), inner_lr=0.01)
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)

    def update() -> None:
        optimizer.zero_grad()
        meta.backward(*stream.draw())
        optimizer.step()

    return update


def draw_seconds(stream: MetaBatchStream) -> np.ndarray:
    """Time the draws of a pass of the support stream, at least `FEWEST_DRAWS`."""
    rows = stream.meta_steps * stream.support_batch_size
    seconds = np.empty(max(FEWEST_DRAWS, stream.support.pass_size // rows + 1))
    for index in range(len(seconds)):
        started = time.perf_counter()
        stream.draw()
        seconds[index] = time.perf_counter() - started
    return seconds


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--queries", nargs="+", choices=QUERIES, default=QUERIES)
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    results = {}
    for query in arguments.queries:
        streams, setups = {}, {}
        for size in arguments.sizes:
            X, y = make_rows(size)
            started = time.perf_counter()
            streams[size] = MetaBatchStream(X, y, query=query, random_state=0)
            setups[size] = time.perf_counter() - started
        updates = {str(size): outer_update(stream) for size, stream in streams.items()}
        timings = measure(updates, repeats=arguments.repeats, shortest=0.1)
        for size, stream in streams.items():
            with torch_threads(1):
                draws = draw_seconds(stream) * MILLISECONDS
            update, smallest = timings[str(size)], timings[str(arguments.sizes[0])]
            ratio, low, high = update.ratio_to(smallest)
            results[f"natural/{query}, {size:,} rows"] = {
                **update.summary(),
                "ratio_to_fewest_rows": [round(value, 3) for value in (ratio, low, high)],
                "mean_draw_ms": round(draws.mean(), 4),
                "median_draw_ms": round(float(np.median(draws)), 4),
                "longest_draw_ms": round(draws.max(), 2),
                "draws": len(draws),
                "setup_seconds": round(setups[size], 3),
            }
    rows = {
        name: {
            "update ms": f"{r['median_ms']:.2f} ({r['min_ms']:.2f}–{r['max_ms']:.2f})",
            "× fewest rows": "{:.2f} ({:.2f}–{:.2f})".format(*r["ratio_to_fewest_rows"]),
            "mean draw ms": f"{r['mean_draw_ms']:.3f}",
            "longest draw ms": f"{r['longest_draw_ms']:.0f}",
            "setup s": f"{r['setup_seconds']:.2f}",
        }
        for name, r in results.items()
    }
    print(as_table(pd.DataFrame.from_dict(rows, orient="index").rename_axis("streams")))
    if arguments.out:
        command = f"python -m benchmarks.rows_scaling --repeats {arguments.repeats}"
        write_results(arguments.out, command, {"updates": results})


if __name__ == "__main__":
    main()
