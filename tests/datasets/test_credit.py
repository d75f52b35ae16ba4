"""The loaders of the paper's two credit tasks."""

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
    with pytest.raises(FileNotFoundError, match=r"pass data_root= or set METABALANCE_DATA: .* download=True"):
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


def test_other_data_are_refused(tmp_path, fraud_frame):
    fraud_frame.assign(Class=fraud_frame["Class"] + 3).to_csv(tmp_path / "creditcard.csv", index=False)
    with pytest.raises(ValueError, match="is not the card-fraud data: Class must hold 0 and 1"):
        load_card_fraud(tmp_path)
    pd.DataFrame({"a": [1, 2], "b": [0, 1]}).to_csv(tmp_path / "loan_data.csv", index=False)
    with pytest.raises(ValueError, match=r"not\.fully\.paid"):
        load_loan_default(tmp_path)


def test_loan_from_a_file(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(60, 12)), columns=[f"f{i}" for i in range(12)])
    frame.assign(purpose="car", **{"not.fully.paid": np.arange(60) % 3 == 0}).astype(
        {"not.fully.paid": int}
    ).to_csv(tmp_path / "loan_data.csv", index=False)
    loan = load_loan_default(tmp_path)
    assert loan.X.shape == (60, 12)
    assert loan.y.sum() == 20
