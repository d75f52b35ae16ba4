"""Summarise the leaderboards of the development tables in one page.

    python -m benchmarks.summary docs/results

Reads the JSON files that ``benchmarks.results`` has written there and writes README.md beside them.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.development import SOURCES
from benchmarks.markdown import as_table

METRICS = ("roc_auc", "average_precision", "balanced_accuracy")
PAIRS = (
    ("metabalance", "no-adaptation"),
    ("metabalance", "first-order"),
    ("metabalance", "metabalance@adapted"),
    ("metabalance", "naive"),
    ("metabalance:natural/over", "over"),
    ("metabalance", "metabalance:natural/over"),
    ("metabalance:natural/over", "no-adaptation:natural/over"),
    ("metabalance", "under"),
)


def read_folds(folder: Path) -> pd.DataFrame:
    """Return one row per table, method and split with the metrics."""
    rows = []
    for name in SOURCES:
        for fold in json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["folds"]:
            about = {"table": name, "method": fold["method"], "split": fold["split"]}
            rows.append({**about, **fold["metrics"], "fit s": fold["fit_seconds"]})
    return pd.DataFrame(rows)


def mean_table(folds: pd.DataFrame) -> pd.DataFrame:
    """Return means over tables, and the mean rank among the methods that ran on every table."""
    by_table = folds.groupby(["table", "method"])[[*METRICS, "fit s"]].mean()
    everywhere = by_table.groupby("method").size() == folds["table"].nunique()
    kept = by_table[by_table.index.get_level_values("method").isin(everywhere.index[everywhere])]
    ranks = kept.groupby("table")[list(METRICS)].rank(ascending=False)
    summary = kept.groupby("method").mean()
    for metric in METRICS:
        summary[f"rank by {metric}"] = ranks.groupby("method")[metric].mean()
    summary.insert(0, "mean rank", ranks.groupby("method").mean().mean(axis=1))
    return summary.sort_values("mean rank")


def paired_table(folds: pd.DataFrame) -> pd.DataFrame:
    """Return mean differences of pairs over tables with 95 % intervals (Student's t over the tables)."""
    means = folds.groupby(["table", "method"])[list(METRICS)].mean()
    rows = {}
    for one, other in PAIRS:
        difference = means.xs(one, level="method") - means.xs(other, level="method")
        n = len(difference)
        half = stats.t.ppf(0.975, n - 1) * difference.std(ddof=1) / np.sqrt(n)
        wins = (difference > 0).sum()
        rows[f"{one} − {other}"] = {
            metric: f"{difference[metric].mean():+.4f} ± {half[metric]:.4f} ({wins[metric]} of {n})"
            for metric in METRICS
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("difference")


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folds = read_folds(folder)
    links = ", ".join(f"[{name}]({name}.md)" for name in SOURCES)
    lines = [
        "# Results on nine real tables",
        "",
        f"Leaderboards, each with its command, versions and seconds: {links}.",
        "",
        "The library's defaults were set after measurements on these same tables",
        "([defaults.md](defaults.md)): this is no test of them on unseen data.",
        "",
        "## Mean over the tables",
        "",
        "Methods that could run on all nine; ranks among them (1 is best). Balanced accuracy is that of the",
        "most probable class, which favours methods trained on balanced batches or weights; the other two",
        "metrics do not depend on a threshold.",
        "",
        as_table(mean_table(folds), 3),
        "",
        "## What adds what",
        "",
        "Mean difference over the nine tables with a 95 % interval (Student's t, tables as the sample), and",
        "on how many tables it is positive.",
        "",
        as_table(paired_table(folds)),
        "",
        "Made by `python -m benchmarks.summary docs/results` from the JSON files beside it.",
        "",
    ]
    (folder / "README.md").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
