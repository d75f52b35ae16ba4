"""``metabalance fit``: one network, trained on everything and saved."""

from pathlib import Path
from typing import Annotated, Any

import typer

from metabalance import LargeTable, MetaBalanceClassifier, NeuralClassifier
from metabalance.cli.data import large_table, load_data, reads_from_disk
from metabalance.cli.decisions import read_decision, read_prior
from metabalance.cli.errors import INTERRUPTED, complain, how_to_go_on
from metabalance.cli.options import (
    AugmentOption,
    BalanceByOption,
    CheckpointOption,
    DataArgument,
    DecisionOption,
    DropOption,
    EpochsOption,
    ImageSizeOption,
    PriorOption,
    ResumeOption,
    ScoringOption,
    SeedOption,
    StoreOption,
    TargetOption,
)
from metabalance.cli.outputs import MODEL_FILES, check_checkpoint, check_folder, say_what_is_written
from metabalance.cli.processes import count_processes, speaks, torchrun_group, under_torchrun
from metabalance.cli.tables import console, shows_progress, training_summary


def fit_command(
    data: DataArgument,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder to save the model in.")],
    target: TargetOption = None,
    drop: DropOption = None,
    balance_by: BalanceByOption = None,
    image_size: ImageSizeOption = None,
    augment: AugmentOption = None,
    support: Annotated[
        str | None,
        typer.Option(
            metavar="STRATEGY", help="How MetaBalance draws support batches.", show_default="natural"
        ),
    ] = None,
    query: Annotated[
        str | None,
        typer.Option(metavar="STRATEGY", help="How MetaBalance draws query batches.", show_default="under"),
    ] = None,
    meta_steps: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="MetaBalance's pairs of batches in an update, which torchrun's processes share out.",
            show_default="1, or one for each process",
        ),
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(metavar="STRATEGY", help="Train plainly on batches drawn so, without MetaBalance."),
    ] = None,
    scoring: ScoringOption = None,
    prior: PriorOption = None,
    decision: DecisionOption = None,
    epochs: EpochsOption = 50,
    store: StoreOption = None,
    checkpoint: CheckpointOption = None,
    resume: ResumeOption = False,
    random_state: SeedOption = 0,
) -> None:
    """Train one network on all of DATA and save it; `metabalance strategies` lists the strategies."""
    if sampler is not None and any(each is not None for each in (support, query, meta_steps)):
        raise ValueError(
            "--sampler trains without MetaBalance: leave out --support, --query and --meta-steps"
        )
    if sampler is not None and under_torchrun():
        raise ValueError("--sampler trains in one process: leave out torchrun, or --sampler")
    check_folder(out, "--out", MODEL_FILES)
    check_checkpoint(checkpoint, resume)
    decided = {"prior": read_prior(prior), "decision": read_decision(decision)}
    groups = {"--balance-by": balance_by or []}
    X: Any
    y: Any
    if reads_from_disk(data, target, store):
        if store is not None:
            check_folder(store, "--store")
        X, y, balanced = large_table(data, target, drop or [], store, image_size, groups), target, None
    else:
        dataset, grouped = load_data(data, target, drop or [], image_size, groups, progress=shows_progress())
        (X, y), balanced = dataset.training_part(), grouped["--balance-by"]
    shared: dict[str, Any] = {
        **decided,
        "scoring": scoring,
        "augment": augment,
        "max_epochs": epochs,
        "random_state": random_state,
        "verbose": int(shows_progress()),
    }
    network: MetaBalanceClassifier | NeuralClassifier
    if sampler is None:
        network = MetaBalanceClassifier(
            support_sampler=support or "natural",
            query_sampler=query or "under",
            meta_steps=meta_steps or count_processes(),
            **shared,
        )
    else:
        network = NeuralClassifier(sampler=sampler, **shared)
    with torchrun_group() as group:
        network.fit(X, y, balanced, checkpoint=checkpoint, resume=resume, process_group=group)
    if not speaks():
        return
    summary = training_summary(network)
    network.save(out)
    with console():
        typer.echo(summary)
        say_what_is_written([out])
        if isinstance(X, LargeTable):
            typer.echo(f"encoded rows, for later fits: {X.folder_of_stores}")
    end_if_interrupted(network, checkpoint)


def end_if_interrupted(network: Any, checkpoint: Path | None) -> None:
    """Say so where the user broke training off, and end as other interrupted commands do."""
    if network.interrupted_:
        complain(f"interrupted: the model is that of the best epoch so far{how_to_go_on(checkpoint)}")
        raise typer.Exit(INTERRUPTED)
