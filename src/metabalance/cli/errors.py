"""One clear line for a user's mistake instead of a traceback."""

import functools
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import typer
from sklearn.exceptions import NotFittedError

Command = TypeVar("Command", bound=Callable[..., Any])

USER_ERRORS = (ValueError, TypeError, OSError, FloatingPointError, NotFittedError)
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
            typer.echo(f"error: {' '.join(str(error).split())}", err=True)
            raise typer.Exit(INPUT_ERROR) from error
        except KeyboardInterrupt as error:
            typer.echo("interrupted: nothing was written", err=True)
            raise typer.Exit(INTERRUPTED) from error

    return wrapped  # type: ignore[return-value]


@contextmanager
def one_line_warnings() -> Iterator[None]:
    """Print warnings as one line without the place in the code, each text once."""
    shown: set[str] = set()

    def show(message: Any, *args: Any, **kwargs: Any) -> None:
        text = " ".join(str(message).split())
        if text not in shown:
            shown.add(text)
            print(f"warning: {text}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
