"""Why the defaults are what they are: ingredients changed one at a time, on the nine development tables.

    python -m benchmarks.defaults --data-root DATA --out docs/results

Of tables with more than 8,000 rows a stratified sample of 8,000 is taken. What is in ``defaults.json`` of
the folder is not measured again, where parameters, code, versions and hardware are the same.
"""

import argparse
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer

import metabalance
from benchmarks.choosing import (
    METRICS,
    by_table,
    complete,
    hindsight_table,
    left_out_table,
    mean_ranks,
    means_table,
    metric_by_table,
    paired_table,
)
from benchmarks.development import SOURCES, add_data_root, load, stratified_sample
from benchmarks.markdown import as_table, measured
from metabalance import MetaBalanceClassifier, NeuralClassifier, compare
from metabalance.evaluation.environment import describe_environment

MOST_ROWS = 8_000
# What is chosen between, the smaller β before the larger: pairs whose query batches are balanced ...
CHOSEN_BETWEEN: dict[str, dict[str, Any]] = {
    "natural/under, β 0.5": {"query_sampler": "under", "beta": 0.5},
    "natural/over, β 0.5": {"query_sampler": "over", "beta": 0.5},
    "natural/under, β 1": {"query_sampler": "under", "beta": 1.0},
    "natural/under, β 2": {"query_sampler": "under", "beta": 2.0},
    "defaults": {},
    "natural/over, β 4": {"query_sampler": "over", "beta": 4.0},
    "natural/under, β 8": {"query_sampler": "under", "beta": 8.0},
}
# ... since others leave it to the calibration to balance, for which rows must be held out.
UNBALANCED: dict[str, dict[str, Any]] = {
    "natural/natural, β 1": {"query_sampler": "natural", "beta": 1.0},
    "natural/natural, β 1, γ 0": {"query_sampler": "natural", "beta": 1.0, "inner_lr": 0.0},
    "natural/natural, β 0": {"query_sampler": "natural", "beta": 0.0},
}
LOOPS: dict[str, dict[str, Any]] = {
    "no adaptation (γ 0)": {"inner_lr": 0.0},
    "γ 0.01 (paper)": {"inner_lr": 0.01},
    "γ 0.5": {"inner_lr": 0.5},
    "first order": {"order": "first"},
    "predicting at θ′": {"predict_with": "adapted"},
    "batches of 128 and 128, lr 0.005": {"support_batch_size": 128, "query_batch_size": 128, "lr": 0.005},
}
INNER_STEPS = ["defaults", "no adaptation (γ 0)", "γ 0.01 (paper)", "γ 0.5"]
INGREDIENTS: dict[str, dict[str, Any]] = {
    "one member": {"n_members": 1},
    "numbers without embedding": {"numerical_embedding": None},
    "periodic embedding": {"numerical_embedding": "periodic"},
    "uncalibrated": {"calibration": None},
    "stopped by ROC-AUC": {"scoring": "roc_auc_ovr"},
    "patience of 10 epochs": {"early_stopping": 10},
    "constant learning rate": {"lr_schedule": "constant"},
    "no weight decay": {"weight_decay": 0.0},
    "no dropout": {"dropout": 0.0},
    "label smoothing 0.05": {"label_smoothing": 0.05},
    "gradient clipping at 1": {"max_grad_norm": 1.0},
    "no weight averaging": {"ema_decay": None},
}
PLAIN: dict[str, dict[str, Any]] = {
    "plain, natural": {},
    "plain, over": {"sampler": "over"},
    "plain, logit adjustment": {"loss": "logit_adjusted"},
}
ABOVE_ALL = ("no adaptation (γ 0)", "first order", "natural/natural, β 1", *PLAIN)


def configurations() -> dict[str, Any]:
    """Return the classifiers that are compared, by name."""
    meta = {**CHOSEN_BETWEEN, **UNBALANCED, **LOOPS, **INGREDIENTS}
    found: dict[str, Any] = {
        name: MetaBalanceClassifier(random_state=0, **change) for name, change in meta.items()
    }
    quantiles = QuantileTransformer(output_distribution="normal", random_state=0)
    numbers = make_column_selector(dtype_include="number")
    found["numbers by quantiles"] = make_pipeline(
        make_column_transformer(
            (quantiles, numbers), remainder="passthrough", verbose_feature_names_out=False
        ).set_output(transform="pandas"),
        MetaBalanceClassifier(random_state=0),
    )
    return {**found, **{name: NeuralClassifier(random_state=0, **change) for name, change in PLAIN.items()}}


def measure(table: str, arguments: argparse.Namespace, known: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a record for each configuration and fold that is not known yet."""
    done = {fold["method"] for fold in known if fold["table"] == table}
    missing = [(name, classifier) for name, classifier in configurations().items() if name not in done]
    if not missing:
        return []
    X, y = stratified_sample(*load(table, arguments.data_root), MOST_ROWS)
    comparison = compare(X, y, methods=missing, cv=arguments.cv, n_jobs=arguments.jobs)
    print(table, f"{comparison.seconds:.0f} s", comparison.skipped or "", flush=True)
    names = {name for name, _ in missing}
    return [
        {
            "table": table,
            "method": fold.method,
            "split": fold.split,
            "parameters": digest_of(configurations()[fold.method]),
            "fit s": round(fold.fit_seconds, 2),
            **{metric: round(fold.metrics[metric], 6) for metric in METRICS},
        }
        for fold in comparison.results
        if fold.method in names
    ]


def digest_of(classifier: Any) -> str:
    """Return what tells the parameters of a classifier or pipeline, defaults included, from others."""
    plain = {
        name: value
        for name, value in sorted(classifier.get_params().items())
        if value is None or isinstance(value, str | int | float | tuple)
    }
    return hashlib.sha256(repr(plain).encode()).hexdigest()[:12]


def conditions(cv: int) -> dict[str, Any]:
    """Return what has to be the same for records to stand in one table: folds, rows, code and machine."""
    files = sorted(Path(metabalance.__file__).parent.rglob("*.py"))
    code = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    return {"cv": cv, "most_rows": MOST_ROWS, "code": code, "environment": describe_environment()}


def known_folds(file: Path, now: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the records of a file that were made under the same conditions and with today's parameters."""
    if not file.exists():
        return []
    before = json.loads(file.read_text(encoding="utf-8"))
    if any(before.get(name) != value for name, value in now.items()):
        return []
    wanted = {name: digest_of(classifier) for name, classifier in configurations().items()}
    return [fold for fold in before["folds"] if wanted.get(fold["method"]) == fold["parameters"]]


def as_markdown(folds: pd.DataFrame, cv: int, seconds: float) -> str:
    """Return means over tables, the choice of each table's neighbours, and the ROC-AUC of every table."""
    folds = complete(folds)
    failed = sorted(set(configurations()) - set(folds["method"]))
    left_out = ["", f"Left out, as they failed on some fold: {', '.join(failed)}."] if failed else []
    means = means_table(folds)
    candidates = [name for name in CHOSEN_BETWEEN if name in means.index]
    among = folds[folds["method"].isin(candidates)]
    return "\n".join(
        [
            "# Why the defaults are what they are",
            "",
            "Each row changes what its name says of `MetaBalanceClassifier()` or, where it says plain, of",
            f"`NeuralClassifier()`. Mean over {folds['table'].nunique()} development tables (of large ones",
            f"{MOST_ROWS:,} rows), {cv} folds, one seed. `rank` is the mean over tables and metrics",
            "(ROC-AUC, average precision, balanced accuracy) of the rank among these rows; `score` is the",
            "mean of the metrics, each stretched from 0, the worst row on the table, to 1, the best.",
            "",
            measured("python -m benchmarks.defaults --data-root DATA --out docs/results", seconds),
            "The seconds are those of all fits together.",
            "",
            as_table(means),
            *left_out,
            "",
            "Against its ablations and plain training on the same network: the mean difference over the",
            "tables with a 95 % interval (Student's t, tables as the sample), and on how many tables it is",
            "positive.",
            "",
            as_table(paired_table(folds, "defaults", ABOVE_ALL)),
            "",
            "## The rule, and what it is worth",
            "",
            "The pair of strategies and β are chosen by the lowest mean rank among the pairs whose query",
            "batches are balanced: what the others lack in balance, the calibration puts right, but only",
            "where rows are held out for it. Of those within a tenth of a rank of it, which is nothing, the",
            "smallest β is taken: β 8 came to the candidates when 4 was the default already. Mean ranks:",
            "",
            as_table(mean_ranks(by_table(among)).sort_values().to_frame("rank"), 2),
            "",
            "Left out in turn, each table shows what the rule takes on the eight others, and the",
            f"rank of that on the table itself ({(len(candidates) + 1) / 2:g} is what chance would get):",
            "",
            as_table(left_out_table(among, candidates)),
            "",
            "## What an inner step of each table's own could gain",
            "",
            "The best of γ 0, 0.01, 0.1 (the default) and 0.5 for each table and metric, picked with",
            "hindsight by these scores themselves, against the default. An automatic choice can only gain",
            "less, since part of this is luck:",
            "",
            as_table(
                hindsight_table(folds, [name for name in INNER_STEPS if name in means.index], "defaults")
            ),
            "",
            "## ROC-AUC by table",
            "",
            as_table(metric_by_table(folds, "roc_auc").loc[means.index]),
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
    arguments.out.mkdir(parents=True, exist_ok=True)
    file = arguments.out / "defaults.json"
    now = conditions(arguments.cv)
    known = known_folds(file, now)
    for table in arguments.tables:
        known += measure(table, arguments, known)
        saved = {**now, "folds": known}
        file.write_text(json.dumps(saved, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    folds = pd.DataFrame(known)
    report = as_markdown(folds, arguments.cv, folds["fit s"].sum())
    print(report)
    (arguments.out / "defaults.md").write_text(report, encoding="utf-8")


if __name__ == "__main__":
    main()
