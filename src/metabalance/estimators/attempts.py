"""Running one fit of many: what a user's data may make it fail with, and what it warned of."""

import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from metabalance.training import one_thread

Value = TypeVar("Value")


@dataclass(frozen=True)
class Attempt(Generic[Value]):
    """What came of it: a value, or the reason why there is none in one line, and warnings in a line each."""

    value: Value | None
    failure: str | None
    warnings: tuple[str, ...]


def attempt(work: Callable[[], Value]) -> Attempt[Value]:
    """Do the work on one thread; errors that data and options cause, and warnings, are returned as text.

    In a worker process both would otherwise end the whole, or be printed raw.
    """
    value, failure = None, None
    with one_thread(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for kind in (DeprecationWarning, PendingDeprecationWarning, ResourceWarning):
            warnings.simplefilter("ignore", kind)  # as by Python's default: not for users
        try:
            value = work()
        except (ValueError, TypeError, FloatingPointError) as error:
            failure = _one_line(str(error)) or type(error).__name__
    return Attempt(value, failure, tuple(dict.fromkeys(_one_line(str(each.message)) for each in caught)))


def one_of_each_kind(texts: Iterable[str]) -> list[str]:
    """Return one line for each kind of text; those that differ in their numbers only are one kind.

    Examples
    --------
    >>> one_of_each_kind(["4 rows are few", "no scale", "3 rows are few"])
    ['4 rows are few (and 1 more like it)', 'no scale']
    """
    kinds: dict[str, list[str]] = {}
    for text in texts:
        kinds.setdefault(re.sub(r"\d+", "#", text), []).append(text)
    return [
        first + (f" (and {len(others)} more like it)" if others else "")
        for _, (first, *others) in sorted(kinds.items())
    ]


def _one_line(text: str) -> str:
    return " ".join(text.split())
