"""The ``metabalance`` command: arguments in, calls of the library, tables out."""

import io
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from metabalance import (
    MetaBalanceClassifier,
    MSMetaBalanceClassifier,
    __version__,
    compare,
)
from metabalance.cli.backends import backend_named
from metabalance.cli.data import load_data
from metabalance.cli.errors import INPUT_ERROR, INTERRUPTED, complain, one_line_errors
from metabalance.cli.fitting import end_if_interrupted, fit_command
from metabalance.cli.options import (
    AddressOption,
    AugmentOption,
    BackendOption,
    BalanceByOption,
    CheckpointOption,
    DataArgument,
    DropOption,
    EpochsOption,
    ImageSizeOption,
    JobsOption,
    ResumeOption,
    ScoringOption,
    SeedOption,
    TargetOption,
)
from metabalance.cli.outputs import (
    MODEL_FILES,
    REPORT_FILES,
    check_checkpoint,
    check_folder,
    check_table_path,
    say_what_is_written,
)
from metabalance.cli.processes import under_torchrun
from metabalance.cli.scoring import load_any_model, score
from metabalance.cli.tables import (
    console,
    finished_epochs,
    group_table,
    leaderboard,
    left_out,
    prediction_summary,
    search_summary,
    search_table,
    shows_progress,
    strategy_table,
    training_summary,
)
from metabalance.evaluation import DEFAULT_METHODS, method_names
from metabalance.search import PAPER_STRATEGIES
from metabalance.search.classifier import RESULTS_FILE

app = typer.Typer(
    name="metabalance",
    help="Train and compare classifiers on class-imbalanced data.",
    epilog="Try it: `metabalance compare breast-cancer-rare --report out/`",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"metabalance {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version and stop."),
    ] = False,
) -> None:
    if under_torchrun() and context.invoked_subcommand not in (None, "fit"):
        complain("error: under torchrun, processes train one network together: only `fit` does so")
        raise typer.Exit(INPUT_ERROR)


@app.command(
    "compare",
    epilog="Examples:\n\n"
    "`metabalance compare digits-severe --report out/`\n\n"
    "`metabalance compare fraud.csv --target Class --methods naive,smote,metabalance:natural/over`\n\n"
    "`metabalance compare photos/ --image-size 32 --augment crop-and-flip --report out/`",
)
@one_line_errors
def compare_command(
    data: DataArgument,
    target: TargetOption = None,
    methods: Annotated[
        str,
        typer.Option(
            metavar="NAME,…",
            help=f"Any of {', '.join(method_names())}; MetaBalance also as metabalance:SUPPORT/QUERY, with "
            "two of the names that `metabalance strategies` lists.",
            show_default=", ".join(DEFAULT_METHODS),
        ),
    ] = ",".join(DEFAULT_METHODS),
    cv: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=2, help="Stratified folds.", show_default="5, or the built-in data's own"
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="Fits of each method on each fold.")] = 1,
    report: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder to write report.html and results.json in.")
    ] = None,
    drop: DropOption = None,
    balance_by: BalanceByOption = None,
    report_by: Annotated[
        list[str] | None,
        typer.Option(
            "--report-by",
            metavar="COLUMN",
            help="Report metrics for each group of this column, too; may be repeated for combinations.",
        ),
    ] = None,
    image_size: ImageSizeOption = None,
    augment: AugmentOption = None,
    scoring: ScoringOption = None,
    epochs: EpochsOption = 50,
    checkpoint: CheckpointOption = None,
    resume: ResumeOption = False,
    jobs: JobsOption = -1,
    backend: BackendOption = "loky",
    address: AddressOption = None,
    random_state: SeedOption = 0,
) -> None:
    """Train several methods on the same folds of DATA and print a leaderboard."""
    if report is not None:
        check_folder(report, "--report", REPORT_FILES)
    check_checkpoint(checkpoint, resume)
    groups = {"--balance-by": balance_by or [], "--report-by": report_by or []}
    dataset, grouped = load_data(data, target, drop or [], image_size, groups, progress=shows_progress())
    with backend_named(backend, address):
        comparison = compare(
            dataset.X,
            dataset.y,
            methods=[name.strip() for name in methods.split(",") if name.strip()],
            cv=cv or dataset.cv or 5,
            n_seeds=seeds,
            scoring=scoring,
            max_epochs=epochs,
            network=None if augment is None else {"augment": augment},
            balance_by=grouped["--balance-by"],
            report_by=grouped["--report-by"],
            random_state=random_state,
            checkpoint=checkpoint,
            resume=resume,
            n_jobs=jobs,
            verbose=int(shows_progress()),
            dataset=dataset.title,
            command=shlex.join(["metabalance", *sys.argv[1:]]),
        )
    for warning in comparison.settings["warnings"]:
        complain(f"warning: {warning}")
    written: list[Path] = []
    try:  # files first, since the terminal may fail; and the leaderboard even where they do
        if report is not None:
            written.append(comparison.to_json(report / "results.json"))
            written.append(comparison.to_html(report / "report.html"))
    finally:
        with console() as out:
            out.print(leaderboard(comparison, out.width))
            if comparison.has_groups:
                out.print(group_table(comparison))
            for line in left_out(comparison):
                typer.echo(line)
            typer.echo(f"{comparison.seconds:.0f} s. {comparison.settings['budget']}")
            say_what_is_written(written)


app.command(
    "fit",
    epilog="Examples:\n\n"
    "`metabalance fit fraud.csv --target Class --out model/`\n\n"
    "`metabalance fit fraud.csv --target Class --out model/ --query over --scoring balanced_accuracy`\n\n"
    "`metabalance fit fraud.csv --target Class --out model/ --checkpoint run/ --resume`\n\n"
    "`torchrun --nproc-per-node 2 -m metabalance fit fraud.csv --target Class --out model/`\n\n"
    "Then: `metabalance predict model/ new.csv --out scored.csv`",
)(one_line_errors(fit_command))


@app.command(
    "search",
    epilog="Examples:\n\n"
    "`metabalance search fraud.csv --target Class --report out/ --out model/`\n\n"
    "`metabalance search fraud.csv --target Class --query under --query smote --inner-lr 0.1 --inner-lr 1`",
)
@one_line_errors
def search_command(
    data: DataArgument,
    target: TargetOption = None,
    drop: DropOption = None,
    balance_by: BalanceByOption = None,
    image_size: ImageSizeOption = None,
    augment: AugmentOption = None,
    support: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STRATEGY",
            help="A strategy to try for support batches; may be repeated.",
            show_default="the paper's seven",
        ),
    ] = None,
    query: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STRATEGY",
            help="A strategy to try for query batches; may be repeated.",
            show_default="the paper's seven",
        ),
    ] = None,
    inner_lr: Annotated[
        list[float] | None,
        typer.Option(
            metavar="γ", min=0, help="An inner step size to try; may be repeated.", show_default="0.1"
        ),
    ] = None,
    cv: Annotated[int, typer.Option(metavar="N", min=2, help="Stratified folds.")] = 3,
    halving: Annotated[
        bool,
        typer.Option(help="Discard weak candidates after few epochs, or train every one for all epochs."),
    ] = True,
    scoring: ScoringOption = None,
    epochs: EpochsOption = 50,
    checkpoint: CheckpointOption = None,
    resume: ResumeOption = False,
    jobs: JobsOption = -1,
    backend: BackendOption = "loky",
    address: AddressOption = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder to write report.html and results.json in.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder to save the chosen model in.")
    ] = None,
    random_state: SeedOption = 0,
) -> None:
    """Choose MetaBalance's pair of sampling strategies by cross-validation on DATA."""
    if report is not None:
        check_folder(report, "--report", REPORT_FILES)
    if out is not None:
        check_folder(out, "--out", (*MODEL_FILES, RESULTS_FILE))
    check_checkpoint(checkpoint, resume)
    groups = {"--balance-by": balance_by or []}
    dataset, grouped = load_data(data, target, drop or [], image_size, groups, progress=shows_progress())
    watched = int(shows_progress())
    search = MSMetaBalanceClassifier(
        MetaBalanceClassifier(max_epochs=epochs, augment=augment, verbose=watched),
        support_samplers=support or PAPER_STRATEGIES,
        query_samplers=query or PAPER_STRATEGIES,
        param_grid={"inner_lr": inner_lr} if inner_lr else None,
        scoring=scoring,
        cv=cv,
        halving=3 if halving else None,
        refit=out is not None,
        n_jobs=jobs,
        random_state=random_state,
        verbose=watched,
    )
    X, y = dataset.training_part()
    with backend_named(backend, address):
        search.fit(X, y, grouped["--balance-by"], checkpoint=checkpoint, resume=resume)
    network = search.best_estimator_ if out is not None else None
    untrained = network is not None and not finished_epochs(network)
    written: list[Path] = []
    try:  # files first, since the terminal may fail; and the table even where they do
        if out is not None and not untrained:
            search.save(out)
            written.append(out)
        if report is not None:
            command = shlex.join(["metabalance", *sys.argv[1:]])
            written.append(search.to_json(report / "results.json"))
            written.append(search.to_html(report / "report.html", dataset=dataset.title, command=command))
    finally:
        with console() as terminal:
            terminal.print(search_table(search, dataset.title))
            typer.echo(search_summary(search))
            if network is not None and not untrained:
                typer.echo(training_summary(network))
            say_what_is_written(written)
    if untrained:
        complain(f"interrupted: the chosen network is not trained, and nothing was written to {out}")
        raise typer.Exit(INTERRUPTED)
    if network is not None:
        end_if_interrupted(network, checkpoint)


@app.command("predict", epilog="Example: `metabalance predict model/ new.csv --out scored.csv`")
@one_line_errors
def predict_command(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A folder that `metabalance fit` has written.")
    ],
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A .csv, .csv.gz, .tsv or .parquet file with the same columns, a folder of .parquet files, "
            "or a folder of images.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="File to write: .csv, .csv.gz or .parquet.")],
) -> None:
    """Write the rows of DATA with a predicted label and the probability of each class."""
    check_table_path(out, data)
    network = load_any_model(model)
    counts = score(network, data, out, progress=shows_progress())
    with console():
        typer.echo(f"written: {out}, {prediction_summary(counts)}")


@app.command("strategies")
@one_line_errors
def strategies_command() -> None:
    """List the sampling strategies: names for --methods, --support, --query and --sampler."""
    with console() as out:
        out.print(strategy_table(out.width))


def main() -> None:
    """Run the command that the arguments of this process say."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # γ and ± are no reason to fail where there are none
    app()
