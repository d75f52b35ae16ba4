"""Parquet files, and folders of them, as one data set."""

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads

from metabalance.datasets.files import PARQUET, first_line


def open_dataset(path: Path) -> Any:
    """Return the Parquet file, or the folder of such files, as a data set.

    Folders named ``column=value`` become a column, as Hive and Spark write it.

    Raises
    ------
    FileNotFoundError
        If there is nothing.
    ValueError
        If it cannot be read as Parquet, or holds none.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder; check the name")
    files = parquet_files(path) if path.is_dir() else [path]
    if not files:
        raise ValueError(f"{path} holds no Parquet file ({', '.join(PARQUET)}): name the folder that does")
    folders: dict[str, Any] = {}
    if path.is_dir():
        folders = {"partitioning": pads.HivePartitioning.discover(), "partition_base_dir": str(path)}
    names = [str(file) for file in files]
    try:
        of_first = pads.dataset(names, format="parquet", **folders)
        return pads.dataset(names, _schema_of_all(of_first), format="parquet", **folders)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} cannot be read as Parquet ({first_line(error)}): write it anew") from error


def _schema_of_all(dataset: Any) -> pa.Schema:
    """The columns of the files and of their folders' names, in types that hold what each file holds."""
    schemas = [fragment.physical_schema for fragment in dataset.get_fragments()]
    try:
        schema = pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowException as error:
        raise ValueError(
            f"the files hold different things in the same column ({first_line(error)}): write them alike"
        ) from error
    for field in dataset.schema:  # and those that folders' names say
        if field.name not in schema.names:
            schema = schema.append(field)
    return schema


def holds_parquet(path: Path) -> bool:
    """Return whether this is a Parquet file by its name, or a folder with such files."""
    return bool(parquet_files(path)) if path.is_dir() else path.suffix.lower() in PARQUET


def parquet_files(folder: Path) -> list[Path]:
    """Return the Parquet files of a folder and the folders in it, sorted; hidden ones are passed over.

    Links are followed, but no file is there twice; a link that leads nowhere is among them, lest its rows be
    left out without a word.
    """
    found, seen = [], set()
    for place, folders, names in os.walk(folder, followlinks=True):
        seen.add(os.path.realpath(place))
        inside = [name for name in folders if not name.startswith((".", "_"))]
        folders[:] = [name for name in inside if os.path.realpath(os.path.join(place, name)) not in seen]
        found += [
            Path(place, name)
            for name in names
            if name.lower().endswith(PARQUET) and not name.startswith((".", "_"))
        ]
    root = os.path.realpath(folder)
    files: dict[str, Path] = {}
    for file in sorted(found):
        real = os.path.realpath(file)
        if real not in files or real == os.path.join(root, file.relative_to(folder)):
            files[real] = file  # by its own name rather than that of a link
    return sorted(files.values())
