"""Why the defaults are what they are: each setting changed alone, on the nine development tables.

    python -m benchmarks.defaults --data-root DATA --out docs/results

Differences below about 0.005 are noise on single tables.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.development import SOURCES, add_data_root, load
from benchmarks.markdown import as_table, measured
from metabalance import MetaBalanceClassifier, NeuralClassifier, compare
from metabalance.evaluation.environment import describe_environment

SHOWN = ("rank", "roc_auc", "average_precision", "balanced_accuracy", "fit_seconds")
META_CHANGES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "predict_with=adapted": {"predict_with": "adapted"},
    "inner_lr=0 (no adaptation)": {"inner_lr": 0.0},
    "inner_lr=0.01 (paper)": {"inner_lr": 0.01},
    "inner_lr=0.5": {"inner_lr": 0.5},
    "inner_lr=0.5, adapted": {"inner_lr": 0.5, "predict_with": "adapted"},
    "order=first": {"order": "first"},
    "beta=0": {"beta": 0.0},
    "beta=0, adapted": {"beta": 0.0, "predict_with": "adapted"},
    "beta=1": {"beta": 1.0},
    "meta_steps=16": {"meta_steps": 16},
    "query_sampler=over": {"query_sampler": "over"},
    "lr=0.01": {"lr": 0.01},
    "lr_schedule=constant": {"lr_schedule": "constant"},
    "dropout=0": {"dropout": 0.0},
}
PLAIN_CHANGES: dict[str, dict[str, Any]] = {
    "plain natural": {},
    "plain over": {"sampler": "over"},
    "plain over, lr=0.001": {"sampler": "over", "lr": 0.001},
    "plain over, lr=0.01": {"sampler": "over", "lr": 0.01},
    "plain over, constant lr": {"sampler": "over", "lr_schedule": "constant"},
    "plain over, dropout=0": {"sampler": "over", "dropout": 0.0},
    "plain over, hidden_sizes=128-128": {"sampler": "over", "hidden_sizes": (128, 128)},
}


def configurations() -> list[tuple[str, Any]]:
    """Return the (name, classifier) pairs that are compared."""
    meta = [(name, MetaBalanceClassifier(random_state=0, **change)) for name, change in META_CHANGES.items()]
    plain = [(name, NeuralClassifier(random_state=0, **change)) for name, change in PLAIN_CHANGES.items()]
    return [*meta, *plain]


def as_markdown(frames: dict[str, pd.DataFrame], seconds: float, cv: int) -> str:
    """Return means over tables, and the ROC-AUC of every table."""
    by_metric = {metric: pd.DataFrame({n: f[metric] for n, f in frames.items()}) for metric in SHOWN}
    means = pd.DataFrame({metric: values.mean(axis=1) for metric, values in by_metric.items()})
    means = means.sort_values("rank")
    by_table = by_metric["roc_auc"].loc[means.index]
    return "\n".join(
        [
            "# Why the defaults are what they are",
            "",
            "Each row changes one setting of `MetaBalanceClassifier()` or, where it says plain, of",
            f"`NeuralClassifier()`. Mean over {len(frames)} development tables, {cv} folds, one seed; `rank`",
            "is the mean over tables of the rank among these rows over ROC-AUC, average precision and",
            "balanced accuracy. Differences below about 0.005 are noise on single tables, and those of the",
            "means hardly exceed it: the table shows which settings harm, not which is best.",
            "",
            measured("python -m benchmarks.defaults --data-root DATA --out docs/results", seconds),
            "",
            as_table(means),
            "",
            "ROC-AUC by table:",
            "",
            as_table(by_table),
            "",
        ]
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add_data_root(parser)
    parser.add_argument("--tables", nargs="+", choices=SOURCES, default=list(SOURCES))
    parser.add_argument("--cv", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=-1)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    started = time.perf_counter()
    frames = {}
    for name in arguments.tables:
        X, y = load(name, arguments.data_root)
        comparison = compare(X, y, methods=configurations(), cv=arguments.cv, n_jobs=arguments.jobs)
        frames[name] = comparison.frame
        print(name, f"{comparison.seconds:.0f} s", comparison.skipped or "", flush=True)
    report = as_markdown(frames, time.perf_counter() - started, arguments.cv)
    print(report)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "defaults.md").write_text(report, encoding="utf-8")
    rows = {name: frame.round(6).to_dict("index") for name, frame in frames.items()}
    summary = {"environment": describe_environment(), "cv": arguments.cv, "tables": rows}
    (arguments.out / "defaults.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
