"""A text file as Parquet, in one pass that never holds more than a piece of it."""

import gzip
import hashlib
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from filelock import FileLock

from metabalance.datasets.files import check_header, check_start, first_line

TEXT = (".csv.gz", ".csv", ".tsv")
# What pandas.read_csv takes for a missing value (its documentation, na_values).
MISSING = (
    """#N/A|#N/A N/A|#NA|-1.#IND|-1.#QNAN|-NaN|-nan|1.#IND|1.#QNAN|<NA>|N/A|NA|NULL|NaN|None|n/a|nan|null"""
)
BLOCK_BYTES = 2**25  # of which the types of the columns are taken
ROW_GROUP = 2**18


def to_parquet(path: Path, folder: Path, target: str) -> Path:
    """Convert a text file, unless that was done before; return the Parquet file, which lies in the folder.

    Text files are as `metabalance.datasets.read_table` takes them. The first 32 MB decide what a column
    holds: numbers, true/false or text; whole numbers stay such in the target column alone.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it cannot be read as a table, or holds something else in a column than in its first part.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file; check the name and the folder")
    ending = next(
        ending for ending in sorted(TEXT, key=len, reverse=True) if path.name.lower().endswith(ending)
    )
    check_start(path, ending)
    about = path.stat()
    digest = hashlib.sha256(f"{path.name} {about.st_size} {about.st_mtime_ns} {target}".encode()).hexdigest()[
        :16
    ]
    converted = folder / f"{path.name.removesuffix(ending)}-{digest}.parquet"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{converted.name}.lock"):
            if not converted.exists():
                _convert(path, "\t" if ending == ".tsv" else ",", target, converted)
                # The store is known by this time, so that a file converted anew finds its old store.
                os.utime(converted, ns=(about.st_mtime_ns, about.st_mtime_ns))
    except OSError as error:
        raise ValueError(
            f"cannot write {converted} ({error.strerror}): make room, or name another folder (store)"
        ) from error
    return converted


def _convert(path: Path, separator: str, target: str, converted: Path) -> None:
    with gzip.open(path) if path.suffix.lower() == ".gz" else open(path, "rb") as lines:
        check_header(path, lines, separator)
    unfinished = converted.with_name(f".{converted.name}.tmp")
    try:
        with _opened(path, separator, None) as first:
            schema = pa.schema(
                [
                    field if field.name == target else field.with_type(_kept_as(field.type))
                    for field in first.schema
                ]
            )
        with _opened(path, separator, schema) as reader, pq.ParquetWriter(unfinished, schema) as writer:
            for batch in reader:
                writer.write_batch(batch, row_group_size=ROW_GROUP)
        unfinished.replace(converted)
    except pa.ArrowException as error:
        raise ValueError(
            f"{path} cannot be read as a table ({first_line(error)}): correct that row, or convert the file "
            "to Parquet yourself"
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)


def _opened(path: Path, separator: str, schema: pa.Schema | None) -> Any:
    options = pacsv.ConvertOptions(
        column_types=schema,
        null_values=["", *MISSING.split("|")],
        strings_can_be_null=True,
        true_values=["true", "True", "TRUE"],
        false_values=["false", "False", "FALSE"],
    )
    return pacsv.open_csv(
        pa.input_stream(path, compression="detect"),
        read_options=pacsv.ReadOptions(block_size=BLOCK_BYTES),
        parse_options=pacsv.ParseOptions(delimiter=separator, newlines_in_values=True),
        convert_options=options,
    )


def _kept_as(kind: pa.DataType) -> pa.DataType:
    """The type of a column, from the one of its first part, that leaves room for what may follow."""
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind):
        return pa.float64()
    return kind if pa.types.is_boolean(kind) else pa.string()
