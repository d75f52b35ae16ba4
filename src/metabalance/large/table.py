"""A table that is too large for memory, as `fit` takes it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.dataset as pads

from metabalance.datasets.files import PARQUET
from metabalance.large.converting import TEXT, to_parquet
from metabalance.large.folders import open_dataset
from metabalance.large.sources import Source

MEMORY_BUDGET = 2**30


@dataclass(frozen=True)
class LargeTable:
    """A table in files that `fit` reads from disk, since it does not fit in memory, or should not fill it.

    ``fit(LargeTable(source), "target")`` reads the table once to learn medians, scales and categories, once
    more to write the encoded rows, float32, into a store on disk, and then draws its batches from there. The
    store is found again by the names, sizes, times, beginnings and ends of the files and by the columns: a
    later fit begins at once. If writing is broken off, the next fit goes on with it.
    ``fit(source, "target")`` means the same.

    Medians and quartiles are those of up to 262,144 rows chosen at random (with more than 128 columns, of
    33,554,432 values in all), and columns with more than 131,072 different texts are counted roughly;
    everything else that the encoder learns is exact. About 131,072 rows are held out at most, in the
    proportions of the classes, but 128 of each class (an even share with more than 1,024 classes) where
    ``validation_fraction`` allows it: scores that depend on class frequencies, such as average precision, are
    then those of the held-out rows. All members of the default network hold out the same ones.

    Parameters
    ----------
    source : path-like or pyarrow.dataset.Dataset
        A Parquet file; a folder of them, where folders named ``column=value`` become a column; a data set of
        such files; or a text file as `metabalance.datasets.read_table` reads it (``.csv``, ``.csv.gz``,
        ``.tsv``), which is first converted to Parquet, in one pass.
    drop : sequence of str, default=()
        Columns that are not used.
    store : path-like, optional
        The folder of the stores: a store takes four bytes for each output of the encoder (of numbers, one
        for each column) and row, and up to twelve more for each row. A text file's Parquet lies there, too.
        By default what ``METABALANCE_STORE`` names, or ``~/.cache/metabalance``. Several machines may use the
        same folder where its file system locks files for all of them.
    memory_budget : int, default=2**30
        Bytes that the rows of a strategy may take that looks at all of them, such as "smote".

    Raises
    ------
    ValueError, TypeError
        If the source or a parameter cannot be used.

    Examples
    --------
    >>> import tempfile, numpy as np, pandas as pd
    >>> from metabalance import LargeTable, NeuralClassifier
    >>> rows = pd.DataFrame(np.random.default_rng(0).normal(size=(500, 3)), columns=["a", "b", "c"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rows.assign(late=rows["a"] > 1.5).to_parquet(f"{folder}/rows.parquet")
    ...     table = LargeTable(f"{folder}/rows.parquet", drop=["c"], store=f"{folder}/store")
    ...     net = NeuralClassifier(sampler="over", max_epochs=2, random_state=0).fit(table, "late")
    >>> net.predict(rows[["a", "b"]]).shape
    (500,)
    """

    source: Any
    drop: Sequence[str] = ()
    store: str | os.PathLike[str] | None = None
    memory_budget: int = MEMORY_BUDGET

    def __post_init__(self) -> None:
        if not isinstance(self.source, str | os.PathLike | pads.Dataset):
            raise TypeError(
                f"source must be a path or a pyarrow.dataset.Dataset, got {self.source!r:.80}: rows in "
                "memory go to fit as they are"
            )
        if self.source == "":
            raise ValueError("source is an empty text: name a file or a folder")
        if isinstance(self.drop, str):
            raise TypeError(f"drop must be a list of column names, got {self.drop!r}: write [{self.drop!r}]")
        if not isinstance(self.drop, Sequence) or not all(isinstance(name, str) for name in self.drop):
            raise TypeError(f"drop must be a list of column names, got {self.drop!r:.80}")
        if not isinstance(self.store, str | os.PathLike | None):
            raise TypeError(f"store must be a folder or None, got {self.store!r:.80}")
        budget = self.memory_budget
        if isinstance(budget, bool) or not isinstance(budget, int) or budget < 0:
            raise ValueError(f"memory_budget must be a number of bytes, at least 0, got {budget!r}")

    @classmethod
    def of(cls, X: Any) -> "LargeTable | None":
        """Return X, or what it names, as a large table; None where it is something else, such as rows."""
        if isinstance(X, LargeTable):
            return X
        return cls(X) if isinstance(X, str | os.PathLike | pads.Dataset) else None

    def open(self, target: Any) -> Source:
        """Return the rows with their labels; a text file is converted for it.

        Raises
        ------
        ValueError, TypeError
            If they cannot be used, or the target is no name of a column.
        """
        if not isinstance(target, str):
            raise TypeError(
                "y must be the name of the column to predict, where the rows are in files, got "
                f"{type(target).__name__}"
            )
        return Source.of(self._dataset(self.folder_of_stores), target, list(self.drop))

    def _dataset(self, folder: Path) -> Any:
        if isinstance(self.source, pads.Dataset):
            return self.source
        path = Path(self.source)
        if path.name.lower().endswith(TEXT) and not path.is_dir():
            path = to_parquet(path, folder)
        elif path.is_file() and path.suffix.lower() not in PARQUET:
            raise ValueError(
                f"{path}: unknown kind of file; give one that ends in {', '.join((*PARQUET, *TEXT))}"
            )
        return open_dataset(path)

    @property
    def folder_of_stores(self) -> Path:
        """Where the stores are."""
        if self.store is not None:
            return Path(self.store)
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return Path(os.environ.get("METABALANCE_STORE") or cache / "metabalance")
