"""The commands from end to end: what they print and write, and that it is what the library computes."""

import json
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits
from skorch.callbacks import Callback

import metabalance as mb
from metabalance.datasets import load_builtin
from metabalance.evaluation import Comparison
from metabalance.sampling import STRATEGIES
from metabalance.search.candidates import describe
from metabalance.training import MetaBalance, Saver
from metabalance.training.snapshots import take_snapshot

Run = Callable[..., Any]
EXECUTABLE = Path(sysconfig.get_path("scripts"), "metabalance")
QUICK = ("--epochs", 1, "--cv", 2, "--jobs", 1)


def test_compare_prints_the_leaderboard_and_writes_the_report(run: Run, files: Path, tmp_path: Path) -> None:
    report = tmp_path / "new" / "report"
    methods = "naive, smote,logistic-regression"
    result = run(
        "compare",
        files / "people.csv",
        "--target",
        "Klasse ä",
        "--methods",
        methods,
        "--report",
        report,
        *QUICK,
    )
    assert result.exit_code == 0
    assert "people.csv: 2 splits × 1 seed" in result.stdout
    assert "Naive network" in result.stdout
    assert "Logistic regression" in result.stdout
    assert "left out: smote: " in result.stdout
    assert f"written: {report / 'results.json'}, {report / 'report.html'}" in result.stdout
    assert result.stderr == ""

    comparison = Comparison.from_json(report / "results.json")
    assert comparison.class_counts == {"ok": 140, "fraud": 20}
    assert comparison.n_features == 5
    assert set(comparison.frame.index) == {"naive", "logistic-regression"}
    assert set(comparison.skipped) == {"smote"}
    page = (report / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "Naive network" in page


def test_every_format_gives_the_same_comparison(run: Run, files: Path) -> None:
    rows = set()
    for name in ("people.csv", "people.csv.gz", "people.tsv", "excel.csv", "people.parquet"):
        # The blank cities are missing values in text files and empty strings in Parquet.
        options = (
            "--target",
            "Klasse ä",
            "--drop",
            "id",
            "--drop",
            "city",
            "--methods",
            "logistic-regression",
        )
        result = run("compare", files / name, *options, *QUICK)
        assert result.exit_code == 0
        row = next(line for line in result.stdout.splitlines() if "Logistic regression" in line)
        rows.add(row.rsplit("│", maxsplit=2)[0])  # without the seconds
    assert len(rows) == 1
    assert "±" in rows.pop()


def test_options_reach_the_comparison(run: Run, tmp_path: Path) -> None:
    result = run(
        *("compare", "breast-cancer-rare", "--methods", "naive", "--cv", 3, "--seeds", 2, "--epochs", 1),
        *("--scoring", "balanced_accuracy", "--random-state", 7, "--jobs", 1, "--report", tmp_path),
    )
    assert "Breast cancer, 5 % malignant: 3 splits × 2 seeds" in result.stdout
    settings = json.loads((tmp_path / "results.json").read_text())["settings"]
    assert settings["scoring"] == "balanced_accuracy"
    assert settings["random_state"] == 7
    assert "epochs: 1 at most" in settings["budget"]


def test_warnings_of_the_fits_are_lines_of_their_own(run: Run, tmp_path: Path) -> None:
    rows = pd.DataFrame({"a": np.arange(40.0), "b": np.arange(40.0) % 7, "y": np.arange(40) < 8})
    rows.to_csv(tmp_path / "few.csv", index=False)
    result = run("compare", tmp_path / "few.csv", "--target", "y", "--methods", "smote", *QUICK)
    assert result.exit_code == 0
    lines = result.stderr.splitlines()
    assert lines
    assert all(line.startswith("warning: smote: ") for line in lines)


@pytest.mark.parametrize("name", ["scored.csv", "scored.csv.gz", "scored.parquet", "SCORED.CSV"])
def test_predict_keeps_the_columns_and_adds_the_librarys_probabilities(
    run: Run, people: pd.DataFrame, files: Path, model: Path, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "not there yet" / name
    result = run("predict", model, files / "people.parquet", "--out", path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"written: {path}, 160 rows: ")

    scored = pd.read_parquet(path) if name.endswith(".parquet") else pd.read_csv(path, keep_default_na=False)
    assert list(scored.columns) == [*people.columns, "prediction", "probability_fraud", "probability_ok"]
    assert scored["city"].tolist() == people["city"].tolist()

    table = mb.datasets.read_table(files / "people.parquet")
    features = table.drop(columns=["id", "Klasse ä"])
    # Trained on the CSV file, where a blank is a missing value.
    network = mb.MetaBalanceClassifier(max_epochs=2, random_state=0)
    network.fit(features.replace({"city": {"": np.nan}}), people["Klasse ä"])
    expected = network.predict_proba(features)
    np.testing.assert_allclose(scored[["probability_fraud", "probability_ok"]], expected, rtol=1e-5)
    assert scored["prediction"].tolist() == network.predict(features).tolist()


def test_predict_reads_categories_as_fit_did_whatever_else_is_in_the_file(run: Run, tmp_path: Path) -> None:
    """In a file with "01" and "TRUE" only, pandas would see numbers and booleans where fit saw text."""
    rng = np.random.default_rng(0)
    code, flag = rng.choice(["01", "02", "0A"], 200), rng.choice(["TRUE", "FALSE", "UNKNOWN"], 200)
    table = pd.DataFrame({"code": code, "flag": flag, "y": (code == "01") & (flag == "TRUE")})
    table.to_csv(tmp_path / "train.csv", index=False)
    fit = ("fit", tmp_path / "train.csv", "--target", "y", "--epochs", 3, "--out", tmp_path / "model")
    assert run(*fit).exit_code == 0
    likely = []
    for others in ([["02", "TRUE"]], [["0A", "UNKNOWN"]]):
        new = pd.DataFrame([["01", "TRUE"], *others], columns=["code", "flag"]).assign(id=["007", "008"])
        new.to_csv(tmp_path / "new.csv", index=False)
        result = run("predict", tmp_path / "model", tmp_path / "new.csv", "--out", tmp_path / "scored.csv")
        assert (result.exit_code, result.stderr) == (0, "")
        scored = pd.read_csv(tmp_path / "scored.csv", dtype=str)
        assert scored.loc[0, ["code", "flag", "id"]].tolist() == ["01", "TRUE", "007"]
        likely.append(scored.loc[0, "probability_True"])
    assert likely[0] == likely[1]


def test_predict_finds_columns_by_name(
    run: Run, people: pd.DataFrame, files: Path, model: Path, tmp_path: Path
) -> None:
    people[people.columns[::-1]].assign(more=1).to_csv(tmp_path / "shuffled.csv", index=False)
    probabilities = []
    for source in (files / "people.csv", tmp_path / "shuffled.csv"):
        assert run("predict", model, source, "--out", tmp_path / "scored.csv").exit_code == 0
        probabilities.append(pd.read_csv(tmp_path / "scored.csv")["probability_fraud"])
    np.testing.assert_array_equal(*probabilities)


def test_a_model_of_built_in_images_takes_columns_by_position(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "digits"
    result = run("fit", "digits-severe", "--sampler", "natural", "--epochs", 1, "--out", folder)
    assert result.exit_code == 0
    pixels = load_digits().data[:50]
    pd.DataFrame(pixels).add_prefix("pixel ").to_csv(tmp_path / "pixels.csv", index=False)
    result = run("predict", folder, tmp_path / "pixels.csv", "--out", tmp_path / "scored.csv")
    assert result.exit_code == 0
    expected = mb.NeuralClassifier.load(folder).predict_proba(pixels)
    scored = pd.read_csv(tmp_path / "scored.csv")
    np.testing.assert_allclose(scored[[f"probability_{digit}" for digit in range(10)]], expected, rtol=1e-6)

    scored.to_csv(tmp_path / "wide.csv", index=False)
    result = run("predict", folder, tmp_path / "wide.csv", "--out", tmp_path / "again.csv")
    assert result.exit_code == 2
    assert "64 columns without names, which are taken by position, but the data have 75" in result.stderr


@pytest.mark.parametrize(
    ("options", "estimator", "parameters"),
    [
        ([], "MetaBalanceClassifier", {"support_sampler": "natural", "query_sampler": "under"}),
        (
            ["--support", "under", "--query", "natural"],
            "MetaBalanceClassifier",
            {"support_sampler": "under", "query_sampler": "natural"},
        ),
        (["--sampler", "under", "--scoring", "f1_macro"], "NeuralClassifier", {"sampler": "under"}),
    ],
)
def test_fit_trains_what_was_asked_for(
    run: Run, tmp_path: Path, options: list[str], estimator: str, parameters: dict[str, str]
) -> None:
    result = run("fit", "breast-cancer-rare", "--epochs", 1, "--out", tmp_path / "model", *options)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "best epoch 1 of 1; on the held-out rows: " in result.stdout
    assert ("f1_macro" if "--scoring" in options else "refinement") in result.stdout
    saved = json.loads((tmp_path / "model" / "model.json").read_text())
    assert saved["estimator"] == estimator
    assert saved["parameters"].items() >= parameters.items()


def test_search_prints_the_best_and_writes_report_and_model(run: Run, tmp_path: Path) -> None:
    result = run(
        *("search", "breast-cancer-rare", "--support", "natural", "--query", "under", "--query", "over"),
        *("--inner-lr", 0.1, "--inner-lr", 1, "--scoring", "f1", "--random-state", 3, *QUICK),
        *("--report", tmp_path / "new" / "report", "--out", tmp_path / "model"),
    )
    assert (result.exit_code, result.stderr) == (0, "")
    assert "the best 4 of 4 candidates" in result.stdout
    search = mb.MSMetaBalanceClassifier(
        mb.MetaBalanceClassifier(max_epochs=1),
        support_samplers=["natural"],
        query_samplers=["under", "over"],
        param_grid={"inner_lr": [0.1, 1.0]},
        scoring="f1",
        cv=2,
        random_state=3,
    ).fit(*load_builtin("breast-cancer-rare").training_part())
    assert f"Chosen: {describe(search.best_params_)}. Its score is the highest" in result.stdout
    written = json.loads((tmp_path / "new" / "report" / "results.json").read_text())
    assert written["best_params"] == search.best_params_
    assert written["best_score"] == pytest.approx(search.best_score_)
    page = (tmp_path / "new" / "report" / "report.html").read_text(encoding="utf-8")
    assert describe(search.best_params_) in page
    X = load_builtin("breast-cancer-rare").X
    loaded = mb.MetaBalanceClassifier.load(tmp_path / "model")
    np.testing.assert_allclose(loaded.predict_proba(X), search.predict_proba(X), rtol=1e-6)


@pytest.mark.filterwarnings("default")  # printed, as they are for users
@pytest.mark.parametrize("epoch", [1, 2])
def test_a_search_whose_last_fit_is_broken_off_saves_what_is_trained(
    run: Run, files: Path, people: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: int
) -> None:
    class CtrlC(Callback):
        def on_batch_end(self, net: Any, **kwargs: Any) -> None:
            if len(net.history) == epoch:
                raise KeyboardInterrupt

    fit = mb.MetaBalanceClassifier.fit

    def broken_off(self: Any, X: Any, y: Any, balance_by: Any = None) -> Any:
        return fit(self.set_params(callbacks=[CtrlC()]) if len(X) == len(people) else self, X, y, balance_by)

    monkeypatch.setattr(mb.MetaBalanceClassifier, "fit", broken_off)
    model, report = tmp_path / "model", tmp_path / "report"
    result = run(
        *("search", files / "people.csv", "--target", "Klasse ä", "--support", "natural", "--query", "under"),
        *("--epochs", 3, "--cv", 2, "--jobs", 1, "--out", model, "--report", report),
    )
    assert f"warning: fit was broken off after {epoch - 1} finished epoch" in result.stderr
    assert "Chosen: natural/under." in result.stdout
    assert (report / "results.json").is_file()
    assert (report / "report.html").is_file()
    assert model.exists() == (epoch == 2)
    if epoch == 1:
        assert result.exit_code == 130
        assert result.stderr.splitlines()[-1] == (
            f"interrupted: the chosen network is not trained, and nothing was written to {model}"
        )
    else:
        assert result.exit_code == 130
        assert result.stderr.splitlines()[-1] == "interrupted: the model is that of the best epoch so far"
        assert "\ninterrupted; best epoch 1 of 1; on the held-out rows: " in result.stdout
        assert f"written: {model}, " in result.stdout


@pytest.mark.filterwarnings("default")  # printed, as they are for users
def test_a_fit_that_is_broken_off_does_not_pass_for_a_finished_one(run, files, tmp_path, monkeypatch) -> None:
    update = MetaBalance.backward

    def broken_off(self: Any, batch: Any) -> Any:
        loss = update(self, batch)
        left.pop()
        if not left:
            raise KeyboardInterrupt
        return loss

    left: list[None] = [None] * 60  # an epoch is 32 updates
    monkeypatch.setattr(MetaBalance, "backward", broken_off)
    options = (
        "--target",
        "Klasse ä",
        "--epochs",
        5,
        "--checkpoint",
        tmp_path / "run",
        "--out",
        tmp_path / "model",
    )
    result = run("fit", files / "people.csv", *options)
    assert result.exit_code == 130
    assert (tmp_path / "model").exists()
    so_far = "interrupted: the model is that of the best epoch so far"
    assert f"{so_far}; nothing was kept in {tmp_path / 'run'} yet" in result.stderr  # within a minute
    monkeypatch.setattr(Saver, "after_update", lambda self, loop: self._write(take_snapshot(loop, False)))
    left += [None] * 60
    result = run("fit", files / "people.csv", *options)
    assert result.exit_code == 130
    assert f"{so_far}; --resume goes on from what is kept in {tmp_path / 'run'}" in result.stderr


@pytest.mark.filterwarnings("default")  # printed, as they are for users
def test_search_leaves_out_what_cannot_work(run: Run, files: Path) -> None:
    options = ("--target", "Klasse ä", "--drop", "id", "--support", "natural", "--query", "smote")
    result = run("search", files / "people.csv", *options, "--query", "over", "--no-halving", *QUICK)
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: smote is left out of the search: smote makes rows between")
    assert result.stderr.count("\n") == 1
    assert "Chosen: natural/over." in result.stdout
    assert "written" not in result.stdout


def test_strategies_lists_them_all(run: Run) -> None:
    result = run("strategies")
    assert result.exit_code == 0
    assert all(f" {name} " in result.stdout for name in STRATEGIES)


def test_version_and_help(run: Run) -> None:
    assert run("--version").stdout == f"metabalance {mb.__version__}\n"
    assert "compare breast-cancer-rare" in run("--help").stdout
    for command in ("compare", "fit", "search", "predict"):
        result = run(command, "--help")
        assert result.exit_code == 0
        assert f"metabalance {command} " in result.stdout


def test_the_installed_command_shows_warnings_without_their_place(files: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [EXECUTABLE, "fit", "rownumbers.csv", "--target", "Klasse ä", "--epochs", "1", "--out", tmp_path],
        cwd=files,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0
    assert result.stderr.startswith("warning: rownumbers.csv: the first column has no name")
    assert result.stderr.count("\n") == 1
    assert len(list(tmp_path.glob("weights-*.safetensors"))) == 1


def test_the_installed_command_answers_a_mistake_with_one_line(files: Path) -> None:
    result = subprocess.run(
        [EXECUTABLE, "compare", "people.csv", "--target", "klasse"],
        cwd=files,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr == "error: the table has no column 'klasse': did you mean 'Klasse ä'?\n"


def test_compare_reports_and_balances_groups_of_columns(run: Run, files: Path, tmp_path: Path) -> None:
    by = ("--balance-by", "new", "--balance-by", "Klasse ä", "--report-by", "new", "--drop", "new")
    arguments = ("compare", files / "people.csv", "--target", "Klasse ä", "--methods", "over", *by, *QUICK)
    result = run(*arguments, "--report", tmp_path)
    assert result.exit_code == 0
    assert "Balanced accuracy of every group" in result.stdout
    comparison = Comparison.from_json(tmp_path / "results.json")
    assert comparison.n_features == 4
    assert list(comparison.group_frame()["mean"]) == ["False", "True"]
    frame = pd.read_csv(files / "people.csv")
    expected = mb.compare(
        frame.drop(columns=["Klasse ä", "new"]),
        frame["Klasse ä"],
        methods=["over"],
        cv=2,
        max_epochs=1,
        balance_by=frame[["new", "Klasse ä"]],
        report_by=frame["new"],
    )
    pd.testing.assert_frame_equal(comparison.group_frame(), expected.group_frame())


@pytest.mark.parametrize("command", ["fit", "search"])
def test_a_model_is_trained_on_balanced_groups(run: Run, files: Path, tmp_path: Path, command: str) -> None:
    few = ("--support", "natural", "--query", "over", "--epochs", 1)
    search = ("--cv", 2, "--jobs", 1, "--no-halving") if command == "search" else ()
    arguments = (files / "people.csv", "--target", "Klasse ä", "--drop", "id", *few, *search)
    models = {}
    for name, by in (("plain", ()), ("groups", ("--balance-by", "new"))):
        result = run(command, *arguments, *by, "--out", tmp_path / name)
        assert result.exit_code == 0
        models[name] = mb.MetaBalanceClassifier.load(tmp_path / name)
    frame = pd.read_csv(files / "people.csv").drop(columns="id")
    X, y = frame.drop(columns="Klasse ä"), frame["Klasse ä"]
    seed = models["groups"].random_state
    direct = mb.MetaBalanceClassifier(query_sampler="over", max_epochs=1, random_state=seed)
    direct.fit(X, y, balance_by=frame["new"])
    np.testing.assert_allclose(models["groups"].predict_proba(X), direct.predict_proba(X), rtol=1e-5)
    assert not np.allclose(models["plain"].predict_proba(X), direct.predict_proba(X), rtol=1e-3)
