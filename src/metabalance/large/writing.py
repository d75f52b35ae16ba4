"""From a source to a store: a pass to learn what the encoder must know, and a pass that encodes."""

import hashlib
import json
import os
import shutil
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from metabalance.encoding.labels import encode_labels
from metabalance.encoding.tables import TableEncoder, refuse_large
from metabalance.files import write_atomically
from metabalance.large.sources import CHANGED, Source
from metabalance.large.store import (
    ABOUT,
    BY_CLASS,
    CODES,
    FORMAT,
    ROWS,
    Facts,
    Store,
    read_facts,
    write_facts,
)
from metabalance.large.summaries import LabelSummary, NumericSummary, summary_for
from metabalance.sampling.permutations import Permutation

SAMPLE_ROWS = 2**18  # that quantiles are taken of
SAMPLE_VALUES = 2**25  # at most, of all columns
MOST_CLASSES = 2**16
FOUND = "found.json"  # what the first pass has found
DONE = "done.json"  # how many rows the second pass has written
SAVED_EVERY = 20.0  # seconds
INDEXED_AT_ONCE = 2**22

Batches = Iterator[tuple[pd.DataFrame, pd.Series]]


def open_store(source: Source, folder: Path, *, coded: bool, progress: bool) -> Store:
    """Return the store of a source in a folder of stores: written now, gone on with, or as it is there.

    Others who want the same store meanwhile wait for it.

    Parameters
    ----------
    source : Source
    folder : Path
    coded : bool
        As in `TableEncoder`.
    progress : bool
        Whether bars on standard error show how far it is.

    Raises
    ------
    ValueError
        If the rows cannot be used, the store is damaged, or it cannot be written.
    """
    identity = {**source.identity(), "coded": coded, "format": FORMAT}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    place = folder / digest
    whole = read_facts(place / ABOUT)
    if whole is not None:  # perhaps in a folder that may be read only
        return Store(place, whole)
    try:
        place.mkdir(parents=True, exist_ok=True)
        with FileLock(place / ".lock"):
            facts = read_facts(place / ABOUT)
            return Store(place, facts or _write(source, place, identity, coded, progress))
    except OSError as error:
        raise ValueError(
            f"cannot write the store {str(place)!r} ({error.strerror}): make room, or name another folder "
            "(store)"
        ) from error


def _write(source: Source, place: Path, identity: Mapping[str, Any], coded: bool, progress: bool) -> Facts:
    facts = read_facts(place / FOUND)
    if facts is None:
        facts = _find(source, _shown(source, 0, "reading", progress), coded)
        write_facts(place / FOUND, facts, identity)
    _check_room(place, facts)
    _encode(source, place, facts, progress)
    if {**identity, **source.identity()} != identity:
        for name in (FOUND, DONE):
            (place / name).unlink()
        raise ValueError(CHANGED)
    _index(place, facts)
    write_facts(place / ABOUT, facts, identity)
    for name in (FOUND, DONE):
        (place / name).unlink(missing_ok=True)
    return facts


def _find(source: Source, batches: Batches, coded: bool) -> Facts:
    """Look at all rows once."""
    fields = [source.dataset.schema.field(name) for name in source.features]
    summaries = [summary_for(field) for field in fields]
    labels = LabelSummary(source.target, MOST_CLASSES)
    sample = _sample_rows(source.n_rows, len(fields))
    first = 0
    for frame, target in batches:
        begin, end = np.searchsorted(sample, [first, first + len(frame)])
        sampled = sample[begin:end] - first
        labels.add(target)
        for summary, name in zip(summaries, source.features, strict=True):
            summary.add(frame[name], sampled)
        first += len(frame)
    refuse_large([each.label for each in summaries if isinstance(each, NumericSummary) and each.too_large])
    names = pd.Series(labels.labels()).to_numpy()  # texts as objects, as in a table in memory
    try:
        classes, codes = encode_labels(np.tile(names, 3))  # more rows than classes, or they would not be such
    except (TypeError, ValueError) as error:
        raise type(error)(f"{source.target!r}, the column to predict: {error}") from error
    counts = np.zeros(len(classes), dtype=np.int64)
    counts[codes[: len(names)]] = list(labels.counts.values())
    encoder = TableEncoder(coded=coded).with_columns(summaries, source.features)
    if not any(column.outputs for column in encoder.columns_):
        warnings.warn("no column of the table holds anything to learn from", UserWarning, stacklevel=2)
    return Facts(encoder, classes, counts)


def _sample_rows(n_rows: int, columns: int) -> NDArray[np.int64]:
    """The numbers of the rows that quantiles are taken of, sorted: the same for the same table."""
    count = min(SAMPLE_ROWS, max(1024, SAMPLE_VALUES // columns))
    if n_rows <= count:
        return np.arange(n_rows)
    shuffled = Permutation(n_rows, torch.Generator().manual_seed(0))
    rows: NDArray[np.int64] = np.sort(shuffled(torch.arange(count)).numpy())
    return rows


def _check_room(place: Path, facts: Facts) -> None:
    """Raise ValueError if the disk has not enough room for what is still to be written."""
    there = sum(file.stat().st_size for name in (ROWS, CODES, BY_CLASS) if (file := place / name).exists())
    wanted = facts.n_rows * facts.bytes_of_a_row - there
    free = shutil.disk_usage(place).free
    if wanted > free:
        raise ValueError(
            f"the encoded rows take {wanted / 1e6:,.1f} MB of disk, more than the {free / 1e6:,.1f} MB that "
            f"are free in {str(place.parent)!r}: make room, or name another folder (store)"
        )


def _encode(source: Source, place: Path, facts: Facts, progress: bool) -> None:
    """Append all rows that are not written yet."""
    widths = {ROWS: 4 * facts.encoder.n_outputs_, CODES: facts.codes_dtype.itemsize}
    done = _rows_done(place, widths)
    labels = pd.Index(facts.classes)
    with ExitStack() as stack:
        files: dict[str, BinaryIO] = {}
        for name, width in widths.items():
            (place / name).touch()
            files[name] = stack.enter_context(open(place / name, "r+b"))
            files[name].truncate(done * width)  # what a process wrote that was killed before it said so
            files[name].seek(done * width)
        saved = time.monotonic()
        for frame, target in _shown(source, done, f"encoding, to {escape(str(place))}", progress):
            files[ROWS].write(facts.encoder.transform(frame).data)
            codes = labels.get_indexer(target.to_numpy())
            if (codes < 0).any():
                raise ValueError(CHANGED)
            files[CODES].write(codes.astype(facts.codes_dtype).data)
            done += len(frame)
            if time.monotonic() > saved + SAVED_EVERY:
                _say_done(place, files, done)
                saved = time.monotonic()
        _say_done(place, files, done)
    if done != facts.n_rows:
        raise ValueError(CHANGED)


def _rows_done(place: Path, widths: Mapping[str, int]) -> int:
    """How many rows are written, as far as the files are there."""
    try:
        done = int(json.loads((place / DONE).read_bytes())["rows"])
        sizes = {name: (place / name).stat().st_size for name in widths}
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # nothing is said, or nothing sensible
        return 0
    return done if done > 0 and all(sizes[name] >= done * width for name, width in widths.items()) else 0


def _say_done(place: Path, files: Mapping[str, BinaryIO], done: int) -> None:
    for file in files.values():
        file.flush()
        os.fsync(file.fileno())
    write_atomically(place / DONE, json.dumps({"rows": done}).encode())


def _index(place: Path, facts: Facts) -> None:
    """Write the row numbers class after class, from the codes, a piece of them at a time."""
    size = facts.numbers_dtype.itemsize
    places = facts.counts.cumsum() - facts.counts  # where the next rows of each class go
    with open(place / CODES, "rb") as codes_file, open(place / BY_CLASS, "wb") as file:
        for first in range(0, facts.n_rows, INDEXED_AT_ONCE):
            codes = np.fromfile(codes_file, dtype=facts.codes_dtype, count=INDEXED_AT_ONCE)
            order = np.argsort(codes, kind="stable")
            numbers = (order + first).astype(facts.numbers_dtype)
            counts = np.bincount(codes, minlength=len(facts.classes))
            starts = counts.cumsum() - counts
            for code in np.flatnonzero(counts):
                file.seek(int(places[code]) * size)
                file.write(numbers[starts[code] : starts[code] + counts[code]].data)
            places += counts
        file.flush()
        os.fsync(file.fileno())


def _shown(source: Source, first: int, title: str, progress: bool) -> Batches:
    """The batches from a row on, with a bar that says how many rows are left."""
    if not progress:
        yield from source.batches(first)
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.completed:,}/{task.total:,} rows"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    with bar:
        task = bar.add_task(title, total=source.n_rows, completed=first)
        for batch in source.batches(first):
            yield batch
            bar.advance(task, len(batch[0]))
