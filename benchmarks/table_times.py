"""Seconds of a default fit, and rows a second of its predictions, on the development tables.

    python -m benchmarks.table_times --data-root DATA --out docs/speed/table_times.json

Predictions are of 200,000 rows, the table's own repeated, in one call.
"""

import argparse
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.development import SOURCES, add_data_root, load
from benchmarks.markdown import as_table
from benchmarks.timing import write_results
from metabalance import MetaBalanceClassifier

ROWS_PREDICTED = 200_000


def seconds_of(call: Any, *arguments: Any) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - started


def measure(X: pd.DataFrame, y: Any, repeats: int) -> dict[str, Any]:
    """Return the seconds of some fits and predictions."""
    many = X.iloc[np.resize(np.arange(len(X)), ROWS_PREDICTED)].reset_index(drop=True)
    fits, predictions, epochs = [], [], []
    for seed in range(repeats):
        classifier = MetaBalanceClassifier(random_state=seed)
        fits.append(seconds_of(classifier.fit, X, y))
        predictions.append(seconds_of(classifier.predict_proba, many))
        epochs.append(len(classifier.history_))
    return {"rows": len(X), "fit_seconds": fits, "epochs": epochs, "predict_seconds": predictions}


def summary(found: dict[str, Any]) -> dict[str, str]:
    """Return a line of the table: medians with their range."""
    fits = found["fit_seconds"]
    rates = [ROWS_PREDICTED / seconds / 1000 for seconds in found["predict_seconds"]]
    return {
        "rows": f"{found['rows']:,}",
        "fit s": f"{median(fits):.1f} ({min(fits):.1f}–{max(fits):.1f})",
        "epochs": f"{median(found['epochs']):.0f}",
        "1,000 rows/s predicted": f"{median(rates):.0f} ({min(rates):.0f}–{max(rates):.0f})",
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add_data_root(parser)
    parser.add_argument("--tables", nargs="+", choices=SOURCES, default=list(SOURCES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    found = {}
    for table in arguments.tables:
        found[table] = measure(*load(table, arguments.data_root), arguments.repeats)
        print(table, summary(found[table]), flush=True)
    print(as_table(pd.DataFrame.from_dict({t: summary(f) for t, f in found.items()}, orient="index")))
    if arguments.out:
        command = f"python -m benchmarks.table_times --data-root DATA --repeats {arguments.repeats}"
        write_results(arguments.out, command, {"rows_predicted": ROWS_PREDICTED, "tables": found})


if __name__ == "__main__":
    main()
