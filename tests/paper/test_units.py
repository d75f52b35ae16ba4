"""From a method's name to kept runs: every kind, on a small task."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from paper.methods import Method, resolve
from paper.protocols import make_split
from paper.store import path_of
from paper.units import loss_for, missing_units, needed, run_unit

from metabalance.datasets import Dataset
from paper import plain
from tests.paper.conftest import rows_of

ENVIRONMENT = {"python": "3"}
SHORT = {"epochs": 2, "meta_steps": 2}
NETWORK = {"hidden_sizes": [5], "dropout": 0.5}


def dataset(n=240):
    X, y = rows_of(n)
    return Dataset("loan", f"{n} loans", pd.DataFrame(X).add_prefix("x"), y, None, "made up")


@pytest.fixture(autouse=True)
def _not_compiled(monkeypatch):
    monkeypatch.setattr(plain.torch, "compile", lambda function, **options: function)


def units(root, names, protocol="sound", runs=2, data=None):
    data = {"loan": dataset()} if data is None else data
    return missing_units(names, data, [protocol], runs, root, root / "pools", "vectorized")


def shortened(unit):
    recipe = {**unit.method.recipe, **{k: v for k, v in SHORT.items() if k in unit.method.recipe}}
    return replace(unit, method=Method(unit.method.name, unit.method.kind, recipe, NETWORK))


@pytest.mark.parametrize("protocol", ["paper", "released", "sound"])
@pytest.mark.parametrize(
    "name", ["smote", "class-balanced", "grid/natural-under", "meta-weight-net", "lightgbm"]
)
def test_every_kind_of_method_is_run_and_kept(tmp_path, protocol, name):
    (unit,) = units(tmp_path, [name], protocol)
    run_unit(shortened(unit), dataset(), ENVIRONMENT)
    for seed in (0, 1):
        run = json.loads(path_of(tmp_path, "loan", protocol, name, seed).read_text())
        assert (run["method"], run["protocol"], run["seed"]) == (name, protocol, seed)
        assert run["data"] == {"title": "240 loans", "rows": 240, "positives": 40}
        assert set(run["scores"]) == ({"meta", "adapted"} if name.startswith("grid") else {"plain"})
        for scores in run["scores"].values():
            assert scores["test_auc"] > 0.4  # hardly trained, under "released" with dropout
            assert ("valid_auc" in scores) == (protocol == "sound")
            assert scores["epochs"] == (1 if name == "lightgbm" else 2)
        assert run["environment"] == ENVIRONMENT


def test_dropout_is_on_while_scoring_under_released_only(tmp_path):
    scores = {}
    for protocol in ("paper", "released"):
        for dropout in (0.0, 0.5):
            root = tmp_path / f"{dropout}"
            (unit,) = units(root, ["naive"], protocol, runs=1)
            recipe = {**unit.method.recipe, "epochs": 1, "lr": 0.0}  # the weights stay what they are
            method = Method("naive", "plain", recipe, {**NETWORK, "dropout": dropout})
            run_unit(replace(unit, method=method), dataset(), ENVIRONMENT)
            run = json.loads(path_of(root, "loan", protocol, "naive", 0).read_text())
            scores[protocol, dropout] = run["scores"]["plain"]["test_auc"]
    assert scores["paper", 0.0] == scores["paper", 0.5]
    assert scores["released", 0.0] != scores["released", 0.5]


def test_a_run_that_diverges_is_kept_as_such_and_the_others_go_on(tmp_path):
    names = ["naive", "grid/natural-under"]
    for unit in units(tmp_path, names):
        unit = shortened(unit)
        recipe = {**unit.method.recipe, "lr": 1e30, "optimizer": "sgd"}
        run_unit(replace(unit, method=replace(unit.method, recipe=recipe)), dataset(), ENVIRONMENT)
    for name in names:
        run = json.loads(path_of(tmp_path, "loan", "sound", name, 0).read_text())
        assert run["scores"] == {}
        assert run["failure"]


def test_runs_that_are_done_are_not_repeated(tmp_path):
    names = needed("table1", ["under", "naive"])
    assert [unit.seeds for unit in units(tmp_path, names)] == [(0, 1), (0, 1)]
    method = resolve("under", "loan", "sound")
    keep(tmp_path, method, 0)
    left = {unit.method.name: unit.seeds for unit in units(tmp_path, names)}
    assert left == {"under": (1,), "naive": (0, 1)}
    keep(tmp_path, method, 1)
    assert [unit.method.name for unit in units(tmp_path, names)] == ["naive"]


def keep(root, method, seed, **changed):
    run = {
        "data": {"title": "240 loans", "rows": 240, "positives": 40},
        "recipe": dict(method.recipe),
        "network": dict(method.network),
        "scores": {"plain": {"test_auc": 0.5}},
    }
    path = path_of(root, "loan", "sound", method.name, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**run, **changed}))


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"data": {"title": "all loans", "rows": 9578, "positives": 1533}}, "data"),
        ({"recipe": {"lr": 1.0}}, "recipe"),
        ({"network": {"hidden_sizes": [3]}}, "network"),
    ],
)
def test_runs_of_other_data_or_recipes_are_not_taken_for_done(tmp_path, changed, what):
    keep(tmp_path, resolve("under", "loan", "sound"), 0, **changed)
    with pytest.raises(ValueError, match=rf"under.0\.json was made with {what} .* delete the runs"):
        units(tmp_path, ["under"])


def test_the_engine_is_no_part_of_a_recipe(tmp_path):
    method = resolve("grid/natural-under", "loan", "sound")
    keep(tmp_path, method, 0, recipe={**method.recipe, "engine": "compiled"})
    assert [unit.seeds for unit in units(tmp_path, [method.name])] == [(1,)]


def test_the_class_weights_of_a_recipe_are_those_of_the_training_rows():
    X, y = rows_of()
    split = make_split(X, y, "sound", 0)
    output, rare = torch.zeros(1, 1), torch.tensor([1])
    plain_loss = loss_for(resolve("naive", "loan", "sound"), split)(output, rare)
    weighted = loss_for(resolve("class-balanced", "loan", "sound"), split)(output, rare)
    share = np.bincount(split.train.y)
    weights = (1 - 0.999) / (1 - 0.999**share)
    assert float(weighted / plain_loss) == pytest.approx(
        weights[1] * share.sum() / (weights * share).sum(), rel=1e-5
    )
    adjusted = loss_for(resolve("logit-adjusted", "loan", "sound"), split)(output, rare)
    assert float(adjusted) == pytest.approx(-np.log(share[1] / share.sum()), rel=1e-5)
