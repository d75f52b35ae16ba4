"""The two credit tasks of the paper, card fraud and loan default, from files or from OpenML."""

import os
from pathlib import Path

from sklearn.datasets import fetch_openml

from metabalance.datasets.builtin import Dataset
from metabalance.datasets.files import read_table, split_target
from metabalance.datasets.imbalance import RandomState, thin_class

DATA_VARIABLE = "METABALANCE_DATA"
FRAUD_FILES = (
    "creditcard.csv",
    "creditcard.csv.gz",
    "creditcard/creditcard.csv",
    "creditcard/creditcard.csv.gz",
    "creditcard/creditcard_subset.csv.gz",
)
LOAN_FILES = ("loan_data.csv", "loan/loan_data.csv")
OPENML_FRAUD = 1597


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
        If the file is of something else, or ``positive_share`` cannot be met.

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
    path = _find(data_root, FRAUD_FILES)
    if path is not None:
        frame = read_table(path)
    elif download:
        frame = fetch_openml(data_id=OPENML_FRAUD, as_frame=True, parser="pandas").frame
        frame["Class"] = frame["Class"].astype(int)
    else:
        raise FileNotFoundError(
            f"{_looked(data_root, FRAUD_FILES)}: get creditcard.csv from Kaggle (mlg-ulb/creditcardfraud), "
            "or fetch it from OpenML with download=True"
        )
    X, y = split_target(frame.drop(columns="Time", errors="ignore"), "Class")
    if set(y.tolist()) != {0, 1}:
        raise ValueError(f"{path} is not the card-fraud data: Class must hold 0 and 1")
    if positive_share is not None:
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
    path = _find(data_root, LOAN_FILES)
    if path is None:
        raise FileNotFoundError(
            f"{_looked(data_root, LOAN_FILES)}: get loan_data.csv from Kaggle (LendingClub loans 2007–2010)"
        )
    X, y = split_target(read_table(path).drop(columns="purpose", errors="ignore"), "not.fully.paid")
    return Dataset(
        name="loan",
        title="Loan default",
        X=X,
        y=y,
        cv=None,
        description="LendingClub loans 2007–2010; licence unknown",
    )


def _root(data_root: str | os.PathLike[str] | None) -> Path | None:
    chosen = data_root if data_root is not None else os.environ.get(DATA_VARIABLE)
    return None if chosen is None else Path(chosen)


def _find(data_root: str | os.PathLike[str] | None, names: tuple[str, ...]) -> Path | None:
    root = _root(data_root)
    return None if root is None else next((root / name for name in names if (root / name).is_file()), None)


def _looked(data_root: str | os.PathLike[str] | None, names: tuple[str, ...]) -> str:
    root = _root(data_root)
    if root is None:
        return f"no folder of data is given: pass data_root= or set {DATA_VARIABLE}"
    return f"{root} holds none of {', '.join(names)}"
