"""The loaders of the paper's two credit tasks."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from metabalance.datasets import credit, load_card_fraud, load_loan_default


@pytest.fixture
def fraud_frame():
    rng = np.random.default_rng(0)
    columns = ["Time", *(f"V{i}" for i in range(1, 29)), "Amount"]
    frame = pd.DataFrame(rng.normal(size=(1000, 30)), columns=columns)
    return frame.assign(Class=(np.arange(1000) < 40).astype(int))


@pytest.fixture
def loan_frame():
    columns = ["purpose", *(f"f{i}" for i in range(12))]
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 13)), columns=columns)
    return frame.assign(purpose="car", **{"not.fully.paid": (np.arange(60) % 3 == 0).astype(int)})


@pytest.mark.parametrize("name", ["creditcard.csv", "creditcard/creditcard.csv.gz"])
def test_fraud_from_a_file(tmp_path, fraud_frame, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    fraud_frame.to_csv(path, index=False)
    fraud = load_card_fraud(tmp_path)
    assert fraud.X.shape == (1000, 29)
    assert "Time" not in fraud.X
    np.testing.assert_array_equal(fraud.y, fraud_frame["Class"])
    assert "a part of the rows (4.000% frauds)" in fraud.title


def test_the_full_file_is_preferred_to_a_subset(tmp_path, fraud_frame):
    (tmp_path / "creditcard").mkdir()
    fraud_frame[:500].to_csv(tmp_path / "creditcard" / "creditcard_subset.csv.gz", index=False)
    assert len(load_card_fraud(tmp_path).y) == 500
    fraud_frame.to_csv(tmp_path / "creditcard" / "creditcard.csv", index=False)
    assert len(load_card_fraud(tmp_path).y) == 1000


def test_frauds_are_thinned_by_seed(tmp_path, fraud_frame):
    fraud_frame.to_csv(tmp_path / "creditcard.csv", index=False)
    one, same, other = (
        load_card_fraud(tmp_path, positive_share=0.01, random_state=seed) for seed in (0, 0, 1)
    )
    assert one.y.sum() == 10
    assert (one.y == 0).sum() == 960
    pd.testing.assert_frame_equal(one.X, same.X)
    assert not one.X.equals(other.X)


def test_the_environment_names_the_folder(tmp_path, fraud_frame, monkeypatch):
    fraud_frame.to_csv(tmp_path / "creditcard.csv", index=False)
    monkeypatch.setenv("METABALANCE_DATA", str(tmp_path))
    assert len(load_card_fraud().y) == 1000
    with pytest.raises(
        FileNotFoundError, match=r"holds none of loan_data.csv.*get loan_data.csv from Kaggle"
    ):
        load_loan_default()


def test_without_a_file_the_places_to_get_it_are_named(tmp_path, monkeypatch):
    monkeypatch.delenv("METABALANCE_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match=r"--data-root\) or set METABALANCE_DATA: .* download=True"):
        load_card_fraud()
    with pytest.raises(FileNotFoundError, match=r"holds none of creditcard.csv, "):
        load_card_fraud(tmp_path)


def test_openml_is_asked_only_when_allowed(tmp_path, fraud_frame, monkeypatch):
    asked = []

    class Bunch:
        frame = fraud_frame.assign(Class=fraud_frame["Class"].astype(str).astype("category"))

    def fetch(data_id, **options):
        asked.append(data_id)
        return Bunch()

    monkeypatch.setattr(credit, "fetch_openml", fetch)
    fraud = load_card_fraud(tmp_path, download=True)
    assert asked == [1597]
    np.testing.assert_array_equal(fraud.y, fraud_frame["Class"])
    fraud_frame.to_csv(tmp_path / "creditcard.csv", index=False)
    load_card_fraud(tmp_path, download=True)
    assert asked == [1597]


SPOILED = {
    "labels": (
        lambda frame, target: frame.assign(**{target: frame[target] + 3}),
        "must hold 0 and 1, got 4, 3; get",
    ),
    "texts": (
        lambda frame, target: frame.assign(**{target: np.where(frame[target] == 1, "bad", "good")}),
        "must hold 0 and 1, got 'bad', 'good'; get",
    ),
    "many labels": (
        lambda frame, target: frame.assign(**{target: np.arange(len(frame)) % 7}),
        "must hold 0 and 1, got 0, 1, 2, 3, 4, …; get",
    ),
    "one label": (
        lambda frame, target: frame[frame[target] == 0],
        "every label in .* is 0: .*; get",
    ),
    "no target": (
        lambda frame, target: frame.drop(columns=target),
        "the table has no column .*; get",
    ),
    "a column too few": (
        lambda frame, target: frame.drop(columns=frame.columns[2]),
        r"beside \S+ and \S+ it must have (29|12) columns, got (28|11); get",
    ),
    "a column too many": (
        lambda frame, target: frame.assign(more=1.0),
        r"beside \S+ and \S+ it must have (29|12) columns, got (30|13); get",
    ),
    "no rows": (lambda frame, target: frame[:0], "has column names but no rows: .*; get"),
}


@pytest.mark.parametrize("spoiled", SPOILED)
def test_other_data_are_refused(tmp_path, fraud_frame, loan_frame, spoiled):
    change, message = SPOILED[spoiled]
    fraud, loan = tmp_path / "creditcard.csv", tmp_path / "loan_data.csv"
    change(fraud_frame, "Class").to_csv(fraud, index=False)
    with pytest.raises(ValueError, match=rf"{fraud} is not the card-fraud data: .*{message} creditcard\.csv"):
        load_card_fraud(tmp_path)
    change(loan_frame, "not.fully.paid").to_csv(loan, index=False)
    with pytest.raises(ValueError, match=rf"{loan} is not the loan-default data: .*{message} loan_data\.csv"):
        load_loan_default(tmp_path)


@pytest.mark.parametrize("spoiled", SPOILED)
def test_other_data_of_openml_are_refused(tmp_path, fraud_frame, monkeypatch, spoiled):
    change, message = SPOILED[spoiled]
    frame = change(fraud_frame, "Class")
    monkeypatch.setattr(credit, "fetch_openml", lambda **options: SimpleNamespace(frame=frame))
    expected = f"^OpenML data set 1597 is not the card-fraud data: .*{message} creditcard"
    with pytest.raises(ValueError, match=expected):
        load_card_fraud(tmp_path, download=True)


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_emptied_files_are_named(tmp_path, content):
    for name, load in (("creditcard.csv", load_card_fraud), ("loan_data.csv", load_loan_default)):
        (tmp_path / name).write_text(content)
        with pytest.raises(ValueError, match=f"{tmp_path / name} is empty: "):
            load(tmp_path)


def test_loan_from_a_file(tmp_path, loan_frame):
    loan_frame.to_csv(tmp_path / "loan_data.csv", index=False)
    loan = load_loan_default(tmp_path)
    assert loan.X.shape == (60, 12)
    assert loan.y.sum() == 20


@pytest.mark.parametrize(
    ("share", "kind"), [("a", TypeError), (True, ValueError), (0, ValueError), (0.5, ValueError)]
)
def test_a_share_of_frauds_that_cannot_be_met_is_refused(tmp_path, fraud_frame, share, kind):
    fraud_frame.to_csv(tmp_path / "creditcard.csv", index=False)
    with pytest.raises(kind, match="positive_share must be"):
        load_card_fraud(tmp_path, positive_share=share)
