"""The arguments and options that several commands have."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from metabalance.cli.decisions import FORMS
from metabalance.datasets import BUILTIN
from metabalance.estimators.batches import AUGMENTATIONS


def _not_zero(jobs: int) -> int:
    if jobs == 0:
        raise typer.BadParameter("give how many fits run at a time, or -1 for as many as there are cores")
    return jobs


DataArgument = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A .csv, .csv.gz, .tsv or .parquet file (of `fit` also a folder of .parquet files), a folder of "
        "images with a folder for each class, an .npz file of images, or a built-in name: "
        f"{', '.join(BUILTIN)}.",
    ),
]
TargetOption = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="The column to predict; built-in data know theirs.")
]
DropOption = Annotated[
    list[str] | None,
    typer.Option(
        "--drop", metavar="COLUMN", help="A column to leave out, such as an identifier; may be repeated."
    ),
]
ImageSizeOption = Annotated[
    int | None,
    typer.Option(
        "--image-size",
        metavar="PIXELS",
        min=1,
        help="Height and width to bring the images of a folder to.",
        show_default="as they are, all alike",
    ),
]
AugmentOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help=f"What training images go through: {' or '.join(AUGMENTATIONS)}.",
        show_default="nothing",
    ),
]
EpochsOption = Annotated[
    int,
    typer.Option("--epochs", metavar="N", min=1, help="Epochs of every network at most."),
]
ScoringOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="scikit-learn scorer that early stopping follows.", show_default="refinement"
    ),
]
JobsOption = Annotated[
    int,
    typer.Option(
        "--jobs", metavar="N", min=-1, callback=_not_zero, help="Fits at a time; -1 uses all cores."
    ),
]
BackendOption = Annotated[
    Literal["loky", "ray"],
    typer.Option(help="Where fits run side by side: processes of this machine, or a Ray cluster."),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="The Ray cluster's, or auto for one that runs here; RAY_ADDRESS, or else a cluster is started.",
    ),
]
SeedOption = Annotated[
    int,
    typer.Option("--random-state", metavar="N", min=0, help="Seed of folds, networks and batches."),
]
BalanceByOption = Annotated[
    list[str] | None,
    typer.Option(
        "--balance-by",
        metavar="COLUMN",
        help="Balance these groups instead of the classes; of several columns (one may be the target) every "
        "combination is a group. A column stays a feature unless --drop names it, too.",
        show_default="the target",
    ),
]
StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        metavar="FOLDER",
        help="Read DATA from disk, a .csv, .csv.gz, .tsv or .parquet file or a folder of .parquet files that "
        "is larger than memory; its encoded rows are kept in this folder for later fits.",
        show_default="of a folder, ~/.cache/metabalance",
    ),
]
CheckpointOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Folder for what it takes to go on after this was killed: how far a fit has come, every minute, "
        "and each result of a comparison or a search.",
    ),
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on from what is in the folder of --checkpoint, if there is any.")
]
PriorOption = Annotated[
    str | None,
    typer.Option(
        metavar="SHARE",
        help="Share of the rarer of two classes where the model will be used, or balanced.",
        show_default="as in DATA",
    ),
]
DecisionOption = Annotated[
    str | None,
    typer.Option(metavar="RULE", help=f"Which label is predicted: {FORMS}.", show_default="balanced"),
]
