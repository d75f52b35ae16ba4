"""Encoded rows on disk: a folder that is whole, or is gone on with."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metabalance.encoding.tables import TableEncoder
from metabalance.files import write_atomically
from metabalance.sampling.stored import StoredRows, StoredTable, mapped_numbers
from metabalance.seals import seal_json, unseal_json

FORMAT = "metabalance-store-1"
ABOUT = "store.json"  # written last: where it is, the store is whole
ROWS, CODES, BY_CLASS = "rows.float32", "codes", "by_class"
MADE_AGAIN = "delete its folder, and it is made again"


@dataclass(frozen=True)
class Facts:
    """What one pass over the rows has found.

    Parameters
    ----------
    encoder : TableEncoder
        Fitted to all rows.
    classes, counts : arrays of shape (n_classes,)
        Labels, sorted, and the rows of each.
    """

    encoder: TableEncoder
    classes: NDArray[Any]
    counts: NDArray[np.int64]

    @property
    def n_rows(self) -> int:
        """Rows in all."""
        return int(self.counts.sum())

    @property
    def codes_dtype(self) -> np.dtype[Any]:
        """The fewest bytes that hold the code of a class; signed, but for the smallest."""
        return np.dtype(np.uint8 if len(self.classes) <= 256 else np.int32)

    @property
    def numbers_dtype(self) -> np.dtype[Any]:
        """The fewest bytes that hold the number of a row."""
        return np.dtype(np.int32 if self.n_rows < 2**31 else np.int64)

    @property
    def bytes_of_a_row(self) -> int:
        """On disk, in all files."""
        return 4 * self.encoder.n_outputs_ + self.codes_dtype.itemsize + self.numbers_dtype.itemsize

    def to_state(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "encoder": self.encoder.to_state(),
            "classes": {"dtype": self.classes.dtype.str, "values": self.classes.tolist()},
            "counts": self.counts.tolist(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild what `to_state` described."""
        classes = np.array(state["classes"]["values"], dtype=np.dtype(state["classes"]["dtype"]))
        return cls(
            TableEncoder.from_state(state["encoder"]), classes, np.array(state["counts"], dtype=np.int64)
        )


@dataclass(frozen=True)
class Store:
    """A store that is whole.

    Parameters
    ----------
    folder : Path
    facts : Facts
    """

    folder: Path
    facts: Facts

    def table(self, left_out: Tensor, device: torch.device, memory_budget: int) -> StoredTable:
        """Return the rows to draw from, without those at some places of the classes' row numbers.

        Raises
        ------
        ValueError
            If a file is missing or of another size than was written.
        """
        facts = self.facts
        shape = (facts.n_rows, facts.encoder.n_outputs_)
        y = mapped_numbers(self.folder / CODES, facts.codes_dtype, facts.n_rows)
        by_class = mapped_numbers(self.folder / BY_CLASS, facts.numbers_dtype, facts.n_rows)
        for name, numbers, end in ((CODES, y, len(facts.classes)), (BY_CLASS, by_class, facts.n_rows)):
            low, high = numbers.aminmax()
            if low < 0 or high >= end:
                raise ValueError(
                    f"{str(self.folder / name)!r} is damaged, its numbers are others: {MADE_AGAIN}"
                )
        return StoredTable(
            x=StoredRows(self.folder / ROWS, np.float32, shape, device),
            y=y,
            by_class=by_class,
            counts=facts.counts,
            left_out=left_out,
            memory_budget=memory_budget,
            fingerprint=self.folder.name,
        )


def read_facts(file: Path) -> Facts | None:
    """Return what a file says of the rows, or None where there is none.

    Raises
    ------
    ValueError
        If it is damaged.
    """
    if not file.exists():
        return None
    try:
        content = unseal_json(json.loads(file.read_bytes()))
        if content["format"] != FORMAT:
            raise ValueError(f"it is of the format {content['format']!r}")
        return Facts.from_state(content["facts"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{str(file)!r} is damaged ({error}): {MADE_AGAIN}") from error


def write_facts(file: Path, facts: Facts, identity: Mapping[str, Any]) -> None:
    """Write what is known of the rows, and which rows they are."""
    content = seal_json({"format": FORMAT, "identity": dict(identity), "facts": facts.to_state()})
    write_atomically(file, json.dumps(content, indent=1).encode())
