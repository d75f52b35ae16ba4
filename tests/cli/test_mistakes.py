"""Every mistake gets one clear line and exit code 2, never a traceback."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
TARGET = ("--target", "Klasse ä")
SMALL = ("--cv", "2", "--epochs", "1", "--jobs", "1")


def assert_one_error(result: Any, fragment: str) -> None:
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    assert fragment in result.stderr


@pytest.mark.parametrize(
    ("data", "options", "fragment"),
    [
        ("nope.csv", TARGET, "nope.csv: no such file; check the name and the folder"),
        ("", TARGET, "is a folder of Parquet files, which only `fit` and `predict` read: give one file"),
        ("empty.csv", TARGET, "is empty"),
        ("header.csv", ("--target", "y"), "column names but no rows"),
        ("onerow.csv", ("--target", "y"), "every label in 'y' is 0: at least two classes are needed"),
        ("twice.csv", ("--target", "y"), "column names occur more than once: 'a'"),
        ("table.xlsx", ("--target", "y"), "unknown kind of file"),
        ("semicolons.csv", TARGET, "separated by semicolons, not by commas: save it with commas"),
        ("people.csv", (), "name the column to predict with --target; "),
        ("people.csv", ("--target", "Klasse"), "did you mean 'Klasse ä'?"),
        ("people.csv", ("--target", "zzz"), "no column 'zzz': it has 'id', 'amount'"),
        ("people.csv", (*TARGET, "--drop", "nope"), "--drop nope: "),
        ("people.csv", (*TARGET, "--drop", "Klasse ä"), "--drop Klasse ä: this is the target column"),
        ("people.csv", (*TARGET, "--balance-by", "nope"), "--balance-by nope: "),
        ("people.csv", (*TARGET, "--report-by", "nope"), "--report-by nope: "),
        ("people.csv", (*TARGET, "--balance-by", "amount"), "--balance-by holds fractions, such as"),
        ("people.csv", (*TARGET, "--report-by", "city"), "--report-by is missing (NaN) in "),
        ("targets.csv", ("--target", "price"), "'price' looks like a regression target"),
        ("targets.csv", ("--target", "same"), "every label in 'same' is 'x'"),
        ("targets.csv", ("--target", "income"), "labels in 'income' are missing, the first in row "),
        ("people.csv", (*TARGET, "--cv", "50"), "50"),
        ("lonely.csv", TARGET, "class 'fraud' has a single row"),
        ("people.csv", (*TARGET, "--methods", "naiv"), "no method 'naiv'; did you mean 'naive'?"),
        ("people.csv", (*TARGET, "--methods", "nope"), "no method 'nope'. Methods: naive, "),
        (
            "people.csv",
            (*TARGET, "--methods", "metabalance:foo/bar"),
            "metabalance:SUPPORT/QUERY with two of",
        ),
        ("people.csv", (*TARGET, "--methods", ","), "at least one method"),
        ("people.csv", (*TARGET, "--methods", "naive,naive"), "listed more than once: naive"),
        ("people.csv", (*TARGET, *SMALL, "--methods", "smote"), "which means nothing for categories"),
        ("people.csv", (*TARGET, *SMALL, "--methods", "naive", "--scoring", "nope"), "'nope'"),
        ("infinite.csv", (*TARGET, *SMALL, "--methods", "naive"), "infinity or a value too large"),
        ("dates.parquet", (*TARGET, *SMALL, "--methods", "naive"), "column 'day' has dtype datetime64"),
    ],
)
def test_compare(run: Run, files: Path, data: str, options: tuple[str, ...], fragment: str) -> None:
    assert_one_error(run("compare", files / data, *options), fragment)


@pytest.mark.parametrize(
    ("options", "fragment"),
    [
        (("--query", "smot"), "did you mean 'smote'"),
        (("--query", "over", "--query", "over"), "query_samplers lists over more than once"),
        (("--scoring", "nope"), "'nope' is no scikit-learn scorer"),
        (("--cv", "50"), "at most the 20 rows of the rarest class 'fraud'"),
        (("--report", "people.csv"), "--report people.csv: "),
        (("--out", "people.csv"), "--out people.csv: "),
    ],
    ids=str,
)
def test_search(run: Run, files: Path, monkeypatch, options: tuple[str, ...], fragment: str) -> None:
    monkeypatch.chdir(files)
    assert_one_error(run("search", "people.csv", *TARGET, *SMALL, *options), fragment)


@pytest.mark.parametrize(
    ("data", "options", "fragment"),
    [
        (
            "digits-sever",
            (),
            "a folder of images nor a built-in data set; did you mean 'digits-severe'?",
        ),
        (
            "nope",
            (),
            "a folder of images nor a built-in data set; built in are: digits-severe, breast-cancer-rare",
        ),
        ("digits-severe", ("--target", "y"), "knows its target: leave out --target and --drop"),
    ],
)
def test_built_in_names(run: Run, data: str, options: tuple[str, ...], fragment: str) -> None:
    assert_one_error(run("compare", data, *options), fragment)


@pytest.mark.parametrize(
    ("data", "options", "fragment"),
    [
        ("people.csv", ("--sampler", "nope"), "unknown sampling strategy 'nope'"),
        ("people.csv", ("--support", "nope"), "unknown sampling strategy 'nope'"),
        ("people.csv", ("--query", "smote"), "which means nothing for categories"),
        ("people.csv", ("--sampler", "over", "--query", "under"), "leave out --support, --query and"),
        ("people.csv", ("--sampler", "over", "--meta-steps", 2), "and --meta-steps"),
        ("people.csv", ("--scoring", "nope"), "'nope'"),
        ("lonely.csv", (), "has a single row"),
        ("infinite.csv", (), "infinity or a value too large"),
    ],
)
def test_fit_leaves_no_folder_behind(
    run: Run, files: Path, tmp_path: Path, data: str, options: tuple[str, ...], fragment: str
) -> None:
    out = tmp_path / "model"
    assert_one_error(run("fit", files / data, *TARGET, "--out", out, *options), fragment)
    assert not out.exists()


def test_results_that_have_nowhere_to_go_are_refused_before_training(run: Run, files: Path) -> None:
    in_the_way = files / "people.csv"
    for path in (in_the_way, in_the_way / "deeper" / "still"):
        message = f"{path}: {in_the_way} is a file, not a folder"
        # The data do not exist either, which would be found later.
        assert_one_error(run("compare", "nope.csv", "--report", path), f"--report {message}")
        assert_one_error(run("fit", "nope.csv", "--out", path), f"--out {message}")


def test_folders_in_the_way_of_results_are_refused_before_training(run: Run, tmp_path: Path) -> None:
    for name in ("report.html", "model.json", "search.json"):
        (tmp_path / name).mkdir()
    message = "is a folder, where a file of this name is to be written"
    for command in ("compare", "search"):
        assert_one_error(run(command, "nope.csv", "--report", tmp_path), f"report.html {message}")
    assert_one_error(run("fit", "nope.csv", "--out", tmp_path), f"model.json {message}")
    (tmp_path / "model.json").rmdir()
    assert_one_error(run("search", "nope.csv", "--out", tmp_path), f"search.json {message}")


@pytest.mark.parametrize(
    ("data", "out", "fragment"),
    [
        ("lacking.csv", "scored.csv", "lack 2 of the 4 columns the model was trained on: 'city', 'new'"),
        ("predicted.csv", "scored.csv", "already have a column 'prediction'"),
        ("infinite.csv", "scored.csv", "infinity or a value too large for float32 in column 'amount'"),
        ("nope.csv", "scored.csv", "nope.csv: no such file"),
        ("people.csv", "scored.xlsx", "unknown kind of file to write; end it in .csv, .csv.gz, .parquet"),
        ("people.csv", "people.csv", "is the file that is read: choose another name"),
        ("people.csv", "empty.csv/scored.csv", "empty.csv is a file, not a folder"),
    ],
)
def test_predict(run: Run, files: Path, model: Path, data: str, out: str, fragment: str) -> None:
    before = (files / "people.csv").read_bytes()
    assert_one_error(run("predict", model, files / data, "--out", files / out), fragment)
    assert not (files / "scored.csv").exists()
    assert (files / "people.csv").read_bytes() == before


def cut_weights(model: Path) -> None:
    (path,) = model.glob("weights-*")
    path.write_bytes(path.read_bytes()[:100])


def remove_classes(model: Path) -> None:
    path = model / "model.json"
    description = json.loads(path.read_text())
    del description["classes"]
    path.write_text(json.dumps(description))


@pytest.mark.parametrize(
    ("damage", "fragment"),
    [
        (lambda model: (model / "model.json").unlink(), "there is no saved model in"),
        (lambda model: (model / "model.json").write_text("{"), "not valid JSON"),
        (lambda model: (model / "model.json").write_text("[]"), "does not describe a metabalance model"),
        (lambda model: next(model.glob("weights-*")).unlink(), "is missing or damaged"),
        (cut_weights, "is damaged: it is not what was saved"),
        (remove_classes, "is damaged: it is not what was written; save the model again"),
    ],
)
def test_predict_with_a_damaged_model(
    run: Run, files: Path, model: Path, tmp_path: Path, damage: Callable[[Path], None], fragment: str
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(model, damaged)
    damage(damaged)
    result = run("predict", damaged, files / "people.csv", "--out", tmp_path / "scored.csv")
    assert_one_error(result, fragment)


@pytest.mark.parametrize(
    "arguments",
    [
        ("nope",),
        ("compare",),
        ("fit", "people.csv"),
        ("predict", "model"),
        ("compare", "people.csv", "--cv", "1"),
        ("compare", "people.csv", "--cv", "five"),
        ("compare", "people.csv", "--seeds", "0"),
        ("compare", "people.csv", "--epochs", "0"),
        ("compare", "people.csv", "--jobs", "0"),
        ("compare", "people.csv", "--random-state", "-1"),
        ("fit", "people.csv", "--out", "model", "--epochs", "0"),
        ("fit", "people.csv", "--out"),
        ("strategies", "--all"),
    ],
)
def test_usage_errors_point_to_the_help(run: Run, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Error" in result.stderr
    assert "Traceback" not in result.stderr
