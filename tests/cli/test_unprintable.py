"""What is printed may not arrive: no result is lost by it, and no traceback comes of it."""

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from metabalance.cli import main

Main = Callable[..., int]
COMPARE = ("compare", "people.csv", "--target", "Klasse ä", "--methods", "logistic-regression")
SEARCH = ("search", "people.csv", "--target", "Klasse ä", "--support", "natural", "--query", "under")
QUICK = ("--epochs", 1, "--cv", 2, "--jobs", 1)


@pytest.fixture
def run_main(files: Path, monkeypatch: pytest.MonkeyPatch) -> Main:
    """Run the command with these arguments where the tables are; returns its exit code."""

    def run(*args: Any) -> int:
        monkeypatch.chdir(files)
        monkeypatch.setattr(sys, "argv", ["metabalance", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    return run


@pytest.fixture
def broken_pipe() -> Iterator[io.TextIOWrapper]:
    """What `metabalance … | true` writes to."""
    reader, writer = os.pipe()
    os.close(reader)
    with suppress(BrokenPipeError), open(writer, "w", encoding="utf-8") as stream:
        yield stream


@pytest.fixture
def full_disk() -> Iterator[io.TextIOWrapper]:
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full here")
    with open("/dev/full", "w", encoding="utf-8") as stream:
        yield stream


def test_signs_that_the_terminal_lacks_are_replaced(
    run_main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for args in ((*COMPARE, *QUICK, "--report", tmp_path), ("search", "--help")):
        stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        monkeypatch.setattr(sys, "stdout", stream)
        assert run_main(*args) == 0
        stream.flush()
        assert b"?" in stream.buffer.getvalue()
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "results.json"}


def test_a_comparison_whose_reader_has_gone_is_written(
    run_main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, broken_pipe
) -> None:
    monkeypatch.setattr(sys, "stdout", broken_pipe)
    assert run_main(*COMPARE, *QUICK, "--report", tmp_path) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "results.json"}
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("arguments", [("strategies",), ("--version",), ("fit",), ("predict",)], ids=str)
def test_every_command_ends_quietly_without_a_reader(
    run_main: Main,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys,
    broken_pipe,
    model: Path,
    arguments: tuple[str, ...],
) -> None:
    more: dict[str, tuple[Any, ...]] = {
        "fit": ("people.csv", "--target", "Klasse ä", "--epochs", 1, "--out", tmp_path / "new"),
        "predict": (model, "people.csv", "--out", tmp_path / "new.csv"),
    }
    monkeypatch.setattr(sys, "stdout", broken_pipe)
    assert run_main(*arguments, *more.get(arguments[0], ())) == 1
    assert capsys.readouterr().err == ""
    assert bool(list(tmp_path.iterdir())) == (arguments[0] in more)


def test_a_search_on_a_full_disk_says_so_in_one_line(
    run_main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys, full_disk
) -> None:
    """Its report and its model are on another disk."""
    monkeypatch.setattr(sys, "stdout", full_disk)
    assert run_main(*SEARCH, *QUICK, "--report", tmp_path / "report", "--out", tmp_path / "model") == 2
    assert capsys.readouterr().err == "error: standard output: No space left on device\n"
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"report.html", "results.json"}
    assert (tmp_path / "model" / "model.json").is_file()
    sys.stdout.flush()  # as Python does when it ends: nothing is left that could fail


@pytest.mark.filterwarnings("default")  # printed, as they are for users
def test_warnings_that_nobody_reads_do_not_end_the_work(
    run_main: Main, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken_pipe
) -> None:
    monkeypatch.setattr(sys, "stderr", broken_pipe)
    assert run_main(*SEARCH, "--query", "smote", *QUICK, "--report", tmp_path) == 0
    assert (tmp_path / "results.json").is_file()
    assert run_main("compare", "nope.csv") == 2


def test_the_leaderboard_is_printed_where_files_cannot_be_written(
    run: Callable[..., Any], files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device", "report.html")

    monkeypatch.setattr("metabalance.evaluation.Comparison.to_html", fail)
    monkeypatch.chdir(files)
    result = run(*COMPARE, *QUICK, "--report", tmp_path)
    assert result.exit_code == 2
    assert "Logistic regression" in result.stdout
    assert f"written: {tmp_path / 'results.json'}\n" in result.stdout
    assert result.stderr == "error: report.html: No space left on device\n"
