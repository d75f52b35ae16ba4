"""Tables on the terminal."""

from rich.console import Console
from rich.table import Table

from metabalance.evaluation import METRICS, Comparison
from metabalance.sampling import STRATEGIES

SHOWN_METRICS = ("roc_auc", "average_precision", "balanced_accuracy", "macro_f1", "ece")
PLAIN_WIDTH = 140


def console() -> Console:
    """Return a console that does not squeeze tables when the output goes to a file or a pipe."""
    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=PLAIN_WIDTH)


def leaderboard(comparison: Comparison) -> Table:
    """Return the leaderboard of a comparison: mean ± standard error over the splits."""
    frame = comparison.frame
    titles = {method.name: method.title for method in comparison.methods}
    table = Table(title=f"{comparison.dataset}: {comparison.n_splits} splits × {comparison.n_seeds} seeds")
    table.add_column("rank", justify="right")
    table.add_column("method")
    for metric in SHOWN_METRICS:
        table.add_column(METRICS[metric].label, justify="right")
    table.add_column("fit s", justify="right")
    best = {m: frame[m].max() if METRICS[m].greater_is_better else frame[m].min() for m in SHOWN_METRICS}
    for name, row in frame.iterrows():
        cells = []
        for metric in SHOWN_METRICS:
            text = f"{row[metric]:.3f} ± {row[metric + '_se']:.3f}"
            cells.append(f"[bold]{text}[/bold]" if row[metric] == best[metric] else text)
        table.add_row(f"{row['rank']:.1f}", titles[str(name)], *cells, f"{row['fit_seconds']:.1f}")
    return table


def strategy_table() -> Table:
    """Return what each sampling strategy is, needs and promises."""
    table = Table(title="Sampling strategies", show_lines=False)
    for column in ("name", "what it does", "rows", "needs numeric tables", "balanced", "source"):
        table.add_column(column, overflow="fold")
    kinds = {"index": "real, redrawn each pass", "selecting": "a real subset", "generating": "partly made up"}
    for name, strategy in STRATEGIES.items():
        table.add_row(
            name,
            strategy.summary,
            kinds[strategy.kind],
            "yes" if strategy.needs_numeric_2d else "no",
            "yes" if strategy.balanced else "no",
            strategy.reference,
        )
    return table
