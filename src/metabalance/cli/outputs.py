"""Where results go: checked before time is spent on them, and written at the end."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import typer

from metabalance import Checkpoint
from metabalance.cli.errors import complain
from metabalance.cli.processes import speaks
from metabalance.estimators.model_files import DESCRIPTION_FILE
from metabalance.files import replaced_when_whole
from metabalance.large.folders import holds_parquet

ENDINGS = (".csv", ".csv.gz", ".parquet")
REPORT_FILES = ("report.html", "results.json")
MODEL_FILES = (DESCRIPTION_FILE,)


def check_folder(folder: Path, option: str, files: Sequence[str] = ()) -> None:
    """Raise unless the folder exists and can be written to, or can be made, and the files in it, too.

    Raises
    ------
    ValueError
        If a file is in the way of the folder or a folder in that of a file, or the user may not write there.
    """
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir():
        raise ValueError(f"{option} {folder}: {existing} is a file, not a folder; choose another path")
    try:
        # Permissions do not tell of read-only disks, nor of folders of the system.
        tempfile.TemporaryFile(dir=existing).close()
    except OSError as error:
        raise ValueError(
            f"{option} {folder}: nothing can be written in {existing} ({error.strerror}); choose another path"
        ) from error
    for path in (folder / name for name in files):
        if path.is_dir():
            raise ValueError(
                f"{option} {folder}: {path} is a folder, where a file of this name is to be written; choose "
                "another path"
            )


def check_checkpoint(folder: Path | None, resume: bool) -> None:
    """Raise unless checkpoints can be kept in the folder, or gone on from where that is wanted.

    That there is one to go on from is said now: the work may take hours.

    Raises
    ------
    ValueError
        As `check_folder`, or if a checkpoint is in the way of another fit, or there is no folder to go on in.
    """
    if folder is None:
        if resume:
            raise ValueError("--resume goes on from a checkpoint: name its folder with --checkpoint")
        return
    check_folder(folder, "--checkpoint")
    if not Checkpoint(folder).files():
        return
    if not resume:
        raise ValueError(
            f"--checkpoint {folder}: there is a checkpoint; go on from it with --resume, or name another "
            "folder"
        )
    if speaks():
        complain(f"found a checkpoint in {folder}")


def check_table_path(path: Path, source: str) -> None:
    """Raise unless a table read from ``source`` can be written to path.

    Raises
    ------
    ValueError
        If the ending is unknown, the path is a folder or the source itself, or its folder cannot be used.
    """
    if not path.name.lower().endswith(ENDINGS):
        raise ValueError(f"--out {path}: unknown kind of file to write; end it in {', '.join(ENDINGS)}")
    if path.is_dir():
        raise ValueError(f"--out {path} is a folder: give a file in it, such as {path / 'scored.csv'}")
    read, written = Path(source).resolve(), path.resolve()
    if written == read:
        raise ValueError(f"--out {path} is the file that is read: choose another name")
    if read.is_dir() and read in written.parents and holds_parquet(read):
        raise ValueError(f"--out {path} would be a part of the table {source}: choose another folder")
    check_folder(path.parent, "--out")


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a table in the format of its file ending; the folder is made if need be."""
    with replaced_when_whole(path) as unfinished:
        if path.name.lower().endswith(".parquet"):
            frame.to_parquet(unfinished, index=False)
        else:
            packed = "gzip" if path.name.lower().endswith(".gz") else None
            frame.to_csv(unfinished, index=False, compression=packed)


def say_what_is_written(paths: list[Path]) -> None:
    """Print the files and folders that there are now."""
    if paths:
        typer.echo(f"written: {', '.join(map(str, paths))}")
