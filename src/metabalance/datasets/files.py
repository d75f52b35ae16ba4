"""Reading a table from a file, and parting it into features and labels: every mistake gets one clear line."""

import csv
import gzip
import io
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pandas.api import types

from metabalance.datasets.memory import check_room_in_memory

PARQUET = (".parquet", ".pq")
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
# A file's first bytes, what it holds, and what to do where something else was expected.
_MARKS = (
    (b"PAR1", "Parquet", "name it .parquet"),
    (b"\x1f\x8b", "gzip", "name it .csv.gz"),
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook", "unpack it, or save the sheet as CSV"),
    (b"\xff\xfe", "UTF-16 text", "save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text", "save it as UTF-8"),
)
_TEXT = ("text", "name it .csv or .tsv")
_REGRESSION_ROWS = 50  # fewer rows than this may well have half of their labels unique


def read_table(path: str | Path, *, parsed: Collection[str] | None = None) -> Any:
    """Read a ``.csv``, ``.csv.gz``, ``.tsv``, ``.parquet`` or ``.pq`` file into a DataFrame.

    Text files are UTF-8 (with or without a byte order mark) and start with the column names. Blank fields,
    and pandas' other spellings of a missing value such as ``NA``, become NaN.

    Parameters
    ----------
    path : path-like
    parsed : collection of str, optional
        The columns of a text file in which numbers and true/false are recognised; all others stay text as it
        stands, ``01`` for instance. All by default.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        A folder, a file larger than memory, an unknown ending, an empty file, content that does not fit the
        ending, another separator or encoding than expected, column names that repeat, rows longer than the
        header.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from metabalance.datasets import read_table
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "people.csv")
    ...     _ = path.write_text("age,city\\n30,Bern\\n40,\\n")
    ...     read_table(path).shape
    (2, 2)
    """
    path = Path(path)
    readers: dict[str, Callable[[Path], Any]] = {
        ".csv": lambda file: _read_text(file, file.read_bytes(), ",", parsed),
        ".csv.gz": lambda file: _read_text(file, _unpack(file), ",", parsed),
        ".tsv": lambda file: _read_text(file, file.read_bytes(), "\t", parsed),
        ".parquet": _read_parquet,
        ".pq": _read_parquet,
    }
    ending = next((ending for ending in readers if path.name.lower().endswith(ending)), None)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file; check the name and the folder")
    if path.is_dir():
        raise ValueError(f"{path} is a folder: give one file in it")
    if ending is None:
        raise ValueError(f"{path}: unknown kind of file; give one that ends in {', '.join(readers)}")
    check_start(path, ending)
    _check_room(path)
    return readers[ending](path)


def split_target(frame: Any, target: str) -> tuple[Any, np.ndarray[Any, Any]]:
    """Part a table into its features and the column to predict.

    Parameters
    ----------
    frame : DataFrame, shape (n, n_columns)
        The table.
    target : str
        Name of the label column.

    Returns
    -------
    X : DataFrame, shape (n, n_columns - 1)
        All other columns.
    y : ndarray, shape (n,)
        The labels, as they are written in the table.

    Raises
    ------
    ValueError
        No such column, no rows, missing labels, a single class, a target that looks like a quantity or an
        identifier (more than half of over 50 labels are unique), no column left to learn from.

    Examples
    --------
    >>> import pandas as pd
    >>> from metabalance.datasets import split_target
    >>> X, y = split_target(pd.DataFrame({"age": [30, 40], "left": ["no", "yes"]}), "left")
    >>> list(X.columns), y.tolist()
    (['age'], ['no', 'yes'])
    """
    names = [str(name) for name in frame.columns]
    if target not in frame.columns:
        raise ValueError(f"the table has no column {target!r}: {likely_names(target, names)}")
    if frame.shape[1] < 2:
        raise ValueError(
            f"the table has no column besides the target {target!r}: there is nothing to learn from"
        )
    labels = frame[target]
    if len(labels) == 0:
        raise ValueError("the table has column names but no rows: there is nothing to learn from")
    missing = labels.isna().to_numpy()
    if missing.any():
        raise ValueError(
            f"{int(missing.sum())} of {len(labels)} labels in {target!r} are missing, the first in row "
            f"{int(missing.argmax()) + 1} below the header: fill them in or drop these rows"
        )
    n_classes = labels.nunique()
    if n_classes == 1:
        raise ValueError(
            f"every label in {target!r} is {labels.tolist()[0]!r}: at least two classes are needed; is "
            "this the right column?"
        )
    if len(labels) > _REGRESSION_ROWS and n_classes > len(labels) / 2:
        kind = "a regression target" if types.is_numeric_dtype(labels.dtype) else "an identifier"
        raise ValueError(
            f"{target!r} looks like {kind}: {n_classes} different values in {len(labels)} rows; give a "
            "column of classes, or group the values first"
        )
    return frame.drop(columns=target), labels.to_numpy()


def _check_room(path: Path) -> None:
    """Raise ValueError if the rows, at least as large in memory as in a text file, do not fit there."""
    size = path.stat().st_size
    if path.suffix.lower() in PARQUET:
        with suppress(pa.ArrowException):  # which reading the file will say in more words
            about = pq.read_metadata(path)
            size = sum(about.row_group(number).total_byte_size for number in range(about.num_row_groups))
    check_room_in_memory(
        size,
        f"the rows of {path}",
        "a network's fit reads them from disk (metabalance.LargeTable, on the command line fit --store), and "
        "predict on the command line does so with Parquet",
    )


def check_start(path: Path, ending: str) -> None:
    """Recognise content that does not fit the ending by the file's first bytes."""
    with path.open("rb") as file:
        start = file.read(4)
    if not start:
        raise ValueError(f"{path} is empty: write or download it anew")
    kind, remedy = next((rest for mark, *rest in _MARKS if start.startswith(mark)), _TEXT)
    expected = {".parquet": "Parquet", ".pq": "Parquet", ".csv.gz": "gzip"}.get(ending, _TEXT[0])
    if kind != expected:
        raise ValueError(f"{path} ends in {ending} but seems to hold {kind}: {remedy}")


def _read_parquet(path: Path) -> Any:
    try:
        frame = pd.read_parquet(path)
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} cannot be read as Parquet ({first_line(error)}): write it anew") from error
    _check_names(path, [str(name) for name in frame.columns])
    return frame


def _unpack(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes())
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is damaged ({first_line(error)}): compress or download it anew") from error


def _read_text(path: Path, content: bytes, separator: str, parsed: Collection[str] | None) -> Any:
    try:
        header = check_header(path, io.BytesIO(content), separator)
        as_text = {} if parsed is None else {name: str for name in header if name not in parsed}
        with warnings.catch_warnings():
            # Rows that are longer than the header would otherwise lose fields with a mere warning.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            file = io.BytesIO(content)
            return pd.read_csv(
                file, sep=separator, encoding="utf-8-sig", dtype=as_text, low_memory=False, index_col=False
            )
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text ({error.reason}): save it with that encoding") from error
    except pd.errors.ParserWarning as error:
        raise ValueError(f"{path}: rows have more fields than the header; name every column") from error
    except (pd.errors.ParserError, csv.Error) as error:
        raise ValueError(
            f"{path} cannot be read as a table ({first_line(error)}): correct that line"
        ) from error


def check_header(path: Path, lines: Iterable[bytes], separator: str) -> list[str]:
    """Return the column names, after looking for what commonly goes wrong with them."""
    texts = (line.decode("utf-8-sig") for line in lines)
    header = next((names for names in csv.reader(texts, delimiter=separator) if names), None)
    if header is None:
        raise ValueError(f"{path} is empty: the first line must hold the column names")
    other = next((sign for sign in _SEPARATORS if sign in header[0]), None)
    if len(header) == 1 and other is not None:
        ending = {",": "name it .csv", "\t": "name it .tsv"}.get(other, "save it with commas")
        raise ValueError(
            f"{path} seems to be separated by {_SEPARATORS[other]}, not by {_SEPARATORS[separator]}: {ending}"
        )
    _check_names(path, [name for name in header if name])
    if not header[0]:
        message = (
            f"{path}: the first column has no name and is used like any other; if it holds row numbers, as "
            "pandas' to_csv writes them without index=False, drop it"
        )
        warnings.warn(message, UserWarning, stacklevel=5)
    return header


def _check_names(path: Path, names: list[str]) -> None:
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise ValueError(
            f"{path}: column names occur more than once: {listed(repeated)}; rename or drop them"
        )


def likely_names(name: str, names: list[str]) -> str:
    """What to say of a column that is not there: which ones it may be meant for, or which ones there are."""
    lowered = {each.strip().lower(): each for each in names}
    close = [lowered[each] for each in get_close_matches(name.strip().lower(), lowered, n=3)]
    return f"did you mean {' or '.join(map(repr, close))}?" if close else f"it has {listed(names)}"


def listed(names: list[str]) -> str:
    """The first ten of these names, and how many more there are."""
    return ", ".join(map(repr, names[:10])) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def first_line(error: Exception) -> str:
    """The reason that an error of a library names."""
    line = str(error).strip().split("\n")[0]
    return line.removeprefix("Error tokenizing data. C error: ")
