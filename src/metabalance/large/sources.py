"""A table in files as one stream of batches, in an order that is always the same."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pads

from metabalance.datasets.files import first_line, likely_names
from metabalance.encoding.reading import unsupported

BATCH_ROWS = 65_536
END_BYTES = 2**16  # of a file's beginning and end, by which it is told from others
CHANGED = "the files of the table have changed while they were read: fit again once nobody writes to them"
# Parquet files are read a little at a time: a part of a file may be as large as the whole table.
PIECEWISE = pads.ParquetFragmentScanOptions(use_buffered_stream=True, pre_buffer=False)
# Types that labels may have.
LABEL_TYPES = (
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_dictionary,
    pa.types.is_null,
)


@dataclass(frozen=True)
class Piece:
    """A part of a data set that can be read on its own: a row group of a file."""

    fragment: Any
    rows: int


@dataclass(frozen=True)
class Source:
    """Rows with a label, in files.

    Parameters
    ----------
    dataset : pyarrow.dataset.Dataset
    target : str
        The column of the labels.
    features : list of str
        All other columns that are used.
    pieces : list of Piece
    """

    dataset: Any
    target: str
    features: list[str]
    pieces: list[Piece]

    @classmethod
    def of(cls, dataset: Any, target: str, drop: list[str]) -> "Source":
        """Return the columns of a data set that are asked for.

        Raises
        ------
        ValueError
            If a column is not there, or there is nothing to learn from.
        TypeError
            If the data set is filtered, or in memory.
        """
        names = dataset.schema.names
        for what, name in (("target", target), *(("drop", name) for name in drop)):
            if name not in names:
                hint = likely_names(name, names)
                raise ValueError(f"{what}={name!r}: the table has no such column; {hint}")
        if target in drop:
            raise ValueError(f"drop={target!r}: this is the target column")
        labels = dataset.schema.field(target).type
        if not any(is_kind(labels) for is_kind in LABEL_TYPES):
            raise unsupported(f"{target!r}, the column to predict,", labels)
        left_out = {target, *drop, *index_columns(dataset.schema)}
        features = [name for name in names if name not in left_out]
        if not features:
            raise ValueError(
                f"no column is left besides the target {target!r}: there is nothing to learn from"
            )
        return cls(dataset, target, features, _pieces(dataset, [*features, target]))

    @cached_property
    def n_rows(self) -> int:
        """Rows in all."""
        return sum(piece.rows for piece in self.pieces)

    def batches(self, first: int = 0) -> Iterator[tuple[pd.DataFrame, pd.Series]]:
        """Yield features and labels of the rows from ``first`` on, at most 65,536 at a time.

        Raises
        ------
        ValueError
            If a file cannot be read, or its columns are of other types than those of the first.
        """
        for piece in self.pieces:
            if first >= piece.rows:
                first -= piece.rows
                continue
            try:
                for batch in self._read(piece):
                    rest = batch.slice(first)
                    first = max(0, first - len(batch))
                    if len(rest):
                        frame = _to_pandas(rest, self.target)
                        yield frame[self.features], frame[self.target]
            except (pa.ArrowException, OSError) as error:
                raise _unreadable(piece.fragment, error) from error

    def _read(self, piece: Piece) -> Iterator[pa.RecordBatch]:
        yield from piece.fragment.to_batches(
            schema=self.dataset.schema,
            columns=[*self.features, self.target],
            batch_size=BATCH_ROWS,
            batch_readahead=2,
            fragment_scan_options=PIECEWISE,
        )

    def identity(self) -> dict[str, Any]:
        """Return what tells the rows from others: of the files names, sizes, times and ends, and the columns.

        Raises
        ------
        ValueError
            If a file is gone or cannot be read, or the file system knows no times.
        """
        files = []
        for fragment in {piece.fragment.path: piece.fragment for piece in self.pieces}.values():
            info = fragment.filesystem.get_file_info(fragment.path)
            if info.mtime_ns is None:
                raise ValueError(
                    f"{fragment.path}: its file system does not know when it was changed, by which a store "
                    "is found again: copy the files to a local disk"
                )
            values = str(fragment.partition_expression)  # which its folders' names say
            try:
                with fragment.open() as file:
                    ends = digest_of_ends(file, info.size)
            except OSError as error:
                raise _unreadable(fragment, error) from error
            files.append((Path(fragment.path).name, values, info.size, info.mtime_ns, ends))
        return {
            "files": files,
            "schema": [f"{field.name}: {field.type}" for field in self.dataset.schema],
            "target": self.target,
            "features": self.features,
        }


def _pieces(dataset: Any, used: list[str]) -> list[Piece]:
    try:
        fragments = list(dataset.get_fragments())
    except ValueError as error:
        raise TypeError(
            "the data set is filtered or projected, in a way that cannot be told from others: write its rows "
            "by pyarrow.dataset.write_dataset(dataset, folder, format='parquet'), and name that folder"
        ) from error
    pieces = []
    for fragment in fragments:
        if not isinstance(fragment, pads.FileFragment):
            raise TypeError(
                "the data set is in memory: pass the rows themselves, dataset.to_table().to_pandas()"
            )
        if not isinstance(fragment, pads.ParquetFileFragment):
            raise TypeError(
                f"the data set is of {fragment.format.default_extname} files: name a text file by its path, "
                "or write the rows as Parquet"
            )
        try:
            check_holds(dataset.schema, fragment, used)
            groups = zip(fragment.split_by_row_group(), fragment.row_groups, strict=True)
            pieces += [Piece(part, group.num_rows) for part, group in groups]
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(fragment, error) from error
    return pieces


def _unreadable(fragment: Any, error: Exception) -> ValueError:
    return ValueError(f"{fragment.path} cannot be read ({first_line(error)}): write it anew")


def check_holds(schema: pa.Schema, fragment: Any, used: list[str]) -> None:
    """Raise ValueError unless a file has the columns of a data set, and nothing in them that these lose."""
    own = fragment.physical_schema
    named_by_folders = pads.get_partition_keys(fragment.partition_expression)
    for name in used:
        wanted = schema.field(name).type
        if name in own.names:
            kind = own.field(name).type
            if kind != wanted and not _widens(kind, wanted):
                raise ValueError(
                    f"{fragment.path} holds {kind} in column {name!r}, which the data set takes for "
                    f"{wanted}: write the files alike, or give the data set a schema that holds both"
                )
        elif name not in named_by_folders:
            raise ValueError(
                f"{fragment.path} has no column {name!r}, which other files have: write them alike"
            )


def _widens(kind: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether a type holds whatever another one holds."""
    try:
        both = pa.unify_schemas(
            [pa.schema([("x", kind)]), pa.schema([("x", wanted)])], promote_options="permissive"
        )
    except pa.ArrowException:
        return False
    return bool(both.field("x").type == wanted)


def digest_of_ends(file: BinaryIO, size: int) -> str:
    """Return a checksum of a file's beginning and end, where a Parquet file has its statistics.

    Names, sizes and times may be those of other rows: parts of one table, unpacked or copied together.
    """
    beginning = file.read(END_BYTES)
    file.seek(max(0, size - END_BYTES))
    return hashlib.sha256(beginning + file.read(END_BYTES)).hexdigest()


def index_columns(schema: pa.Schema) -> list[str]:
    """Return the columns that hold the row names of a frame that pandas has written."""
    described = schema.pandas_metadata or {}
    return [name for name in described.get("index_columns", []) if isinstance(name, str)]


def _to_pandas(batch: pa.RecordBatch, target: str) -> pd.DataFrame:
    """As a frame; texts as categories, which are named once, and nothing as objects that need not be."""
    columns = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            column = column.dictionary_encode()
        elif pa.types.is_decimal(column.type) and name != target:  # labels stay what they are
            column = column.cast(pa.float64())
        elif pa.types.is_float16(column.type):
            column = column.cast(pa.float32())
        columns[name] = column
    table = pa.RecordBatch.from_pydict(columns)
    frame: pd.DataFrame = table.to_pandas(types_mapper={pa.bool_(): pd.BooleanDtype()}.get)
    return frame
