"""The ``metabalance`` command: arguments in, calls of the library, tables out."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from metabalance import MetaBalanceClassifier, NeuralClassifier, __version__, compare
from metabalance.cli.data import load_data
from metabalance.cli.errors import one_line_errors
from metabalance.cli.scoring import load_any_model, score_table, write_table
from metabalance.cli.tables import console, leaderboard, strategy_table
from metabalance.datasets import BUILTIN, read_table
from metabalance.evaluation import DEFAULT_METHODS, method_names

app = typer.Typer(
    name="metabalance",
    help="Train and compare classifiers on class-imbalanced data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

DataArgument = Annotated[
    str, typer.Argument(help=f"A .csv, .tsv or .parquet file (also .gz), or built-in: {', '.join(BUILTIN)}.")
]
TargetOption = Annotated[str | None, typer.Option(help="The column to predict.")]
DropOption = Annotated[
    list[str] | None, typer.Option("--drop", help="A column to leave out; may be repeated.")
]
EpochsOption = Annotated[int, typer.Option("--epochs", help="Epochs of every network at most.")]
ScoringOption = Annotated[
    str | None, typer.Option(help="scikit-learn scorer that early stopping follows (default: ROC-AUC).")
]
SeedOption = Annotated[int, typer.Option("--random-state", help="Seed of folds, networks and batches.")]


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        typer.echo(f"metabalance {__version__}")
        raise typer.Exit


@app.command(
    "compare",
    epilog="Examples: `metabalance compare digits-severe --report out/` · "
    "`metabalance compare fraud.csv --target Class --methods naive,smote,metabalance:natural/under,lightgbm`",
)
@one_line_errors
def compare_command(
    data: DataArgument,
    target: TargetOption = None,
    methods: Annotated[
        str,
        typer.Option(help=f"Comma-separated. All: {', '.join(method_names())}; metabalance:SUPPORT/QUERY."),
    ] = ",".join(DEFAULT_METHODS),
    cv: Annotated[
        int | None, typer.Option(help="Stratified folds (default: 5, or the built-in data's own).")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Fits of each method on each fold.")] = 1,
    report: Annotated[Path | None, typer.Option(help="Folder for report.html and results.json.")] = None,
    drop: DropOption = None,
    scoring: ScoringOption = None,
    epochs: EpochsOption = 50,
    jobs: Annotated[int, typer.Option(help="Fits at a time; -1 uses all cores.")] = -1,
    random_state: SeedOption = 0,
) -> None:
    """Train several methods on the same folds of DATA and print a leaderboard."""
    dataset = load_data(data, target, drop or [])
    folds = dataset.cv if cv is None and dataset.cv is not None else 5 if cv is None else cv
    if report is not None:
        report.mkdir(parents=True, exist_ok=True)
    comparison = compare(
        dataset.X,
        dataset.y,
        methods=[name.strip() for name in methods.split(",") if name.strip()],
        cv=folds,
        n_seeds=seeds,
        scoring=scoring,
        max_epochs=epochs,
        random_state=random_state,
        n_jobs=jobs,
        verbose=1,
        dataset=dataset.title,
        command=shlex.join(["metabalance", *sys.argv[1:]]),
    )
    out = console()
    out.print(leaderboard(comparison))
    for name, reason in comparison.skipped.items():
        out.print(f"left out: {name}: {reason}", markup=False, highlight=False)
    out.print(f"{comparison.seconds:.0f} s; {comparison.settings['budget']}", highlight=False)
    if report is not None:
        comparison.to_json(report / "results.json")
        comparison.to_html(report / "report.html")
        out.print(
            f"written: {report / 'report.html'}, {report / 'results.json'}", markup=False, highlight=False
        )


@app.command(
    "fit",
    epilog="Example: `metabalance fit fraud.csv --target Class --out model/`, then "
    "`metabalance predict model/ new.csv --out scored.csv`",
)
@one_line_errors
def fit_command(
    data: DataArgument,
    out: Annotated[Path, typer.Option(help="Folder to save the model in.")],
    target: TargetOption = None,
    drop: DropOption = None,
    support: Annotated[str, typer.Option(help="Strategy of the support batches.")] = "natural",
    query: Annotated[str, typer.Option(help="Strategy of the query batches.")] = "over",
    sampler: Annotated[
        str | None, typer.Option(help="Train plainly on this strategy instead of by MetaBalance.")
    ] = None,
    scoring: ScoringOption = None,
    epochs: EpochsOption = 50,
    random_state: SeedOption = 0,
) -> None:
    """Train one network on all of DATA and save it."""
    dataset = load_data(data, target, drop or [])
    shared: dict[str, Any] = {
        "scoring": scoring,
        "max_epochs": epochs,
        "random_state": random_state,
        "verbose": 1,
    }
    network: MetaBalanceClassifier | NeuralClassifier
    if sampler is None:
        network = MetaBalanceClassifier(support_sampler=support, query_sampler=query, **shared)
    else:
        network = NeuralClassifier(sampler=sampler, **shared)
    network.fit(dataset.X, dataset.y)
    network.save(out)
    best = max(network.history_, key=lambda epoch: epoch["valid_score"])
    typer.echo(
        f"best epoch {best['epoch']} of {len(network.history_)}: held-out score {best['valid_score']:.4f}, "
        f"recall of the majority class {best['valid_majority_recall']:.3f}, "
        f"of the others {best['valid_minority_recall']:.3f}"
    )
    typer.echo(f"written: {out}")


@app.command("predict", epilog="Example: `metabalance predict model/ new.csv --out scored.csv`")
@one_line_errors
def predict_command(
    model: Annotated[Path, typer.Argument(help="A folder written by `metabalance fit`.")],
    data: Annotated[str, typer.Argument(help="A .csv, .tsv or .parquet file (also .gz).")],
    out: Annotated[Path, typer.Option(help="File to write: .csv, .csv.gz or .parquet.")],
) -> None:
    """Add the predicted label and the probability of each class to the rows of DATA."""
    scored = score_table(load_any_model(model), read_table(data))
    write_table(scored, out)
    typer.echo(f"written: {out} ({len(scored):,} rows)")


@app.command("strategies")
def strategies_command() -> None:
    """List the sampling strategies."""
    console().print(strategy_table())


def main() -> None:
    """Entry point of the ``metabalance`` command."""
    app()
