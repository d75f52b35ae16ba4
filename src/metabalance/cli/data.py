"""From the DATA argument to a data set: a table with a target column, images, or a built-in name."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import pandas as pd

from metabalance.datasets import (
    BUILTIN,
    Dataset,
    load_builtin,
    load_image_arrays,
    load_image_folder,
    read_table,
    split_target,
)
from metabalance.estimators.groups import encode_groups
from metabalance.large import LargeTable
from metabalance.large.folders import holds_parquet


def load_data(
    data: str,
    target: str | None,
    drop: list[str],
    image_size: int | None = None,
    groups: Mapping[str, list[str]] | None = None,
    *,
    progress: bool = False,
) -> tuple[Dataset, dict[str, pd.DataFrame | None]]:
    """Return the data set behind DATA, without the dropped columns, and columns that groups are taken from.

    Parameters
    ----------
    groups : mapping of str to list of str, optional
        Under the name of an option, the columns that it names, which may be dropped ones. Its result is None
        where there are no such.

    Raises
    ------
    ValueError
        If a table comes without a target, images or a built-in data set with one, or a column to drop is not
        there.
    FileNotFoundError
        If DATA is neither a file, a folder nor a built-in name.
    """
    wanted = groups or {}
    if target is None and is_folder_of_parquet(data):
        raise ValueError(f"{data} is a folder of Parquet files: name the column to predict with --target")
    if is_folder_of_parquet(data):
        raise ValueError(
            f"{data} is a folder of Parquet files, which only `fit` and `predict` read: give one file"
        )
    is_folder = data not in BUILTIN and Path(data).is_dir()
    if is_folder or Path(data).suffix == ".npz":
        if target is not None or drop:
            what = (
                "is a folder without Parquet files: give one file in it, or, if it holds images in a folder "
                "for each class,"
            )
            raise ValueError(
                f"{data} {what if is_folder else 'holds images and their classes:'} leave out --target and "
                "--drop"
            )
        _refuse_groups(data, wanted)
        return _load_images(Path(data), image_size, is_folder, progress), dict.fromkeys(wanted)
    if data not in BUILTIN and not Path(data).exists() and not Path(data).suffix:
        close = get_close_matches(data, BUILTIN, n=1)
        raise FileNotFoundError(
            f"{data!r} is neither a file, a folder of images nor a built-in data set"
            + (f"; did you mean {close[0]!r}?" if close else f"; built in are: {', '.join(BUILTIN)}")
        )
    if image_size is not None:
        raise ValueError(f"--image-size is for folders of images, which {data} is not: leave it out")
    if data in BUILTIN:
        if target is not None or drop:
            raise ValueError(f"{data} is built in and knows its target: leave out --target and --drop")
        _refuse_groups(data, wanted)
        return load_builtin(data), dict.fromkeys(wanted)
    frame = read_table(data)
    if target is None:
        raise ValueError(f"name the column to predict with --target; {data} has {_some(list(frame.columns))}")
    for option, columns in {"--drop": drop, **wanted}.items():
        missing = [column for column in columns if column not in frame.columns]
        if missing:
            raise ValueError(
                f"{option} {missing[0]}: {data} has no such column, it has {_some(list(frame.columns))}"
            )
    if target in drop:
        raise ValueError(f"--drop {target}: this is the target column")
    X, y = split_target(frame.drop(columns=drop), target)
    for option, columns in wanted.items():
        if columns:  # now, since what is wrong with them is to be said of the option
            encode_groups(option, frame[columns], len(frame))
    dataset = Dataset(name=Path(data).name, title=Path(data).name, X=X, y=y, cv=None, description="")
    return dataset, {option: frame[columns] if columns else None for option, columns in wanted.items()}


def reads_from_disk(data: str, target: str | None, store: Path | None) -> bool:
    """Return whether `metabalance fit` reads DATA from disk, as `large_table` has it, or loads it."""
    return store is not None or (target is not None and is_folder_of_parquet(data))


def is_folder_of_parquet(data: str) -> bool:
    """Return whether DATA is a table in a folder of files, if it is a table."""
    return data not in BUILTIN and Path(data).is_dir() and holds_parquet(Path(data))


def large_table(
    data: str,
    target: str | None,
    drop: list[str],
    store: Path | None,
    image_size: int | None,
    groups: Mapping[str, list[str]],
) -> LargeTable:
    """Return the table behind DATA as one that is read from disk.

    Raises
    ------
    ValueError
        If it has no target, is built in, or is to be something that such a table cannot.
    """
    if data in BUILTIN:
        raise ValueError(f"{data} is built in and fits in memory: leave out --store")
    if target is None:
        raise ValueError(f"name the column to predict with --target; {data} is read from disk")
    if image_size is not None:
        raise ValueError(f"--image-size is for folders of images, which {data} is not: leave it out")
    for option, columns in groups.items():
        if columns:
            raise ValueError(
                f"{option} needs rows in memory, and {data} is read from disk: leave it out, or make it part "
                "of the column to predict"
            )
    return LargeTable(data, drop=drop, store=store)


def _refuse_groups(data: str, groups: Mapping[str, list[str]]) -> None:
    for option, columns in groups.items():
        if columns:
            raise ValueError(f"{option} is for tables of columns, which {data} is not: leave it out")


def _load_images(path: Path, size: int | None, is_folder: bool, progress: bool) -> Dataset:
    if is_folder:
        shape = None if size is None else (size, size)
        images = load_image_folder(path, size=shape, progress=progress)
    elif size is None:
        images = load_image_arrays(path)
    else:
        raise ValueError(
            f"--image-size is for folders; the images of {path} are all of one size: leave it out"
        )
    return Dataset(
        name=path.name,
        title=images.title,
        X=images.images.numpy(),
        y=np.array(images.classes)[images.y],
        cv=None,
        description="",
    )


def _some(names: list[str], at_most: int = 12) -> str:
    shown = ", ".join(map(str, names[:at_most]))
    return f"the columns {shown}" + (f" and {len(names) - at_most} more" if len(names) > at_most else "")
