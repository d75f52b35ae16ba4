"""Tables and figures of the image task, from runs of small images."""

import json

import numpy as np
import pytest
import torch
from paper.images import report, units
from paper.images.figures import as_comparison, write_figures
from paper.images.report import image_tables
from paper.images.runs import at_places, read_runs
from paper.images.source import Images
from paper.images.study_tables import adaptation_tables, tuning_tables
from paper.images.units import run_unit, unit_of
from paper.report import as_files, make_image_tables
from paper.store import RESULTS
from scipy.stats import t

from tests.paper.test_images import NETWORK, images

ROWS = ("naive", "over", "metabalance", "no-adaptation")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two runs of four rows, whose seconds and other numbers are made by real, short training."""
    folder = tmp_path_factory.mktemp("results")
    config = units.load_config("cifar10")
    config["cpu"] |= {"network": NETWORK, "rows": 200, "meta_steps": 1, "scores": 2}
    rows = units.load_config("rows")
    loaded = {"cifar10": config, "rows": rows}
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(units, "load_config", loaded.__getitem__)
        for row in ROWS:
            for seed in (0, 1):
                unit = unit_of("cifar10-cpu", "cpu", "severe", row, seed, rows[row])
                run_unit(
                    unit, Images(images(240, 0), images(60, 1)), folder, torch.device("cpu"), {"cpu": "one"}
                )
    torch.set_num_threads(threads)
    return folder


def cells(table, title):
    (row,) = (row for row in table.rows if row[0] == title)
    return dict(zip(table.heads, row, strict=True))


def test_a_row_of_table_3_is_what_its_runs_say(root, monkeypatch):
    monkeypatch.setattr(report, "OURS", "metabalance")
    (table,) = image_tables(root, "cpu")["table3"]
    assert "severe imbalance" in table.caption
    runs = [json.loads((root / f"cifar10-cpu/severe/over/{s}.json").read_text()) for s in (0, 1)]
    tests = np.array([run["curve"][-1]["test"] for run in runs])
    balanced = tests.mean(axis=1)
    error = balanced.std(ddof=1) / np.sqrt(2)
    found = cells(table, "Over-sampling")
    assert found["balanced accuracy"] == f"{100 * balanced.mean():.1f} ± {100 * error:.1f}"
    majority = [tests[0][0], tests[1][1]]  # the seed names the class
    assert found["majority"].startswith(f"{100 * np.mean(majority):.1f} ±")
    others = [tests[0][1:].mean(), tests[1][[0, 2]].mean()]
    assert found["others"].startswith(f"{100 * np.mean(others):.1f} ±")
    assert found["runs"] == "2"
    assert (found["at θ′"], cells(table, "MetaBalance (natural/over)")["ours − it, in s. e."]) == ("", "")
    ours = [json.loads((root / f"cifar10-cpu/severe/metabalance/{s}.json").read_text()) for s in (0, 1)]
    mine = np.array([np.mean(run["curve"][-1]["test"]) for run in ours])
    apart = (mine.mean() - balanced.mean()) / np.hypot(mine.std(ddof=1) / np.sqrt(2), error)
    assert found["ours − it, in s. e."] == f"{apart:+.1f}".replace("-", "−")


def test_table_8_and_section_6(root):
    tables = image_tables(root, "cpu")
    (errors,) = tables["table8"]
    (accuracies,) = tables["table3"]
    shown = cells(accuracies, "Naive")["balanced accuracy"].partition(" ± ")[2]
    assert float(cells(errors, "Naive")["balanced accuracy"]) == pytest.approx(float(shown), abs=0.051)
    strengths, matched, pairs = tables["section6"]
    assert cells(strengths, "Naive")["τ = 0"] == cells(accuracies, "Naive")["balanced accuracy"]
    assert cells(strengths, "Naive")["1"] == cells(accuracies, "Naive")["prior corrected"]
    runs = [json.loads((root / f"cifar10-cpu/severe/naive/{s}.json").read_text()) for s in (0, 1)]
    at_half = np.mean([r["curve"][-1]["others' test recall, by the majority's"]["0.5"] for r in runs])
    assert cells(matched, "Naive")["θ, 50 %"].startswith(f"{100 * at_half:.1f}")
    assert cells(matched, "Naive")["θ′, 50 %"] == ""
    assert cells(matched, "MetaBalance (natural/over)")["θ′, 50 %"] != ""
    assert [row[0] for row in pairs.rows] == [
        "γ = 0.01 at θ′ − no adaptation at θ with statistics anew",
        "no adaptation at θ, statistics anew − running ones",
    ]


def test_paired_differences_are_those_of_the_runs(root):
    pairs = image_tables(root, "cpu")["section6"][2]
    found = cells(pairs, "γ = 0.01 at θ′ − no adaptation at θ with statistics anew")
    differences = {"balanced accuracy": [], "at 70 %": []}
    for seed in (0, 1):
        last = {
            row: json.loads((root / f"cifar10-cpu/severe/{row}/{seed}.json").read_text())["curve"][-1]
            for row in ("metabalance", "no-adaptation")
        }
        there, here = last["metabalance"]["θ′ 0.01, as trained"], last["no-adaptation"]["θ, statistics anew"]
        differences["balanced accuracy"].append(np.mean(there["test"]) - np.mean(here["test"]))
        key = "others' test recall, by the majority's"
        differences["at 70 %"].append(there[key]["0.7"] - here[key]["0.7"])
    for head, values in differences.items():
        half = t.ppf(0.975, 1) * np.std(values, ddof=1) / np.sqrt(2)
        assert found[head] == f"{100 * np.mean(values):+.1f} ± {100 * half:.1f}".replace("-", "−")


def test_figures_are_made_of_one_majority_class(root, tmp_path):
    comparison = as_comparison(root, "cifar10-cpu", "severe", 1)
    assert comparison.classes == ("green", "blue", "red")
    assert comparison.class_counts == {"green": 80, "red": 5, "blue": 5}
    run = json.loads((root / "cifar10-cpu/severe/naive/1.json").read_text())
    shown = comparison.recall_frame.loc["naive"]
    np.testing.assert_allclose(shown[["red", "green", "blue"]], run["curve"][-1]["test"])
    (fold,) = (result for result in comparison.results if result.method == "naive")
    assert [point["train_majority_recall"] for point in fold.history] == [
        record["train"][1] for record in run["curve"]
    ]
    assert fold.history[-1]["valid_minority_recall"] == pytest.approx(
        np.mean(np.take(run["curve"][-1]["test"], [0, 2]))
    )
    written = write_figures(root, "cifar10-cpu", tmp_path)
    assert sorted(path.name for path in written) == [
        f"figure{n}-cifar10-cpu-severe.{ending}" for n in (1, 2) for ending in ("png", "svg")
    ]
    assert write_figures(tmp_path / "none", "cifar10-cpu", tmp_path) == []


def test_files_say_what_the_images_are(root, tmp_path):
    files = as_files(make_image_tables(root))
    assert "recompressed" in files["table3.md"]
    assert r"\begin{tabular}" in files["section6.tex"]
    assert as_files(make_image_tables(tmp_path)) == {}


def test_runs_that_are_not_whole_are_left_out_and_damaged_ones_named(root, tmp_path):
    source = root / "cifar10-cpu/severe/naive/0.json"
    target = tmp_path / "cifar10-cpu/severe/naive/0.json"
    target.parent.mkdir(parents=True)
    run = json.loads(source.read_text())
    for more in ({"unfinished": 7}, {"failure": "the loss is nan", "curve": []}):
        target.write_text(json.dumps(run | more))
        assert read_runs(tmp_path, "cifar10-cpu", "severe", "naive") == {}
    target.with_name("1.json").write_text(source.read_text())
    (table,) = image_tables(tmp_path, "cpu")["table3"]
    assert cells(table, "Naive")["runs"] == "1 (1 diverged)"
    target.write_text(json.dumps(run | {"curve": []}))
    with pytest.raises(ValueError, match=r"naive/0\.json is damaged .* delete it"):
        read_runs(tmp_path, "cifar10-cpu", "severe", "naive")
    places = at_places(read_runs(root, "cifar10-cpu", "severe", "metabalance"))
    assert set(places) == {
        f"{where}{more}"
        for where in ("θ", "θ, statistics anew", "θ′, running statistics", "θ′, as trained")
        for more in ("", ", prior corrected")
    }


def study_run(root, step, seed, theta, anew, there):
    """A run of the study with one accuracy for all classes at each place."""
    ways = {"θ′ 0, 1 steps, all rows, running, over": anew}
    ways |= {f"θ′ {step:g}, 1 steps, all rows, batch, over": there} if step else {}
    last = {"test": [theta] * 2, "test, prior corrected": [theta] * 2, "update": 1}
    last |= {way: {"test": [value] * 2, "test, prior corrected": [0.0] * 2} for way, value in ways.items()}
    last |= {"θ′ 9, 1 steps, all rows, batch, over": {"failure": "not finite"}}
    path = root / f"digits-study/severe/inner-lr-{step:g}/{seed}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"data": {"title": "digits", "majority": 0}, "curve": [last]}))


def test_differences_between_places_are_paired(tmp_path):
    assert adaptation_tables(tmp_path) == []
    for seed, level in enumerate((0.3, 0.5)):
        study_run(tmp_path, 0.0, seed, level, level + 0.1, None)
        study_run(tmp_path, 0.1, seed, level - 0.1, level, level + (0.2 if seed else 0.1))
    ways, differences = adaptation_tables(tmp_path)
    shown = {row[0]: row[1:] for row in ways.rows}
    assert shown["θ"] == ["40.0 ± 10.0 / 40.0 ± 10.0", "30.0 ± 10.0 / 30.0 ± 10.0"]
    assert shown["θ′ 9, 1 steps, all rows, batch, over"] == ["diverged", "diverged"]
    without, with_step = differences.rows
    assert without == ["0", "+10.0 ± 0.0 (2 of 2)", "", ""]
    # Of 0.1 and 0.2 the mean is 0.15 and the half-width t(0.975, 1) · 0.05; of 0 and 0.1 it is 0.05.
    half = f"{100 * 12.7062 * 0.05:.1f}"
    assert with_step == ["0.1", "+10.0 ± 0.0 (2 of 2)", f"+15.0 ± {half} (2 of 2)", f"+5.0 ± {half} (1 of 2)"]


def test_a_study_with_an_unfinished_step_shows_the_others(tmp_path):
    study_run(tmp_path, 0.1, 0, 0.1, 0.2, 0.3)
    path = tmp_path / "digits-study/severe/inner-lr-0/0.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"curve": [], "unfinished": 3}))
    ways, differences = adaptation_tables(tmp_path)
    assert ways.heads == ["way", "γ = 0.1"]
    assert differences.rows[0][3] == ""


def test_the_tuning_table_is_that_of_the_kept_runs(tmp_path):
    (table,) = tuning_tables(RESULTS)
    best = max(float(row[3].partition(" ")[0]) for row in table.rows if row[0] == "tuned-plain")
    shown = (RESULTS.parent / "FINDINGS.md").read_text(encoding="utf-8")
    assert f"| plain: under-sampling, mixup | {best:.1f} ±" in shown
    assert tuning_tables(tmp_path) == []
