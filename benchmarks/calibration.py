"""Whether probabilities can be taken at their word, before and after calibration.

    python -m benchmarks.calibration --data-root DATA --out docs/results/calibration.json

Default MetaBalance in stratified folds; metrics on the test parts as they are. The calibration error is that
of the rare class's probability, in 15 bins of equal width: mean distance from how often it is right.
"""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from benchmarks.development import SOURCES, add_data_root, load
from benchmarks.markdown import as_table
from benchmarks.timing import write_results
from metabalance import MetaBalanceClassifier

N_BINS = 15
TABLES = ("fraud", "bank_additional")


def scores(is_rare: np.ndarray, risk: np.ndarray) -> dict[str, float]:
    """Return calibration error, Brier score and ROC-AUC of risks of the rare class."""
    bins = np.minimum((risk * N_BINS).astype(int), N_BINS - 1)
    gaps = np.bincount(bins, weights=is_rare - risk, minlength=N_BINS)
    return {
        "calibration error": float(np.abs(gaps).sum() / len(risk)),
        "Brier score": float(np.square(is_rare - risk).mean()),
        "ROC-AUC": float(roc_auc_score(is_rare, risk)),
    }


def measure(X: pd.DataFrame, y: np.ndarray, folds: int) -> Iterator[dict[str, Any]]:
    """Yield the scores of every fold, before and after, for each way to calibrate."""
    labels, counts = np.unique(y, return_counts=True)
    rare = int(counts.argmin())
    splits = StratifiedKFold(folds, shuffle=True, random_state=0).split(X, y)
    for fold, (train, test) in enumerate(splits):
        is_rare = (y[test] == labels[rare]).astype(float)
        for calibration in ("temperature", "isotonic"):
            net = MetaBalanceClassifier(calibration=calibration, random_state=fold)
            net.fit(X.iloc[train], y[train])
            after = net.predict_proba(X.iloc[test])[:, rare]
            net.calibrations_ = dict.fromkeys(net.calibrations_)
            before = net.predict_proba(X.iloc[test])[:, rare]
            if calibration == "temperature":  # the network is the same in both
                yield {"fold": fold, "calibration": "none", **scores(is_rare, before)}
            yield {"fold": fold, "calibration": calibration, **scores(is_rare, after)}


def summary(rows: list[Mapping[str, Any]]) -> pd.DataFrame:
    """Return mean ± standard error over the folds, by table and calibration."""
    grouped = pd.DataFrame(rows).drop(columns="fold").groupby(["table", "calibration"], sort=False)
    mean, error = grouped.mean(), grouped.sem()
    shown = mean.map("{:.4f}".format) + " ± " + error.map("{:.4f}".format)
    return shown.reset_index().set_index("table")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add_data_root(parser)
    parser.add_argument("--tables", nargs="+", choices=SOURCES, default=list(TABLES))
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    for table in arguments.tables:
        X, y = load(table, arguments.data_root)
        rows += [{"table": table, **found} for found in measure(X, np.asarray(y), arguments.folds)]
        print(as_table(summary(rows)), flush=True)
    if arguments.out:
        command = f"python -m benchmarks.calibration --folds {arguments.folds}"
        write_results(arguments.out, command, {"scores": rows})


if __name__ == "__main__":
    main()
