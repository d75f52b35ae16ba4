"""``--checkpoint`` and ``--resume``."""

from pathlib import Path

import pytest
from tests.cli.conftest import Run

from metabalance.training import Saver

FIT = ("fit", "breast-cancer-rare", "--epochs", 1)


def test_fit_goes_on_from_its_checkpoint(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = ("--checkpoint", tmp_path / "run")
    assert run(*FIT, "--out", tmp_path / "straight").exit_code == 0
    first = run(*FIT, "--out", tmp_path / "first", *kept, "--resume")
    assert (first.exit_code, first.stderr) == (0, "")
    monkeypatch.setattr(Saver, "after_update", lambda self, loop: pytest.fail("trained again"))
    second = run(*FIT, "--out", tmp_path / "second", *kept, "--resume")
    assert (second.exit_code, second.stderr) == (0, f"found a checkpoint in {tmp_path / 'run'}\n")
    names = {
        path.name
        for model in ("straight", "first", "second")
        for path in (tmp_path / model).glob("weights-*")
    }
    assert len(names) == 1  # files of weights are named by what is in them


def test_what_cannot_be_gone_on_with_is_one_line(run: Run, files: Path, tmp_path: Path) -> None:
    kept = ("--checkpoint", tmp_path / "run")
    assert run(*FIT, "--out", tmp_path / "model", *kept).exit_code == 0
    found = f"found a checkpoint in {tmp_path / 'run'}\n"
    for options, message in (
        (kept, "go on from it with --resume, or name another folder"),
        (("--resume",), "--resume goes on from a checkpoint: name its folder with --checkpoint"),
        ((*kept, "--resume", "--random-state", 1), "of a run with other data, random_state"),
        (("--checkpoint", files / "people.csv"), "is a file, not a folder; choose another path"),
    ):
        result = run(*FIT, "--out", tmp_path / "model", *options)
        complaint = result.stderr.removeprefix(found if "--random-state" in options else "")
        assert (result.exit_code, result.stdout, complaint.count("\n")) == (2, "", 1)
        assert message in complaint


def test_compare_and_search_go_on(run: Run, tmp_path: Path) -> None:
    compare = ("compare", "breast-cancer-rare", "--methods", "naive,logistic-regression", "--epochs", 1)
    search = ("search", "breast-cancer-rare", "--support", "natural", "--query", "under", "--epochs", 1)
    for number, command in enumerate((compare, search)):
        command = (*command, "--jobs", 2, "--checkpoint", tmp_path / str(number))
        first = run(*command)
        assert first.exit_code == 0
        again = run(*command, "--resume")
        assert again.exit_code == 0
        table = [line for line in first.stdout.splitlines() if "│" in line or "┃" in line]
        assert table == [line for line in again.stdout.splitlines() if "│" in line or "┃" in line]
        refused = run(*command)
        assert refused.exit_code == 2
        assert "go on from it with --resume" in refused.stderr
