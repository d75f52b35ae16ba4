"""One clear line for a user's mistake instead of a traceback."""

import functools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import typer

from metabalance import Checkpoint
from metabalance.cli.processes import name_of_process, speaks

Command = TypeVar("Command", bound=Callable[..., Any])

USER_ERRORS = (ValueError, TypeError, OSError, FloatingPointError)
INPUT_ERROR = 2
INTERRUPTED = 130


def one_line_errors(command: Command) -> Command:
    """Make a command exit with code 2 and one line on standard error when the input cannot be used."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            with one_line_warnings():
                return command(*args, **kwargs)
        except USER_ERRORS as error:
            complain(f"error{name_of_process()}: {_one_line(_text(error))}")
            raise typer.Exit(INPUT_ERROR) from error
        except KeyboardInterrupt as error:
            complain(f"interrupted: no result was written{how_to_go_on(kwargs.get('checkpoint'))}")
            raise typer.Exit(INTERRUPTED) from error

    return wrapped  # type: ignore[return-value]


def how_to_go_on(checkpoint: Path | None) -> str:
    """Return the end of a message about a command that was broken off."""
    if checkpoint is None:
        return ""
    if Checkpoint(checkpoint).files():
        return f"; --resume goes on from what is kept in {checkpoint}"
    return f"; nothing was kept in {checkpoint} yet"


def complain(line: str) -> None:
    """Print a line on standard error; that nobody reads it is no reason to end the work."""
    with suppress(OSError):
        typer.echo(line, err=True)


@contextmanager
def one_line_warnings() -> Iterator[None]:
    """Print warnings as one line without the place in the code, each text once."""
    shown: set[str] = set()

    def show(message: Any, *args: Any, **kwargs: Any) -> None:
        text = _one_line(str(message))
        if text not in shown and speaks():
            shown.add(text)
            complain(f"warning: {text}")

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _text(error: BaseException) -> str:
    """The message, without the number that the operating system's errors start with."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def _one_line(text: str) -> str:
    return " ".join(text.split())
