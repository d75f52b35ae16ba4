"""A comparison on two workers of a Ray cluster, against the same one on two processes of joblib.

    python -m benchmarks.ray_workers --out docs/speed/ray_workers.json

The cluster has two nodes of one processor each, on this machine. Both sides run in turn, in one process, with
workers that are there already: a first comparison on each side starts them.
"""

import argparse
import time
from pathlib import Path
from statistics import median

import joblib
import ray
from ray.util.joblib import register_ray

from benchmarks.faults_processes import cluster
from benchmarks.timing import write_results
from metabalance import Comparison, compare
from metabalance.datasets import load_builtin
from metabalance.evaluation.comparison import fold_to_json

COMMAND = "python -m benchmarks.ray_workers --out docs/speed/ray_workers.json"
METHODS = ["naive", "metabalance", "no-adaptation", "logit-adjusted"]
TARGET = 1.15


def run() -> tuple[float, Comparison]:
    """Compare four networks on three folds, and say how long it took."""
    data = load_builtin("breast-cancer-rare")
    started = time.perf_counter()
    found = compare(data.X, data.y, methods=METHODS, cv=3, max_epochs=10, random_state=0, n_jobs=2)
    return time.perf_counter() - started, found


def scores(comparison: Comparison) -> list[object]:
    """All that was found, but for seconds."""
    kept = [fold_to_json(result) for result in comparison.results]
    for each in kept:
        for name in ("fit_seconds", "predict_seconds"):
            del each[name]
        for epoch in each["history"]:
            epoch.pop("dur", None)
    return list(kept)


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    seconds: list[dict[str, float]] = []
    same = True
    with cluster() as address:
        register_ray()
        ray.init(address, log_to_driver=False)
        for _ in range(arguments.rounds + 1):
            processes, found = run()
            with joblib.parallel_config(backend="ray"):
                workers, on_cluster = run()
            same = same and scores(found) == scores(on_cluster)
            seconds.append({"processes": processes, "ray": workers})
            print(
                f"two processes {processes:.1f} s, two workers {workers:.1f} s, same scores: {same}",
                flush=True,
            )
        ray.shutdown()
    ratios = [each["ray"] / each["processes"] for each in seconds[1:]]  # the first round starts the workers
    print(f"ratio {median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f}), target ≤ {TARGET}")
    if arguments.out:
        ratio = {"median": median(ratios), "min": min(ratios), "max": max(ratios), "target": TARGET}
        content = {"seconds": seconds, "ratio": ratio, "same to the last digit": same}
        write_results(arguments.out, COMMAND, content)


if __name__ == "__main__":
    main()
