from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from sklearn.base import clone

from metabalance import (
    LargeTable,
    MetaBalanceClassifier,
    MetaWeightNetClassifier,
    MSMetaBalanceClassifier,
    NeuralClassifier,
    compare,
)
from metabalance.training import Saver, rules
from tests.estimators.test_checkpoints import fit_until


@pytest.fixture(scope="module")
def rows() -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(900, 3)), columns=["a", "b", "c"])
    X["city"] = rng.choice(["Bern", "Rome", "Oslo"], 900)
    X.loc[rng.random(900) < 0.05, "b"] = np.nan
    y = np.where(X["a"] + (X["city"] == "Rome") + 0.5 * rng.normal(size=900) > 2.2, "late", "fine")
    return X, y.astype(object)


@pytest.fixture
def file(rows, tmp_path: Path) -> Path:
    X, y = rows
    X.assign(state=y).to_parquet(tmp_path / "rows.parquet", row_group_size=200)
    return tmp_path / "rows.parquet"


def table(file: Path, **options) -> LargeTable:
    return LargeTable(file, store=file.parent / "stores", **options)


@pytest.mark.parametrize(
    "estimator",
    [
        MetaBalanceClassifier(max_epochs=3, early_stopping=False, random_state=0),
        NeuralClassifier(sampler="enn", max_epochs=2, early_stopping=False, random_state=0),
        NeuralClassifier(
            class_weight="balanced", loss="focal", max_epochs=2, early_stopping=False, random_state=0
        ),
        MetaWeightNetClassifier(max_epochs=2, early_stopping=False, random_state=0),
    ],
    ids=["metabalance", "enn", "weights", "meta-weight-net"],
)
def test_without_rows_held_out_it_is_the_fit_in_memory_to_the_last_digit(estimator, rows, file) -> None:
    X, y = rows
    stored = clone(estimator).fit(table(file), "state")
    memory = clone(estimator).fit(X, y)
    assert (stored.predict_proba(X) == memory.predict_proba(X)).all()
    assert stored.classes_.tolist() == memory.classes_.tolist() == ["fine", "late"]


def test_adapted_parameters_are_those_in_memory_up_to_rounding(rows, file) -> None:
    options = {"max_epochs": 2, "early_stopping": False, "random_state": 1}
    net = MetaBalanceClassifier(query_sampler="over", predict_with="adapted", **options)
    found = net.fit(table(file), "state").predict_proba(rows[0])
    np.testing.assert_allclose(found, net.fit(*rows).predict_proba(rows[0]), rtol=1e-4)


def test_a_fit_with_rows_held_out(rows, file, tmp_path: Path) -> None:
    X, y = rows
    net = MetaBalanceClassifier(max_epochs=20, random_state=0).fit(table(file), "state")
    assert net.classes_.dtype == object
    assert net.calibrations_["meta"] is not None
    assert "valid_score" in net.history_[-1]
    assert (net.predict(X) == y).mean() > 0.85
    net.save(tmp_path / "model")
    assert (MetaBalanceClassifier.load(tmp_path / "model").predict_proba(X) == net.predict_proba(X)).all()
    again = MetaBalanceClassifier(max_epochs=20, random_state=0).fit(table(file), "state")
    assert (again.predict_proba(X) == net.predict_proba(X)).all()
    other = MetaBalanceClassifier(max_epochs=20, random_state=1).fit(table(file), "state")
    assert (other.predict_proba(X) != net.predict_proba(X)).any()


def test_refit_takes_all_rows(rows, file) -> None:
    net = NeuralClassifier(max_epochs=3, refit=True, random_state=0).fit(table(file), "state")
    assert net.predict_proba(rows[0]).shape == (900, 2)


def test_a_path_a_folder_a_data_set_and_a_text_file_are_one_table(rows, file, monkeypatch) -> None:
    X, y = rows
    monkeypatch.setenv("METABALANCE_STORE", str(file.parent / "stores"))
    parts = file.parent / "parts"
    parts.mkdir()
    for number in range(3):
        part = slice(300 * number, 300 * number + 300)
        X[part].assign(state=y[part]).to_parquet(parts / f"{number}.parquet")
    X.assign(state=y).to_csv(file.parent / "rows.csv", index=False)
    sources = [file, str(file), parts, pads.dataset(parts, format="parquet"), str(file.parent / "rows.csv")]
    nets = [NeuralClassifier(max_epochs=2, random_state=0).fit(source, "state") for source in sources]
    first = nets[0].predict_proba(X)
    for net in nets[1:]:
        np.testing.assert_allclose(net.predict_proba(X), first, rtol=1e-5)


def test_a_module_of_the_users_own(rows, file) -> None:
    from torch import nn

    module = nn.Sequential(nn.Linear(7, 8), nn.ReLU(), nn.Linear(8, 2))
    net = NeuralClassifier(module=module, max_epochs=2)
    net.set_params(random_state=0).fit(table(file), "state")
    assert net.predict_proba(rows[0]).shape == (900, 2)


def test_dropped_columns(file) -> None:
    net = NeuralClassifier(max_epochs=1, random_state=0).fit(table(file, drop=["city", "b"]), "state")
    assert net.feature_names_in_.tolist() == ["a", "c"]


def test_checkpoints(rows, file, tmp_path: Path, monkeypatch) -> None:
    X, _ = rows
    options = {"checkpoint": tmp_path / "run"}
    first = NeuralClassifier(max_epochs=3, random_state=0).fit(table(file), "state")
    again = NeuralClassifier(max_epochs=3, random_state=0)
    fit_until(40, monkeypatch, again, table(file), "state", tmp_path / "run")
    again.fit(table(file), "state", **options, resume=True)
    assert (again.predict_proba(X) == first.predict_proba(X)).all()
    monkeypatch.setattr(Saver, "after_update", lambda self, loop: pytest.fail("trained again"))
    again.fit(table(file), "state", **options, resume=True)
    with pytest.raises(ValueError, match=r"data"):
        again.fit(table(file, drop=["c"]), "state", **options, resume=True)


def test_strategies_that_look_at_the_rows_need_room(file) -> None:
    few = table(file, memory_budget=1000)
    with pytest.raises(
        ValueError, match=r"svmsmote looks at all .* raise memory_budget \(of metabalance.LargeT"
    ):
        NeuralClassifier(sampler="svmsmote", random_state=0).fit(few, "state")
    assert not list((file.parent / "stores").glob("*/*"))  # before anything is written
    enough = table(file, memory_budget=4 * 900 * 10)  # for the rows, but not for those that are made of them
    with pytest.raises(ValueError, match=r"smote looks at all .* take up to"):
        NeuralClassifier(sampler="smote", random_state=0).fit(enough, "state")


@pytest.mark.parametrize(
    ("X", "y", "error", "message"),
    [
        ("none.parquet", "y", FileNotFoundError, r"none.parquet: no such file or folder"),
        ("none.csv", "y", FileNotFoundError, r"none.csv: no such file"),
        (__file__, "y", ValueError, r"unknown kind of file; give one that ends in .parquet, .pq, .csv.gz"),
        ("none.parquet", [0, 1], TypeError, r"y must be the name of the column to predict, .* got list"),
    ],
)
def test_what_is_no_table(X, y, error, message, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("METABALANCE_STORE", str(tmp_path))
    with pytest.raises(error, match=message):
        NeuralClassifier().fit(X, y)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"source": [[1.0]]}, TypeError, r"source must be a path or a pyarrow.dataset.Dataset"),
        ({"source": "a.parquet", "drop": [3]}, TypeError, r"drop must be a list of column names, got \[3\]"),
        ({"source": ""}, ValueError, r"source is an empty text"),
        ({"source": "a.parquet", "drop": iter(["a"])}, TypeError, r"drop must be a list of column names"),
        ({"source": "a.parquet", "drop": None}, TypeError, r"drop must be a list of column names, got None"),
        ({"source": "a.parquet", "store": 5}, TypeError, r"store must be a folder or None, got 5"),
        ({"source": "a.parquet", "drop": "id"}, TypeError, r"drop must be a list .* write \['id'\]"),
        (
            {"source": "a.parquet", "memory_budget": -1},
            ValueError,
            r"memory_budget must be a number of bytes",
        ),
        ({"source": "a.parquet", "memory_budget": "1GB"}, ValueError, r"memory_budget must be"),
    ],
)
def test_parameters_that_cannot_be_used(options, error, message: str) -> None:
    with pytest.raises(error, match=message):
        LargeTable(**options)


@pytest.mark.parametrize("named", ["rows.parquet", Path("rows.parquet"), LargeTable("rows.parquet")])
def test_only_fit_takes_a_table_in_files(named, file) -> None:
    net = NeuralClassifier(max_epochs=1, random_state=0).fit(table(file, drop=["city"]), "state")
    for call in (
        lambda: net.predict_proba(named),
        lambda: net.score(named, ["fine", "late"]),
        lambda: compare(named, ["fine", "late"]),
        lambda: MSMetaBalanceClassifier().fit(named, ["fine", "late"]),
    ):
        with pytest.raises(TypeError, match=r"X must be a table .* only the fit of a network"):
            call()


def test_adapted_parameters_take_some_of_the_rows(file, rows, monkeypatch) -> None:
    net = MetaBalanceClassifier(predict_with="adapted", max_epochs=1, early_stopping=False, random_state=0)
    whole = clone(net).fit(table(file), "state").predict_proba(rows[0])
    monkeypatch.setattr(rules, "MOST_ADAPTED_ROWS", 50)
    assert (clone(net).fit(table(file), "state").predict_proba(rows[0]) != whole).any()
    memory = clone(net).fit(*rows).predict_proba(rows[0])  # where all rows count, whatever is said of files
    np.testing.assert_allclose(memory, whole, rtol=1e-4)


def test_the_name_of_a_column_goes_with_a_table_in_files(rows) -> None:
    with pytest.raises(TypeError, match=r"y='state' names a column, but X is no table in files"):
        NeuralClassifier().fit(rows[0], "state")


def test_half_floats_and_decimals(tmp_path: Path) -> None:
    labels = pa.array([Decimal(number % 2) for number in range(60)], pa.decimal128(3, 0))
    halves = pa.array(np.arange(60, dtype=np.float16))
    pq.write_table(pa.table({"a": halves, "y": halves, "z": labels}), tmp_path / "rows.parquet")
    net = NeuralClassifier(max_epochs=1, random_state=0, early_stopping=False)
    net.fit(LargeTable(tmp_path / "rows.parquet", drop=["z"], store=tmp_path), "y")
    assert net.classes_.tolist() == list(range(60))
    with pytest.raises(ValueError, match=r"'z', the column to predict: Unknown label type"):
        net.fit(LargeTable(tmp_path / "rows.parquet", store=tmp_path), "z")


def test_groups_need_rows_in_memory(file) -> None:
    with pytest.raises(ValueError, match=r"balance_by needs rows in memory"):
        NeuralClassifier().fit(table(file), "state", balance_by=["a"])


def test_where_stores_are(file, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.delenv("METABALANCE_STORE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    NeuralClassifier(max_epochs=1, random_state=0).fit(file, "state")
    assert len(list((tmp_path / "cache" / "metabalance").iterdir())) == 1


def test_a_class_with_one_row(file, rows, tmp_path: Path) -> None:
    X, y = rows
    X.assign(state=np.where(np.arange(900) == 5, "lost", y)).to_parquet(tmp_path / "one.parquet")
    with pytest.raises(ValueError, match=r"class 'lost' has a single row"):
        NeuralClassifier().fit(LargeTable(tmp_path / "one.parquet", store=tmp_path), "state")
