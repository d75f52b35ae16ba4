"""The nine development tables: seven imbalanced ones, the paper's loan task and the card-fraud subset.

They are found through ``--data-root`` or the environment variable ``METABALANCE_DATA``; none is part of this
project.
"""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from metabalance.datasets import read_table, split_target

TABLES = ("mammography", "oil_spill", "telco_churn", "sick", "bank_additional", "page_blocks", "yeast")


@dataclass(frozen=True)
class Source:
    """Where a table lies under the data root, what to predict and what to leave out."""

    path: str
    target: str
    drop: tuple[str, ...] = ()
    title: str = ""


SOURCES = {
    # The paper trains on 12 numeric inputs (appendix A.1), so without the loan's purpose ...
    "loan": Source("loan/loan_data.csv", "not.fully.paid", ("purpose",), "Loan default (the paper's task)"),
    # ... and on 29 inputs, so without the time of the transaction.
    "fraud": Source(
        "creditcard/creditcard_subset.csv.gz",
        "Class",
        ("Time",),
        "Card fraud, subset with 1.94 % frauds (paper: 0.17 %)",
    ),
    **{name: Source(f"tabular/{name}.csv.gz", "target", title=name) for name in TABLES},
}


def add_data_root(parser: argparse.ArgumentParser) -> None:
    """Add the option that says where the data are."""
    parser.add_argument(
        "--data-root",
        type=Path,
        default=os.environ.get("METABALANCE_DATA"),
        help="folder with loan/, creditcard/ and tabular/ (default: METABALANCE_DATA)",
    )


def load(name: str, data_root: Path | None) -> tuple[Any, Any]:
    """Return X and y of a development table."""
    if data_root is None:
        raise SystemExit("say where the data are: --data-root FOLDER or METABALANCE_DATA")
    source = SOURCES[name]
    frame = read_table(Path(data_root) / source.path)
    return split_target(frame.drop(columns=list(source.drop)), source.target)


def stratified_sample(X: Any, y: Any, most_rows: int) -> tuple[Any, Any]:
    """Return at most so many rows, with the classes as frequent as they are, in their order."""
    if len(X) <= most_rows:
        return X, y
    rows, _ = train_test_split(np.arange(len(X)), train_size=most_rows, stratify=y, random_state=0)
    rows = np.sort(rows)
    return X.iloc[rows].reset_index(drop=True), np.asarray(y)[rows]
