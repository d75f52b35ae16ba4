"""``--decision`` and ``--prior``."""

import json
from pathlib import Path

import pandas as pd
import pytest
from tests.cli.conftest import Run

from metabalance import AlertsAtMost, Costs, PrecisionAtLeast, RecallAtLeast
from metabalance.cli.decisions import read_decision, read_prior

FIT = ("fit", "breast-cancer-rare", "--epochs", 2)


def test_what_the_options_mean() -> None:
    assert read_decision(None) == "auto"
    assert read_decision("most-probable") == "most_probable"
    assert read_decision("recall=0.9") == RecallAtLeast(0.9)
    assert read_decision("precision=0.5") == PrecisionAtLeast(0.5)
    assert read_decision("costs=1:50") == Costs(1, 50)
    assert read_decision("alerts=100/50000") == AlertsAtMost(100, rows=50_000)
    assert (read_prior(None), read_prior("balanced"), read_prior("0.002")) == ("training", "balanced", 0.002)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--decision", "best"), "--decision best: unknown; give balanced, most-probable, recall=0.9"),
        (("--decision", "recall"), "--decision recall: its number is missing; give balanced"),
        (("--decision", "recall=2"), "--decision recall=2: recall must be at most 1"),
        (("--decision", "recall=much"), "--decision recall=much: could not convert"),
        (("--decision", "costs=1"), "--decision costs=1: two numbers with ':' between them"),
        (("--decision", "alerts=9/3"), "--decision alerts=9/3: alerts must be at most rows"),
        (("--prior", "rare"), "--prior rare: give the share of the rarer"),
        (("--prior", "1.5"), "prior must be below 1"),
    ],
)
def test_what_they_cannot_mean_is_one_line(run: Run, tmp_path: Path, options, message) -> None:
    result = run(*FIT, "--out", tmp_path / "model", *options)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert message in result.stderr
    assert not (tmp_path / "model").exists()


def test_a_model_predicts_as_it_was_told(run: Run, files: Path, tmp_path: Path) -> None:
    people = files / "people.csv"
    shares = {}
    for name, decision in (("few", "alerts=1/100"), ("many", "recall=1")):
        out = (tmp_path / name, tmp_path / f"{name}.csv")
        options = ("--target", "Klasse ä", "--epochs", 2, "--decision", decision, "--prior", "0.3")
        assert run("fit", people, *options, "--out", out[0]).exit_code == 0
        assert run("predict", out[0], people, "--out", out[1]).exit_code == 0
        shares[name] = (pd.read_csv(out[1])["prediction"] == "fraud").mean()
        assert json.loads((out[0] / "model.json").read_text())["parameters"]["prior"] == 0.3
    assert shares["few"] < shares["many"]
