"""What is shown on the terminal: tables that fit its width, and sentences."""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from metabalance.cli.processes import speaks
from metabalance.evaluation import METRICS, Comparison
from metabalance.report.groups import group_tables
from metabalance.sampling import STRATEGIES
from metabalance.search import MSMetaBalanceClassifier
from metabalance.search.candidates import describe

ACCURACY = "balanced_accuracy"
PLAIN_WIDTH = 140
BEST_CANDIDATES = 10
WIDE = 120  # columns from which tables are shown in full
NARROW_METRICS = ("roc_auc", "average_precision", "balanced_accuracy")
WIDE_METRICS = (*NARROW_METRICS, "macro_f1", "ece")


@contextmanager
def console() -> Iterator[Console]:
    """Give a console that does not squeeze tables when the output goes to a file or a pipe.

    Where the reader of a pipe has gone, the command ends quietly with exit code 1; any other output that
    cannot take what is printed is an error.
    """
    terminal = Console()
    try:
        yield terminal if terminal.is_terminal else Console(width=PLAIN_WIDTH)
    except OSError as error:
        # Python would try again to write what is left when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise typer.Exit(1) from error
        raise OSError(error.errno, error.strerror, "standard output") from error


def shows_progress() -> bool:
    """Return whether someone watches standard error, so that a progress bar belongs there."""
    return speaks() and Console(stderr=True).is_terminal


def leaderboard(comparison: Comparison, width: int) -> Table:
    """Return the leaderboard of a comparison: mean ± standard error over the splits, or what fits of it."""
    frame = comparison.frame
    titles = {method.name: method.title for method in comparison.methods}
    wide = width >= WIDE
    metrics = WIDE_METRICS if wide else NARROW_METRICS
    runs = f"{_count(comparison.n_splits, 'split')} × {_count(comparison.n_seeds, 'seed')}"
    table = Table(
        title=escape(f"{comparison.dataset}: {runs}"),
        caption=None if wide else f"A window of {WIDE} columns shows more metrics and ± standard errors.",
    )
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("method")
    for metric in metrics:
        table.add_column(METRICS[metric].label.replace(" ", "\n"), justify="right", no_wrap=True)
    table.add_column("fit\ns", justify="right", no_wrap=True)
    best = {m: frame[m].max() if METRICS[m].greater_is_better else frame[m].min() for m in metrics}
    for name, row in frame.iterrows():
        cells = []
        for metric in metrics:
            text = f"{row[metric]:.3f}" + (f" ± {row[metric + '_se']:.3f}" if wide else "")
            cells.append(f"[bold]{text}[/bold]" if row[metric] == best[metric] else text)
        table.add_row(f"{row['rank']:.1f}", escape(titles[str(name)]), *cells, f"{row['fit_seconds']:.1f}")
    return table


def group_table(comparison: Comparison) -> Table:
    """Return the balanced accuracy of every group, and the gap between the best and the worst."""
    accuracy = next(each for each in group_tables(comparison) if each.metric == METRICS[ACCURACY].label)
    table = Table(title="Balanced accuracy of every group")
    table.add_column("method")
    for name in accuracy.columns:
        table.add_column(escape(name), justify="right", no_wrap=True)
    for title, cells in accuracy.rows:
        table.add_row(escape(title), *(f"{mean} ± {error}" if error else mean for mean, error in cells))
    return table


def left_out(comparison: Comparison) -> list[str]:
    """Return a line for each reason why methods could not run."""
    methods_by_reason: dict[str, list[str]] = {}
    for name, reason in comparison.skipped.items():
        methods_by_reason.setdefault(reason, []).append(name)
    return [f"left out: {', '.join(names)}: {reason}" for reason, names in methods_by_reason.items()]


def search_table(search: MSMetaBalanceClassifier, dataset: str) -> Table:
    """Return the best candidates of a search: mean score and its standard error over the folds."""
    shown = search.standings_.head(BEST_CANDIDATES)
    title = f"{dataset}: the best {len(shown)} of {_count(len(search.standings_), 'candidate')}"
    table = Table(title=escape(title))
    settings = [name for name in shown.columns if name in search.best_params_]
    for name in ("support", "query"):
        table.add_column(name, no_wrap=True)
    for name in (*settings, "ROC-AUC" if search.scoring is None else str(search.scoring), "epochs\nat most"):
        table.add_column(escape(name), justify="right")
    for row in shown.to_dict("records"):
        score = "failed" if row["failure"] else f"{row['score']:.4f} ± {row['error']:.4f}"
        values = [str(row[name]) for name in settings]
        table.add_row(escape(row["support"]), escape(row["query"]), *values, score, str(row["epochs"]))
    return table


def search_summary(search: MSMetaBalanceClassifier) -> str:
    """Return who won, and what the score is worth."""
    return (
        f"{search.search_seconds_:.0f} s. Chosen: {describe(search.best_params_)}. Its score is the highest "
        "of many on the same folds and so too good: `metabalance compare --methods ms-metabalance` measures "
        "what to expect of the choice."
    )


def finished_epochs(network: Any) -> list[dict[str, float]]:
    """Return the records of the epochs but for one that the user broke off."""
    return [epoch for epoch in network.history_ if "valid_score" in epoch]


def training_summary(network: Any) -> str:
    """Return what a fit came to at its best epoch, which is the one kept.

    Raises
    ------
    KeyboardInterrupt
        If the user broke the fit off before its first epoch was over.
    """
    finished = finished_epochs(network)
    if not finished:
        raise KeyboardInterrupt
    best = max(finished, key=lambda epoch: epoch["valid_score"])
    return (
        f"{'interrupted; ' if network.interrupted_ else ''}"
        f"best epoch {best['epoch']} of {len(finished)}; on the held-out rows: "
        f"{network.scoring or 'refinement'} {best['valid_score']:.4f}, "
        "if the most probable class is taken, recall of the majority class "
        f"{best['valid_majority_recall']:.3f}, of the other classes {best['valid_minority_recall']:.3f}"
    )


def prediction_summary(counts: Counter[Any]) -> str:
    """Return how often each label was predicted, the most frequent first."""
    shown = [f"{label} {count:,}" for label, count in counts.most_common(8)]
    more = ["…"] if len(counts) > 8 else []
    return _count(counts.total(), "row") + (": " if shown else "") + ", ".join(shown + more)


def strategy_table(width: int) -> Table:
    """Return what each sampling strategy is, needs and promises; all of it where the width allows."""
    kinds = {"index": "real, redrawn each pass", "selecting": "a real subset", "generating": "partly made up"}
    wide = width >= WIDE
    table = Table(title="Sampling strategies")
    table.add_column("name", no_wrap=True)
    table.add_column("what it does")
    table.add_column("numeric\ntables only", no_wrap=True)
    table.add_column("balanced", no_wrap=True)
    if wide:
        table.add_column("rows")
        table.add_column("source")
    for name, strategy in STRATEGIES.items():
        needs = "yes" if strategy.needs_numeric_2d else "no"
        balanced = "yes" if strategy.balanced else "no"
        more = [kinds[strategy.kind], strategy.reference] if wide else []
        table.add_row(name, strategy.summary, needs, balanced, *more)
    return table


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
