"""One thing that a user may give by mistake, and what comes of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import make_classification
from sklearn.exceptions import NotFittedError
from typer.testing import CliRunner

from metabalance import NeuralClassifier
from metabalance.cli.main import app

USER_ERRORS = (NotFittedError, ValueError, TypeError, FileNotFoundError, FloatingPointError)
LONGEST = 220  # of a message that is shown
SMALL = {"max_epochs": 1, "n_members": 2, "hidden_sizes": (4,), "random_state": 0, "device": "cpu"}
INPUT_ERROR = 2


@dataclass(frozen=True)
class Case:
    """What is given, in words, and the call that gives it; the call gets an empty folder."""

    given: str
    call: Callable[[Path], Any]

    def message(self, folder: Path) -> str:
        """Return what the library says: the kind of error and its text, without the folder's name, in short.

        Raises
        ------
        AssertionError
            If it says nothing, or something that is no answer to a user.
        """
        try:
            self.call(folder)
        except USER_ERRORS as error:
            text = _shown(str(error), folder)
            return text if isinstance(error, ExitError) else f"{_kind(error)}: {text}"
        raise AssertionError(f"{self.given}: was taken without a word")


def rows(n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """A small imbalanced table."""
    X, y = make_classification(n, 4, n_informative=3, n_redundant=0, weights=[0.8], random_state=0)
    return X, y


def net(**options: Any) -> NeuralClassifier:
    """A quick network."""
    return NeuralClassifier(**{**SMALL, **options})


def fitted() -> NeuralClassifier:
    """One that has been trained."""
    return net().fit(*rows())


class ExitError(ValueError):
    """A command that has ended with exit code 2 and one line."""


def command(*arguments: Any) -> None:
    """Run ``metabalance``; raise its one line of error, or AssertionError where it ends in another way."""
    result = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)
    lines = result.stderr.strip().splitlines()
    if result.exit_code != INPUT_ERROR or result.stdout or not lines:
        raise AssertionError(f"exit code {result.exit_code}: {result.stdout} {result.stderr}")
    raise ExitError(lines[-1])


def _kind(error: Exception) -> str:
    """The kind of error, as a user would catch it."""
    return next(kind for kind in USER_ERRORS if isinstance(error, kind)).__name__


def _shown(text: str, folder: Path) -> str:
    one_line = " ".join(text.replace(f"{folder}/", "").replace(str(folder), ".").split())
    return one_line if len(one_line) <= LONGEST else f"{one_line[:LONGEST]}…"
