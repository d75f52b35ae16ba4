"""Time and memory of a whole fit on a fraud-like table, and what its parts cost.

    python -m benchmarks.fit --out docs/speed/fit.json

Every fit runs in a fresh process, the two classifiers in turn.
"""

import argparse
import json
import time
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
from sklearn.metrics import roc_auc_score

from benchmarks.markdown import as_table
from benchmarks.rows import make_rows
from benchmarks.stopwatch import watched
from benchmarks.timing import in_fresh_process, peak_memory_mb, write_results
from metabalance import MetaBalanceClassifier, NeuralClassifier
from metabalance.estimators.base import ImbalancedClassifier
from metabalance.training import ERM, EpochScores, MetaBalance, TrainingLoop

ESTIMATORS = {kind.__name__: kind for kind in (MetaBalanceClassifier, NeuralClassifier)}
PARTS = {
    "gradient": ((MetaBalance, "backward"), (ERM, "backward")),
    "data": ((MetaBalance, "draw"), (ERM, "draw")),
    "optimizer": ((TrainingLoop, "_step_optimizer"), (TrainingLoop, "_zero_grad_optimizer")),
    "scoring": ((EpochScores, "on_epoch_end"),),
    "history and callbacks": ((TrainingLoop, "notify"), (TrainingLoop, "run_single_epoch")),
    "encoding and split": ((ImbalancedClassifier, "prepare"),),
    "set-up": ((TrainingLoop, "initialize"),),
    "rest": ((ImbalancedClassifier, "fit"),),
}


def fit_once(name: str, rows: int) -> dict[str, Any]:
    """Fit with the defaults, in this process."""
    X, y = make_rows(rows)
    before = peak_memory_mb()
    with watched(PARTS) as seconds:
        started = time.perf_counter()
        fitted = ESTIMATORS[name](random_state=0).fit(X, y)
        whole = time.perf_counter() - started
    peak = peak_memory_mb()
    X_test, y_test = make_rows(rows, seed=1)
    return {
        "fit_seconds": round(whole, 2),
        "part_seconds": {part: round(value, 3) for part, value in seconds.items()},
        "epochs": len(fitted.history_),
        "rows_drawn": fitted.rows_drawn_,
        "peak_mb": round(peak),
        "peak_mb_before_the_fit": round(before),
        "test_roc_auc": round(roc_auc_score(y_test, fitted.predict_proba(X_test)[:, 1]), 4),
    }


def summary(fits: list[dict[str, Any]]) -> dict[str, str]:
    """Return one line of the table: medians with their range, and shares of the whole fit."""
    seconds = [fit["fit_seconds"] for fit in fits]
    line = {
        "fit s": f"{median(seconds):.1f} ({min(seconds):.1f}–{max(seconds):.1f})",
        "s per 10⁶ rows drawn": f"{median(fit['fit_seconds'] / fit['rows_drawn'] for fit in fits) * 1e6:.2f}",
        "epochs": str(fits[0]["epochs"]),
        "peak MB": str(max(fit["peak_mb"] for fit in fits)),
        "of it before the fit": str(max(fit["peak_mb_before_the_fit"] for fit in fits)),
        "test ROC-AUC": f"{fits[0]['test_roc_auc']:.3f}",
    }
    for part in PARTS:
        shares = [fit["part_seconds"][part] / fit["fit_seconds"] for fit in fits]
        line[f"{part} %"] = f"{100 * median(shares):.1f}"
    return line


def main() -> None:
    """Run the benchmark, or one fit of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=285_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", choices=ESTIMATORS, help="fit once, in this process, and print JSON")
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(fit_once(arguments.only, arguments.rows)))
        return
    fits: dict[str, list[dict[str, Any]]] = {name: [] for name in ESTIMATORS}
    for _ in range(arguments.repeats):
        for name, done in fits.items():
            done.append(in_fresh_process("benchmarks.fit", "--only", name, "--rows", arguments.rows))
    frame = pd.DataFrame({name: summary(done) for name, done in fits.items()}).rename_axis("default")
    print(as_table(frame))
    if arguments.out:
        command = f"python -m benchmarks.fit --rows {arguments.rows} --repeats {arguments.repeats}"
        write_results(arguments.out, command, {"rows": arguments.rows, "fits": fits})


if __name__ == "__main__":
    main()
