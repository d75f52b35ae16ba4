"""``--backend ray``."""

import sys

import pytest
from tests.cli.conftest import Run

QUICK = ("breast-cancer-rare", "--epochs", 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--address", "here:1"), "--address is that of a Ray cluster: give --backend ray, too"),
        (("--backend", "ray", "--address", "127.0.0.1:1"), "no Ray cluster answers at 127.0.0.1:1"),
        (("--backend", "ray", "--address", "here"), "the address of a Ray cluster is HOST:PORT or auto"),
    ],
)
def test_clusters_that_are_not_there(options, message, run: Run, monkeypatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for command in (("compare", *QUICK, "--methods", "naive"), ("search", *QUICK)):
        result = run(*command, *options)
        assert (result.exit_code, result.stdout) == (2, "")
        assert message in result.stderr


def test_ray_is_an_extra(run: Run, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    result = run("compare", *QUICK, "--methods", "naive", "--backend", "ray")
    assert result.exit_code == 2
    assert "--backend ray needs Ray: pip install 'metabalance[ray]'" in result.stderr


def test_a_comparison_on_a_cluster_of_this_machine(run: Run, monkeypatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    command = ("compare", *QUICK, "--methods", "naive,logistic-regression", "--cv", 2)
    here, there = run(*command), run(*command, "--backend", "ray", "--jobs", 2)
    assert (here.exit_code, there.exit_code) == (0, 0), there.stderr
    # All but the seconds, in the last column.
    tables = [
        [line.rsplit("│", 2)[0] for line in r.stdout.splitlines() if "│" in line] for r in (here, there)
    ]
    assert tables[0] == tables[1]
