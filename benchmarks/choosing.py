"""Choosing between configurations: mean ranks, normalised scores, and one table left out in turn."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

TIE = 0.1  # of a rank: less is nothing
METRICS = ("roc_auc", "average_precision", "balanced_accuracy")


def by_table(folds: pd.DataFrame) -> pd.DataFrame:
    """Return the mean of every metric over folds, by table and method."""
    return folds.groupby(["table", "method"])[[*METRICS, "fit s"]].mean()


def complete(folds: pd.DataFrame) -> pd.DataFrame:
    """Return the folds of the methods that have all that any method has: only such can be ranked."""
    n_folds = folds.groupby(["table", "split"]).ngroups
    found = folds.groupby("method")[["table", "split"]].apply(lambda rows: len(rows.drop_duplicates()))
    return folds[folds["method"].isin(found.index[found == n_folds])]


def mean_ranks(means: pd.DataFrame) -> pd.Series:
    """Return each method's mean rank over tables and metrics (1 is best) from means by table and method."""
    ranks = means.groupby("table")[list(METRICS)].rank(ascending=False)
    return ranks.groupby("method").mean().mean(axis=1)


def normalised(means: pd.DataFrame) -> pd.Series:
    """Return each method's mean score, every metric stretched from 0 (worst on the table) to 1 (best)."""
    values = means[list(METRICS)]
    low, high = (values.groupby("table").transform(name) for name in ("min", "max"))
    return ((values - low) / (high - low)).groupby("method").mean().mean(axis=1)


def means_table(folds: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each method, best mean rank first."""
    means = by_table(folds)
    table = means.groupby("method").mean()
    table.insert(0, "rank", mean_ranks(means))
    table.insert(1, "score", normalised(means))
    return table.sort_values("rank")


def metric_by_table(folds: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return a metric's mean over folds, methods down and tables across."""
    return by_table(folds)[metric].unstack(0)


def choose(ranks: pd.Series, preference: Sequence[str]) -> str:
    """Return the method with the lowest mean rank, or one within TIE of it that is preferred to it."""
    good = ranks.index[ranks <= ranks.min() + TIE]
    return next(name for name in preference if name in good)


def left_out_table(folds: pd.DataFrame, preference: Sequence[str]) -> pd.DataFrame:
    """Return, for every table, what `choose` takes on all others, and its rank on this one.

    ``preference`` names all methods.
    """
    means = by_table(folds)
    rows = {}
    for table in folds["table"].unique():
        here = means.index.get_level_values("table") == table
        chosen = choose(mean_ranks(means[~here]), preference)
        own = mean_ranks(means[here])
        rows[table] = {
            "chosen on the others": chosen,
            "its rank here": own[chosen],
            "best here": own.idxmin(),
        }
    frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("table")
    mean = {"chosen on the others": "", "its rank here": frame["its rank here"].mean(), "best here": ""}
    return pd.concat([frame, pd.DataFrame([mean], index=["mean"]).rename_axis("table")])


def hindsight_table(folds: pd.DataFrame, candidates: list[str], default: str) -> pd.DataFrame:
    """Return what the best candidate of every table would gain over the default, metric by metric.

    The best is picked by the very scores that are compared, so that luck counts for it: an automatic choice
    can only gain less.
    """
    values = by_table(folds)[list(METRICS)].unstack("method")
    gains = {metric: values[metric][candidates].max(axis=1) - values[metric][default] for metric in METRICS}
    frame = pd.DataFrame(gains).rename_axis("table")
    return pd.concat([frame, frame.mean().to_frame("mean").T.rename_axis("table")])


def paired_table(folds: pd.DataFrame, ours: str, others: Sequence[str]) -> pd.DataFrame:
    """Return mean differences from others over tables with 95 % intervals (Student's t over the tables)."""
    means = by_table(folds)
    rows = {}
    for other in (name for name in others if name in means.index.get_level_values("method")):
        difference = (means.xs(ours, level="method") - means.xs(other, level="method")).dropna()
        n = len(difference)
        half = stats.t.ppf(0.975, n - 1) * difference.std(ddof=1) / np.sqrt(n)
        wins = (difference > 0).sum()
        rows[f"{ours} − {other}"] = {
            metric: f"{difference[metric].mean():+.4f} ± {half[metric]:.4f} ({wins[metric]} of {n})"
            for metric in METRICS
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("difference")
