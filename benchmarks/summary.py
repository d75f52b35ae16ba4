"""Summarise the leaderboards of the development tables in one page.

    python -m benchmarks.summary docs/results

Reads the JSON files that ``benchmarks.results`` has written there and writes README.md beside them.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmarks.choosing import (
    METRICS,
    by_table,
    complete,
    mean_ranks,
    metric_by_table,
    normalised,
    paired_table,
)
from benchmarks.development import SOURCES
from benchmarks.markdown import as_table

OURS = "metabalance"
OTHERS = (
    "no-adaptation",
    "naive",
    "over",
    "logit-adjusted",
    "lightgbm",
    "lightgbm:balanced",
    "lightgbm:prior-corrected",
    "lightgbm:tuned",
    "lightgbm:tuned-prior-corrected",
)
LINEAR = ("logistic-regression", "logistic-regression:balanced")


def read_folds(folder: Path, tables: Sequence[str] = tuple(SOURCES)) -> pd.DataFrame:
    """Return one row per table, method and split with the metrics."""
    rows = []
    for name in tables:
        for fold in json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["folds"]:
            about = {"table": name, "method": fold["method"], "split": fold["split"]}
            rows.append({**about, **fold["metrics"], "fit s": fold["fit_seconds"]})
    return pd.DataFrame(rows)


def mean_table(folds: pd.DataFrame) -> pd.DataFrame:
    """Return ranks, scores and means over tables of the methods that ran on every table."""
    means = by_table(complete(folds))
    table = means.groupby("method").mean()
    for metric in METRICS:
        ranks = means.groupby("table")[metric].rank(ascending=False)
        table[f"rank by {metric}"] = ranks.groupby("method").mean()
    table.insert(0, "mean rank", mean_ranks(means))
    table.insert(1, "score", normalised(means))
    return table.sort_values("mean rank")


def worst_table(folds: pd.DataFrame) -> pd.DataFrame:
    """Return the ROC-AUC of MetaBalance and of the better logistic regression on every table."""
    auc = metric_by_table(folds, "roc_auc").T
    table = pd.DataFrame({OURS: auc[OURS], "logistic regression": auc[list(LINEAR)].max(axis=1)})
    table["difference"] = table[OURS] - table["logistic regression"]
    return table.sort_values("difference")


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tables", nargs="+", choices=SOURCES, default=list(SOURCES))
    arguments = parser.parse_args()
    folder, tables = arguments.folder, arguments.tables
    folds = read_folds(folder, tables)
    links = ", ".join(f"[{name}]({name}.md)" for name in tables)
    missing = ", ".join(name for name in SOURCES if name not in tables)
    lines = [
        f"# Results on {len(tables)} real tables",
        "",
        *([f"**Not among them, and yet to be measured: {missing}.**", ""] if missing else []),
        f"Leaderboards, each with its command, versions and seconds: {links}.",
        "",
        "The library's defaults were set after measurements on these same tables",
        "([defaults.md](defaults.md)): this is no test of them on unseen data.",
        "",
        "## Mean over the tables",
        "",
        "Methods that ran on all of them; `mean rank` among them is over tables and metrics (1 is best),",
        "`score` the mean of the metrics, each stretched from 0, the worst on the table, to 1, the best.",
        "Balanced accuracy is that of the most probable class, which favours methods that are balanced, by",
        "batches, weights or (our networks but the naive one) calibration; the other two metrics do not",
        "depend on a threshold.",
        "",
        as_table(mean_table(folds), 3),
        "",
        "## What adds what",
        "",
        "Mean difference over the tables with a 95 % interval (Student's t, tables as the sample), and",
        "on how many tables it is positive.",
        "",
        as_table(paired_table(folds, OURS, OTHERS)),
        "",
        "## The worst table",
        "",
        "ROC-AUC beside that of logistic regression, plain or balanced, whichever is better on the table.",
        "",
        as_table(worst_table(folds)),
        "",
        f"Made by `python -m benchmarks.summary docs/results{' --tables …' if missing else ''}` from the",
        "JSON files beside it.",
        "",
    ]
    (folder / "README.md").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
