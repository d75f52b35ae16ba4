"""A text file as Parquet, in one pass that never holds more than a piece of it."""

import csv
import gzip
import hashlib
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from filelock import FileLock

from metabalance.datasets.files import check_header, check_start, first_line
from metabalance.encoding.categories import is_number
from metabalance.large.sources import CHANGED, digest_of_ends

TEXT = (".csv.gz", ".csv", ".tsv")
# What pandas.read_csv takes for a missing value (its documentation, na_values).
MISSING = "#N/A|#N/A N/A|#NA|-1.#IND|-1.#QNAN|-NaN|-nan|1.#IND|1.#QNAN|<NA>|N/A|NA|NULL|NaN|None|n/a|nan|null"
BLOCK_BYTES = 2**25  # of which the types of the columns are taken
ROW_GROUP = 2**18
UNFIT = re.compile(
    r"In CSV column #(\d+): (?:Row #\d+: )?CSV conversion error to (\w+).*: invalid value '(.*)'", re.DOTALL
)

Types = dict[str, pa.DataType]


def to_parquet(path: Path, folder: Path) -> Path:
    """Convert a text file, unless that was done before; return the Parquet file, which lies in the folder.

    Text files are as `metabalance.datasets.read_table` takes them. The first 32 MB say what a column holds,
    numbers, true/false or text; where a later row shows that it holds more, the file is converted again.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it cannot be read as a table, changes meanwhile, or the Parquet file cannot be written.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file; check the name and the folder")
    ending = next(ending for ending in TEXT if path.name.lower().endswith(ending))
    check_start(path, ending)
    about = path.stat()
    with path.open("rb") as file:
        ends = digest_of_ends(file, about.st_size)
    known = f"{path.name} {about.st_size} {about.st_mtime_ns} {ends}"
    digest = hashlib.sha256(known.encode()).hexdigest()[:16]
    # Hidden, so that it is no part of a table whose folder this may be.
    converted = folder / f".{path.name[: -len(ending)]}-{digest}.parquet"
    if converted.exists():  # perhaps in a folder that may be read only
        return converted
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{converted.name}.lock"):
            if not converted.exists():
                _convert(_Text(path, "\t" if ending == ".tsv" else ","), converted, about)
    except OSError as error:
        raise ValueError(
            f"cannot write {converted} ({error.strerror}): make room, or name another folder (store)"
        ) from error
    return converted


@dataclass(frozen=True)
class _Text:
    """A text file, which is read a piece at a time."""

    path: Path
    separator: str

    @property
    def packed(self) -> bool:
        """Whether it is a gzip file."""
        return self.path.suffix.lower() == ".gz"

    def header(self) -> list[str]:
        """The names of the columns."""
        try:
            with gzip.open(self.path) if self.packed else open(self.path, "rb") as lines:
                return check_header(self.path, lines, self.separator)
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{self.path} is not UTF-8 text ({error.reason}): save it with that encoding"
            ) from error
        except csv.Error as error:
            raise ValueError(
                f"{self.path} cannot be read as a table ({error}): correct its first line"
            ) from error
        except (OSError, EOFError, zlib.error) as error:
            raise self._damaged(error) from error

    def batches(self, types: Mapping[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
        """All rows, at least one batch; columns are of these types, or of those that the first rows tell."""
        try:
            with pacsv.open_csv(
                pa.input_stream(self.path, compression="gzip" if self.packed else None),
                read_options=pacsv.ReadOptions(block_size=BLOCK_BYTES),
                parse_options=pacsv.ParseOptions(delimiter=self.separator, newlines_in_values=True),
                convert_options=pacsv.ConvertOptions(
                    column_types=types,
                    null_values=["", *MISSING.split("|")],
                    strings_can_be_null=True,
                    true_values=["true", "True", "TRUE"],
                    false_values=["false", "False", "FALSE"],
                ),
            ) as reader:
                yield pa.RecordBatch.from_pylist([], schema=reader.schema)
                yield from reader
        except (OSError, EOFError, zlib.error) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> ValueError:
        return ValueError(f"{self.path} is damaged ({first_line(error)}): write or pack it anew")


def _convert(text: _Text, converted: Path, about: os.stat_result) -> None:
    """Write the rows, again where it turns out that a column needs another type."""
    header = text.header()
    types: Types = {}
    unfinished = converted.with_name(f"{converted.name}.tmp")
    try:
        while wider := _write(text, header, types, unfinished):
            types |= wider
        now = text.path.stat()
        if (now.st_size, now.st_mtime_ns) != (about.st_size, about.st_mtime_ns):
            raise ValueError(CHANGED)
        # The store is known by this time, so that a file converted anew finds its old store.
        os.utime(unfinished, ns=(about.st_mtime_ns, about.st_mtime_ns))
        unfinished.replace(converted)
    except pa.ArrowException as error:
        if "invalid UTF8" in str(error):
            raise ValueError(f"{text.path} is not UTF-8 text: save it with that encoding") from error
        raise ValueError(
            f"{text.path} cannot be read as a table ({first_line(error)}): correct that row"
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)


def _write(text: _Text, header: list[str], types: Types, unfinished: Path) -> Types:
    """Write all rows; or return the types of columns that hold something else than was thought."""
    batches = text.batches(types)
    try:
        schema = next(batches).schema
        texts = {field.name: pa.string() for field in schema if _stays_text(field.type)}
        if texts:
            return texts
        names = [name or f"Unnamed: {number}" for number, name in enumerate(header)]  # as pandas has it
        with pq.ParquetWriter(unfinished, pa.schema(list(map(pa.Field.with_name, schema, names)))) as writer:
            for batch in batches:
                writer.write_batch(batch.rename_columns(names), row_group_size=ROW_GROUP)
    except pa.ArrowInvalid as error:
        found = UNFIT.match(str(error))
        if found is None:
            raise
        number = is_number(found[3]) and found[2] != "double"
        return {header[int(found[1])]: pa.float64() if number else pa.string()}
    return {}


def _stays_text(kind: pa.DataType) -> bool:
    """Whether what is taken for a date, or is in another encoding, is to be text as it stands."""
    return bool(pa.types.is_temporal(kind) or pa.types.is_binary(kind))
