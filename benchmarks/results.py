"""Compare methods on the development tables and write the leaderboards as Markdown and JSON.

    python -m benchmarks.results --data-root DATA --out docs/results

Every table is compared as ``metabalance compare --seeds 2`` does it: 5 folds, two seeds, a common budget of
drawn rows for all networks.
"""

import argparse
import json
from pathlib import Path

import pandas as pd

from benchmarks.development import SOURCES, add_data_root, load
from benchmarks.markdown import as_table, measured
from metabalance import Comparison, compare
from metabalance.evaluation import METRICS
from metabalance.evaluation.rivals import RIVALS

NETWORKS = (
    "metabalance",
    "no-adaptation",
    "naive",
    "over",
    "under",
    "class-weighted",
    "logit-adjusted",
)


def as_markdown(comparison: Comparison, command: str) -> str:
    """Return the leaderboard with the conditions it was measured under."""
    frame = comparison.frame
    shown = frame[["rank"]].round(2).astype(str)
    for metric, about in METRICS.items():
        shown[about.label] = [
            f"{mean:.4f} ± {error:.4f}"
            for mean, error in zip(frame[metric], frame[metric + "_se"], strict=True)
        ]
    shown["fit s"] = [f"{seconds:.1f}" for seconds in frame["fit_seconds"]]
    shown["rows drawn"] = ["" if pd.isna(rows) else f"{rows:,}" for rows in frame["rows_drawn"]]
    settings = comparison.settings
    counts = ", ".join(f"{label}: {count:,}" for label, count in comparison.class_counts.items())
    lines = [
        f"# {comparison.dataset}",
        "",
        f"{comparison.n_rows:,} rows, {comparison.n_features} features; {counts}. {settings['cv']} × "
        f"{settings['n_seeds']} seeds, random_state {settings['random_state']}; mean ± standard error over "
        f"splits. {settings['prior']} {settings['budget']} {settings['early_stopping']}",
        "",
        "The library's defaults were set after measurements on this and eight other tables "
        "([defaults.md](defaults.md)), so this is no test of them on unseen data. The ± is each method's "
        "own spread over folds; as methods share the folds, differences between them are surer than that "
        "([paired over the tables](README.md)).",
        "",
        measured(command, comparison.seconds),
        "",
        as_table(shown),
        "",
        *[f"- left out: {name}: {reason}" for name, reason in comparison.skipped.items()],
        *[f"- warning: {warning}" for warning in settings["warnings"]],
        "",
    ]
    return "\n".join(lines)


def summary(comparison: Comparison) -> dict[str, object]:
    """Return what the table was made from, without the predictions of single rows (the data stay private)."""
    folds = [
        {
            "method": fold.method,
            "split": fold.split,
            "seed": fold.seed,
            "metrics": {name: round(value, 6) for name, value in fold.metrics.items()},
            "fit_seconds": round(fold.fit_seconds, 3),
            "rows_drawn": fold.rows_drawn,
        }
        for fold in comparison.results
    ]
    return {
        "dataset": comparison.dataset,
        "class_counts": dict(comparison.class_counts),
        "settings": dict(comparison.settings),
        "environment": dict(comparison.environment),
        "seconds": round(comparison.seconds, 1),
        "skipped": dict(comparison.skipped),
        "folds": folds,
    }


def main() -> None:
    """Run the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add_data_root(parser)
    parser.add_argument("--tables", nargs="+", choices=SOURCES, default=list(SOURCES))
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.tables:
        X, y = load(name, arguments.data_root)
        comparison = compare(
            X,
            y,
            methods=[*NETWORKS, *RIVALS],
            n_seeds=2,
            n_jobs=-1,
            dataset=SOURCES[name].title,
            verbose=1,
        )
        command = f"python -m benchmarks.results --tables {name} --data-root DATA --out docs/results"
        report = as_markdown(comparison, command)
        print(report, flush=True)
        (arguments.out / f"{name}.md").write_text(report, encoding="utf-8")
        text = json.dumps(summary(comparison), indent=1, ensure_ascii=False) + "\n"
        (arguments.out / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
