"""Tables in files that cannot be used."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pads

from metabalance import LargeTable
from tests.bad_input.case import Case, net, rows

X, y = rows()
FRAME = pd.DataFrame(X).add_prefix("v").assign(y=y)


def fit(folder: Path, frame: pd.DataFrame = FRAME, target: Any = "y", **options: Any) -> None:
    """Write a table and fit a network to it."""
    frame.to_parquet(folder / "data.parquet")
    net(**options.pop("net", {})).fit(LargeTable(folder / "data.parquet", store=folder, **options), target)


def fit_text(folder: Path, content: str) -> None:
    """Write a text file and fit a network to it."""
    (folder / "data.csv").write_text(content)
    net().fit(LargeTable(folder / "data.csv", store=folder), "y")


def fit_other(folder: Path, dataset: Any) -> None:
    """Fit a network to a data set of pyarrow's."""
    net().fit(LargeTable(dataset, store=folder), "y")


IN_MEMORY = pads.dataset(pa.Table.from_pandas(FRAME))
LATE = [pd.NaT, *[pd.Timestamp("2024-01-01")] * (len(y) - 1)]

TABLES: Sequence[Case] = (
    Case("no such file", lambda f: net().fit(LargeTable(f / "data.parquet", store=f), "y")),
    Case("a folder without Parquet", lambda f: net().fit(LargeTable(f, store=f), "y")),
    Case("labels in place of a column's name", lambda f: fit(f, target=y)),
    Case("a column that is not there", lambda f: fit(f, target="Y")),
    Case("the target among the dropped columns", lambda f: fit(f, drop=["y"])),
    Case("a data set in memory", lambda f: fit_other(f, IN_MEMORY)),
    Case("dates", lambda f: fit(f, FRAME.assign(when=LATE))),
    Case("infinite numbers", lambda f: fit(f, FRAME.assign(v0=np.inf))),
    Case("a missing label", lambda f: fit(f, FRAME.assign(y=[None, *y[1:].tolist()]))),
    Case("one class", lambda f: fit(f, FRAME.assign(y=1))),
    Case("a number as the target", lambda f: fit(f, target="v1")),
    Case("a strategy beyond the budget", lambda f: fit(f, net={"sampler": "smote"}, memory_budget=1000)),
    Case("a row longer than the header", lambda f: fit_text(f, "a,y\n" + "1,0\n2,1\n" * 9 + "1,2,3\n")),
)
