"""A Parquet file, or a folder of them, scored piece by piece."""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from metabalance.datasets.files import first_line
from metabalance.files import replaced_when_whole
from metabalance.large.folders import open_dataset
from metabalance.large.sources import BATCH_ROWS, PIECEWISE, check_holds, index_columns

# So that gaps make no fractions of them, in one part of a text file and not in another.
WHOLE_NUMBERS = {
    getattr(pa, name.lower())(): getattr(pd, f"{name}Dtype")()
    for name in ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
}

Predict = Callable[[pd.DataFrame], pd.DataFrame]


def score_parquet(source: Path, out: Path, predict: Predict) -> Counter[Any]:
    """Write the rows of a source with what is predicted for them; return how often each label is.

    The file is written beside its place and put there at the end.

    Parameters
    ----------
    source : Path
        A Parquet file or a folder of them.
    out : Path
        A file that ends in .parquet, .csv or .csv.gz.
    predict : callable
        Returns the columns to add, of which the first holds labels, for some of the rows.

    Raises
    ------
    ValueError
        If the source cannot be read, or the file not written.
    """
    counts: Counter[Any] = Counter()
    with replaced_when_whole(out) as unfinished, _Writer(unfinished, out.name.lower()) as writer:
        for batch, frame in _pieces(source):
            added = predict(frame)
            found = added.iloc[:, 0].value_counts()
            counts.update(dict(zip(found.index.tolist(), found.tolist(), strict=True)))
            writer.write(batch, frame, added)
    return counts


def _pieces(source: Path) -> Iterator[tuple[pa.RecordBatch, pd.DataFrame]]:
    """The rows, a part at a time, without row names; at least one part, which may be empty."""
    dataset = open_dataset(source)
    row_names = index_columns(dataset.schema)
    columns = [name for name in dataset.schema.names if name not in row_names]
    for fragment in dataset.get_fragments():
        check_holds(dataset.schema, fragment, columns)
    whole = dataset.scanner(
        columns=columns,
        batch_size=BATCH_ROWS,
        batch_readahead=2,
        fragment_readahead=1,
        fragment_scan_options=PIECEWISE,
    )
    empty = pa.RecordBatch.from_pylist([], schema=whole.projected_schema)
    batches = (batch for batch in whole.to_batches() if len(batch))
    try:
        for batch in chain([next(batches, empty)], batches):
            yield batch, batch.to_pandas(types_mapper=WHOLE_NUMBERS.get)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{source} cannot be read ({first_line(error)}): write it anew") from error


class _Writer:
    """Appends rows to a file that will have a name whose end says what it is to be."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._is_parquet = name.endswith(".parquet")
        self._packed = "gzip" if name.endswith(".gz") else None
        self._parquet: pq.ParquetWriter | None = None
        self._begun = False

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *error: Any) -> None:
        if self._parquet is not None:
            self._parquet.close()

    def write(self, batch: pa.RecordBatch, frame: pd.DataFrame, added: pd.DataFrame) -> None:
        """Append rows, in the types they have in their file, and the columns added to them."""
        if not self._is_parquet:
            times = {
                field.name: batch.column(field.name).cast(pa.string()).to_pandas()
                for field in batch.schema
                if pa.types.is_timestamp(field.type)  # of which pandas writes only dates, where all are such
            }
            whole = pd.concat([frame.assign(**times), added], axis=1)
            mode = "a" if self._begun else "w"
            whole.to_csv(self._path, mode=mode, header=not self._begun, index=False, compression=self._packed)
            self._begun = True
            return
        table = pa.Table.from_batches([batch])
        for name in added.columns:
            table = table.append_column(name, pa.array(added[name]))
        if self._parquet is None:
            self._parquet = pq.ParquetWriter(self._path, table.schema.remove_metadata())
        self._parquet.write_table(table.replace_schema_metadata())
