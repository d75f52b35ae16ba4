"""The two credit tasks of the paper, card fraud and loan default, from files or from OpenML."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import fetch_openml

from metabalance.datasets.builtin import Dataset
from metabalance.datasets.data_folder import DATA_VARIABLE, data_folder
from metabalance.datasets.files import read_table, split_target
from metabalance.datasets.imbalance import RandomState, thin_class

OPENML_FRAUD = 1597


@dataclass(frozen=True)
class _Task:
    """A table of a task: where it is looked for, what is in it, and where to get it."""

    name: str
    files: tuple[str, ...]
    target: str
    left_out: str
    n_inputs: int
    remedy: str


_FRAUD = _Task(
    name="card-fraud",
    files=(
        "creditcard.csv",
        "creditcard.csv.gz",
        "creditcard/creditcard.csv",
        "creditcard/creditcard.csv.gz",
        "creditcard/creditcard_subset.csv.gz",
    ),
    target="Class",
    left_out="Time",
    n_inputs=29,
    remedy="get creditcard.csv from Kaggle (mlg-ulb/creditcardfraud)",
)
_LOAN = _Task(
    name="loan-default",
    files=("loan_data.csv", "loan/loan_data.csv"),
    target="not.fully.paid",
    left_out="purpose",
    n_inputs=12,
    remedy="get loan_data.csv from Kaggle (LendingClub loans 2007–2010)",
)


def load_card_fraud(
    data_root: str | os.PathLike[str] | None = None,
    *,
    download: bool = False,
    positive_share: float | None = None,
    random_state: RandomState = None,
) -> Dataset:
    """Load the card-fraud task: 28 principal components and the amount of card payments, 1 for fraud.

    The file is ``creditcard.csv`` as ULB's Machine Learning Group published it (284,807 rows, 0.172 %
    frauds), or any part of its rows. The time of the payment is left out, as in the paper, which trains on 29
    inputs (appendix A.1).

    Parameters
    ----------
    data_root : path-like, optional
        Folder with ``creditcard.csv``, ``creditcard/creditcard.csv`` (each may end in ``.gz``) or
        ``creditcard/creditcard_subset.csv.gz``; default: the environment variable ``METABALANCE_DATA``.
    download : bool, default=False
        Where no file is found, fetch the full data from OpenML (data set 1597), through scikit-learn, which
        keeps them and checks their checksum.
    positive_share : float, optional
        Thin the frauds to this share of the rows, such as 0.00172 where the file holds a larger one.
    random_state : int, numpy.random.Generator or None, default=None
        Chooses the frauds that are kept.

    Returns
    -------
    Dataset

    Raises
    ------
    FileNotFoundError
        If there is no file and nothing may be downloaded; the message says where to get it.
    ValueError
        If the file, or what OpenML has sent, is of something else, or ``positive_share`` cannot be met.

    References
    ----------
    Dal Pozzolo, Caelen, Johnson, Bontempi (2015), Calibrating Probability with Undersampling for Unbalanced
    Classification. Bansal et al. (2021), section 5.1.

    Examples
    --------
    >>> from metabalance.datasets import load_card_fraud
    >>> fraud = load_card_fraud("data", positive_share=0.00172, random_state=0)  # doctest: +SKIP
    >>> fraud.X.shape[1]  # doctest: +SKIP
    29
    """
    path = _find(data_root, _FRAUD)
    if path is not None:
        X, y = _part(read_table(path), _FRAUD, str(path))
    elif download:
        frame = fetch_openml(data_id=OPENML_FRAUD, as_frame=True, parser="pandas").frame
        X, y = _part(frame, _FRAUD, f"OpenML data set {OPENML_FRAUD}")
    else:
        raise FileNotFoundError(
            f"{_looked(data_root, _FRAUD)}: {_FRAUD.remedy}, or fetch it from OpenML with download=True"
        )
    if positive_share is not None:
        held = float(y.mean())
        try:
            share = float(positive_share)
        except (TypeError, ValueError) as error:
            raise TypeError(f"positive_share must be a number, got {positive_share!r}") from error
        if not 0 < share <= held:
            raise ValueError(
                f"positive_share must be above 0 and at most {held:.6f}, the share of frauds in these rows, "
                f"got {positive_share!r}"
            )
        kept = thin_class(y, 1, positive_share, random_state)
        X, y = X.iloc[kept].reset_index(drop=True), y[kept]
    whole = len(y) == 284_807
    return Dataset(
        name="fraud",
        title=f"Card fraud{'' if whole else ', a part of the rows'} ({y.mean():.3%} frauds)",
        X=X,
        y=y,
        cv=None,
        description="Card payments of two days in 2013, ULB Machine Learning Group and Worldline, DbCL 1.0",
    )


def load_loan_default(data_root: str | os.PathLike[str] | None = None) -> Dataset:
    """Load the loan-default task: 12 numbers about 9,578 loans of 2007–2010, 1 for not fully paid.

    The purpose of the loan is left out, as in the paper, which trains on 12 inputs (appendix A.1).

    Parameters
    ----------
    data_root : path-like, optional
        Folder with ``loan_data.csv`` or ``loan/loan_data.csv``; default: the environment variable
        ``METABALANCE_DATA``.

    Returns
    -------
    Dataset

    Raises
    ------
    FileNotFoundError
        If there is no file; the message says where to get it.
    ValueError
        If the file is of something else.

    References
    ----------
    Bansal et al. (2021), section 5.1.

    Examples
    --------
    >>> from metabalance.datasets import load_loan_default
    >>> load_loan_default("data").X.shape  # doctest: +SKIP
    (9578, 12)
    """
    path = _find(data_root, _LOAN)
    if path is None:
        raise FileNotFoundError(f"{_looked(data_root, _LOAN)}: {_LOAN.remedy}")
    X, y = _part(read_table(path), _LOAN, str(path))
    return Dataset(
        name="loan",
        title="Loan default",
        X=X,
        y=y,
        cv=None,
        description="LendingClub loans 2007–2010; licence unknown",
    )


def _part(frame: Any, task: _Task, source: str) -> tuple[Any, np.ndarray[Any, Any]]:
    """Part a table into the inputs and the labels, 0 and 1; raise unless it is that of the task."""
    try:
        X, labels = split_target(frame.drop(columns=task.left_out, errors="ignore"), task.target)
    except ValueError as error:
        raise ValueError(f"{source} is not the {task.name} data: {error}; {task.remedy}") from error
    y = pd.to_numeric(labels, errors="coerce")  # OpenML's are texts
    if set(y.tolist()) != {0, 1}:
        found = list(dict.fromkeys(labels.tolist()))
        shown = ", ".join(map(repr, found[:5])) + (", …" if len(found) > 5 else "")
        raise ValueError(
            f"{source} is not the {task.name} data: {task.target} must hold 0 and 1, got {shown}; "
            f"{task.remedy}"
        )
    if X.shape[1] != task.n_inputs:
        raise ValueError(
            f"{source} is not the {task.name} data: beside {task.target} and {task.left_out} it must have "
            f"{task.n_inputs} columns, got {X.shape[1]}; {task.remedy}"
        )
    return X, y.astype(np.int64)


def _find(data_root: str | os.PathLike[str] | None, task: _Task) -> Path | None:
    root = data_folder(data_root)
    if root is None:
        return None
    return next((root / name for name in task.files if (root / name).is_file()), None)


def _looked(data_root: str | os.PathLike[str] | None, task: _Task) -> str:
    root = data_folder(data_root)
    if root is None:
        given = f"pass data_root= (on the command line --data-root) or set {DATA_VARIABLE}"
        return f"no folder of data is given: {given}"
    return f"{root} holds none of {', '.join(task.files)}"
