"""Choosing the tuned rows, and the study of θ′: small images, small networks."""

import json
import sys

import pytest
import torch
from paper.images import study, tuning, units
from paper.images.places import best_place
from paper.store import RESULTS

from tests.paper.test_images import NETWORK, images


def call(module, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["command", "--jobs", "1", "--device", "cpu", *map(str, arguments)])
    threads = torch.get_num_threads()
    try:
        module.main()
    finally:
        torch.set_num_threads(threads)


@pytest.fixture
def small(monkeypatch):
    """Small data and a small scale; three settings, of which the best one is tried again."""
    sets = {"train": images(240, 0), "test": images(60, 1)}
    for module in (tuning, study):
        monkeypatch.setattr(module, "load_cifar10", lambda root, part: sets[part])
    loaded = {name: units.load_config(name) for name in ("cifar10", "rows", "tuning")}
    loaded["cifar10"]["cpu"] |= {"network": NETWORK, "rows": 320, "meta_steps": 1, "scores": 1}
    loaded["tuning"]["seeds"] = [1, 2]
    loaded["tuning"]["tuned-metabalance"] |= {"settings": 3, "kept": 1}
    for module in (units, tuning):
        monkeypatch.setattr(module, "load_config", loaded.__getitem__)


@pytest.mark.usefixtures("small")
def test_the_best_setting_of_the_first_class_is_tried_on_the_others(tmp_path, monkeypatch, capsys):
    arguments = ("--families", "tuned-metabalance", "--results", tmp_path)
    call(tuning, monkeypatch, *arguments)
    printed = capsys.readouterr().out
    assert "3 runs in" in printed
    assert "1 runs in" in printed
    folder = tmp_path / "cifar10-cpu-tuning/severe/tuned-metabalance"
    first = {path.parent.name: json.loads(path.read_text()) for path in folder.rglob("1.json")}
    assert len(first) == 3
    (again,) = folder.rglob("2.json")
    scores = {name: best_place([run])[0] for name, run in first.items()}
    assert scores[again.parent.name] == max(scores.values())
    both, place = best_place([first[again.parent.name], json.loads(again.read_text())])
    assert f"tuned-metabalance: {both:.4f} {place}: {again.parent.name}" in printed
    call(tuning, monkeypatch, *arguments)
    assert "0 runs in" in capsys.readouterr().out


def test_settings_are_drawn_from_all_lists_and_differ():
    family = {"kind": "plain", "lr": [0.1, 0.2], "mixing": ["", "mixup"]}
    settings = tuning.drawn_settings(family, 4)
    assert len(settings) == 4
    assert settings["lr=0.2,mixing=mixup"] == {"kind": "plain", "lr": 0.2, "mixing": "mixup"}
    assert "lr=0.1" in settings
    assert settings == tuning.drawn_settings(family, 4)
    with pytest.raises(ValueError, match="5 settings are wanted of a family that has 4"):
        tuning.drawn_settings(family, 5)


def test_the_best_place_is_the_best_on_average():
    def run(theta, corrected):
        return {"curve": [{"test": [theta, theta], "test, prior corrected": [corrected, 0.0]}]}

    assert best_place([run(0.3, 0.8), run(0.4, 0.2)]) == (pytest.approx(0.35), "θ")
    assert best_place([run(0.3, 0.8), run(0.3, 0.8)]) == (pytest.approx(0.4), "θ, prior corrected")
    diverged = run(0.9, 0.9) | {"failure": "the loss is nan"}
    assert best_place([run(0.4, 0.0), diverged]) == (pytest.approx(0.2), "θ")
    assert best_place([{"curve": [], "failure": "the loss is nan"}]) == (0.0, "θ")


@pytest.mark.usefixtures("small")
def test_the_study_scores_all_ways(tmp_path, monkeypatch):
    monkeypatch.setitem(study.INNER_LRS, "cifar10", (0.1,))
    monkeypatch.setitem(study.SEEDS, "cifar10", (1,))
    call(study, monkeypatch, "--tasks", "cifar10", "--results", tmp_path)
    (path,) = tmp_path.rglob("*.json")
    assert str(path.relative_to(tmp_path)) == "cifar10-cpu-study/severe/inner-lr-0.1/1.json"
    last = json.loads(path.read_text())["curve"][-1]
    assert set(study.STUDIED) < set(last)


def test_digits_are_halved():
    source = study.digits()
    train, test = source.train, source.test
    assert train.images.shape[1:] == (1, 8, 8)
    assert (len(train.y), len(test.y)) == (898, 899)
    assert train.images.max() == 255


def test_the_tuned_rows_are_the_best_of_the_committed_tuning():
    config, rows = units.load_config("tuning"), units.load_config("rows")
    for family, about in config.items():
        if not isinstance(about, dict):
            continue
        scores = {}
        for name, own in tuning.drawn_settings(about["recipe"], about["settings"]).items():
            paths = [
                units.unit_of("cifar10-cpu-tuning", "cpu", "severe", f"{family}/{name}", seed, own).path(
                    RESULTS
                )
                for seed in config["seeds"]
            ]
            assert paths[0].exists(), paths[0]
            if all(path.exists() for path in paths):
                scores[name] = (*best_place([json.loads(path.read_text()) for path in paths]), own)
        assert len(scores) == about["kept"]
        _, place, own = max(scores.values(), key=lambda found: found[0])
        chosen = units.unit_of("", "cpu", "severe", family, 0, rows[family])
        wanted = units.unit_of("", "cpu", "severe", family, 0, own)
        given = {key: value for key, value in wanted.recipe.items() if value != ""}
        assert dict(chosen.recipe) == given
        assert rows[family].get("place", "θ") == place
