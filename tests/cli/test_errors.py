"""Exceptions and warnings as single lines."""

import warnings
from pathlib import Path

import pytest
import typer

from metabalance.cli.errors import one_line_errors, one_line_warnings


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("two\n  lines"), "error: two lines"),
        (TypeError("wrong"), "error: wrong"),
        (FloatingPointError("diverged"), "error: diverged"),
        (FileNotFoundError("a.csv: no such file"), "error: a.csv: no such file"),
        (OSError(28, "No space left on device", "a.csv"), "error: a.csv: No space left on device"),
        (OSError(28, "No space left on device"), "error: No space left on device"),
    ],
)
def test_user_errors(error: Exception, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    @one_line_errors
    def command() -> None:
        raise error

    with pytest.raises(typer.Exit) as stopped:
        command()
    assert stopped.value.exit_code == 2
    assert capsys.readouterr() == ("", line + "\n")


def test_interruption(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    @one_line_errors
    def command(checkpoint: Path | None = None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(typer.Exit) as stopped:
        command()
    assert stopped.value.exit_code == 130
    assert capsys.readouterr().err == "interrupted: no result was written\n"
    (tmp_path / "run.json").touch()
    with pytest.raises(typer.Exit):
        command(checkpoint=tmp_path)
    wanted = f"interrupted: no result was written; --resume goes on from what is kept in {tmp_path}\n"
    assert capsys.readouterr().err == wanted


def test_errors_of_the_library_itself_are_not_hidden() -> None:
    @one_line_errors
    def command() -> None:
        raise AttributeError("a bug")

    with pytest.raises(AttributeError, match="a bug"):
        command()


def test_each_warning_is_shown_once_and_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with one_line_warnings():
            for text in ("first\nof two", "second", "second"):
                warnings.warn(text, UserWarning, stacklevel=1)
    assert capsys.readouterr().err == "warning: first of two\nwarning: second\n"
