"""Tables that are read from disk, on the command line."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metabalance import MetaBalanceClassifier

TARGET = ("--target", "Klasse ä")


@pytest.fixture(scope="module")
def parts(people: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large") / "parts"
    folder.mkdir()
    for number in range(4):
        piece = people.iloc[40 * number : 40 * number + 40].assign(
            id=lambda frame: frame["id"].astype("int32")
        )
        piece.to_parquet(folder / f"{number}.parquet")
    return folder


@pytest.mark.parametrize("name", ["people.csv", "people.parquet", None])
def test_fit_and_predict_from_disk(run, files, parts, people, tmp_path: Path, name: str | None) -> None:
    data = parts if name is None else files / name
    options = (
        *TARGET,
        "--drop",
        "id",
        "--epochs",
        2,
        "--store",
        tmp_path / "stores",
        "--out",
        tmp_path / "model",
    )
    fitted = run("fit", data, *options)
    assert fitted.exit_code == 0, fitted.stderr
    assert "written:" in fitted.stdout
    found = run("predict", tmp_path / "model", data, "--out", tmp_path / "scored.csv")
    assert found.exit_code == 0, found.stderr
    assert "160 rows:" in found.stdout
    scored = pd.read_csv(tmp_path / "scored.csv", keep_default_na=False)
    model = MetaBalanceClassifier.load(tmp_path / "model")
    rows = people[["amount", "city", "new", "income"]]
    if name == "people.csv":  # where a blank text is a missing one
        rows = rows.assign(city=rows["city"].replace("", None))
    assert scored["id"].tolist() == people["id"].tolist()
    assert scored["prediction"].tolist() == model.predict(rows).tolist()
    np.testing.assert_allclose(scored["probability_fraud"], model.predict_proba(rows)[:, 0], rtol=1e-6)


@pytest.mark.parametrize("name", ["scored.parquet", "scored.csv.gz"])
def test_pieces_are_written_as_they_are_read(run, model, parts, people, tmp_path, name, monkeypatch) -> None:
    monkeypatch.setattr("metabalance.large.scoring.BATCH_ROWS", 7)
    result = run("predict", model, parts, "--out", tmp_path / "new" / name)
    assert result.exit_code == 0, result.stderr
    path = tmp_path / "new" / name
    scored = pd.read_parquet(path) if name.endswith("parquet") else pd.read_csv(path, keep_default_na=False)
    assert [*people.columns, "prediction", "probability_fraud", "probability_ok"] == list(scored.columns)
    assert scored["id"].tolist() == people["id"].tolist()
    if name.endswith("parquet"):
        assert scored["id"].dtype == np.int32  # as it was
    expected = MetaBalanceClassifier.load(model).predict(people[["amount", "city", "new", "income"]])
    assert scored["prediction"].tolist() == expected.tolist()
    assert [file.name for file in path.parent.iterdir()] == [name]  # nothing unfinished


def test_what_was_there_stays_where_rows_cannot_be_scored(run, model, parts, people, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    people.to_parquet(folder / "a.parquet")
    people.assign(income=np.inf).to_parquet(folder / "b.parquet")
    out = tmp_path / "scored.parquet"
    out.write_text("known")
    result = run("predict", model, folder, "--out", out)
    assert result.exit_code == 2
    assert "infinity" in result.stderr
    assert out.read_text() == "known"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["parts", "scored.parquet"]


@pytest.mark.parametrize(
    ("data", "options", "fragment"),
    [
        ("people.csv", ("--store", "s"), "name the column to predict with --target"),
        ("people.csv", (*TARGET, "--store", "s", "--image-size", 8), "--image-size is for folders of images"),
        ("people.csv", (*TARGET, "--store", "s", "--balance-by", "new"), "--balance-by needs rows in memory"),
        (
            "people.csv",
            (*TARGET, "--store", "s", "--drop", "age"),
            "drop='age': the table has no such column",
        ),
        ("people.csv", (*TARGET, "--store", "s", "--query", "smote"), "means nothing for categories"),
        ("people.csv", (*TARGET, "--store", "FILE"), "is a file, not a folder; choose another path"),
        ("none.csv", (*TARGET, "--store", "s"), "none.csv: no such file"),
        ("infinite.csv", (*TARGET, "--store", "s"), "too large for float32 in column 'amount'"),
        ("dates.parquet", (*TARGET, "--store", "s"), "column 'day' has dtype timestamp"),
        ("table.xlsx", (*TARGET, "--store", "s"), "unknown kind of file"),
        ("twice.csv", ("--target", "y", "--store", "s"), "column names occur more than once: 'a'"),
        ("header.csv", ("--target", "y", "--store", "s"), "the table has no rows"),
        ("digits-severe", ("--store", "s"), "is built in and fits in memory: leave out --store"),
    ],
)
def test_mistakes(run, files, tmp_path: Path, monkeypatch, data: str, options, fragment: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").touch()
    source = data if data == "digits-severe" else files / data
    result = run("fit", source, *options, "--epochs", 1, "--out", "model")
    assert result.exit_code == 2
    assert fragment in result.stderr
    assert result.stderr.count("error:") == 1
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "model").exists()


def test_a_table_without_its_files(run, model, tmp_path: Path) -> None:
    result = run("predict", model, tmp_path, "--out", tmp_path / "scored.csv")
    assert result.exit_code == 2
    assert "is a folder without Parquet files" in result.stderr


def test_predictions_do_not_become_a_part_of_the_table(run, model, parts) -> None:
    result = run("predict", model, parts, "--out", parts / "scored.parquet")
    assert result.exit_code == 2
    assert "would be a part of the table" in result.stderr
    assert len(list(parts.iterdir())) == 4


@pytest.mark.parametrize("name", ["scored.parquet", "scored.csv"])
def test_parts_without_rows_and_gaps_in_whole_numbers(run, model, people, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    frame = people.assign(id=pd.array(people["id"] + 10**16, dtype="Int64"))
    frame.iloc[:0].to_parquet(folder / "0.parquet")
    frame.iloc[:80].to_parquet(folder / "1.parquet")
    frame.iloc[80:].assign(id=lambda part: part["id"].where(part["id"] % 7 > 0)).to_parquet(
        folder / "2.parquet"
    )
    result = run("predict", model, folder, "--out", tmp_path / name)
    assert result.exit_code == 0, result.stderr
    path = tmp_path / name
    if name.endswith("parquet"):
        scored = pd.read_parquet(path, dtype_backend="numpy_nullable")
    else:
        scored = pd.read_csv(path, dtype={"id": "Int64"})
    assert scored["id"].dropna().tolist()[:3] == [10**16, 10**16 + 1, 10**16 + 2]
    assert len(scored) == 160
    for part in (folder / "1.parquet", folder / "2.parquet"):
        part.unlink()
    empty = run("predict", model, folder, "--out", tmp_path / "none.csv")
    assert empty.exit_code == 0, empty.stderr
    assert "0 rows" in empty.stdout


def test_a_forgotten_target_is_asked_for(run, parts) -> None:
    result = run("fit", parts, "--out", "model")
    assert result.exit_code == 2
    assert "is a folder of Parquet files: name the column to predict with --target" in result.stderr


def test_a_file_without_a_column_is_not_scored_as_if_it_were_missing(
    run, model, people, tmp_path: Path
) -> None:
    (tmp_path / "parts").mkdir()
    people.to_parquet(tmp_path / "parts" / "a.parquet")
    people.drop(columns="income").to_parquet(tmp_path / "parts" / "b.parquet")
    result = run("predict", model, tmp_path / "parts", "--out", tmp_path / "scored.csv")
    assert result.exit_code == 2
    assert "b.parquet has no column 'income', which other files have" in result.stderr
