"""``--decision`` and ``--prior`` as what the estimators take."""

from collections.abc import Callable
from typing import Any

from metabalance import AlertsAtMost, Costs, PrecisionAtLeast, RecallAtLeast

FORMS = (
    "balanced, most-probable, recall=0.9, precision=0.5, costs=1:50 (false alarm : miss) or alerts=100/50000"
)
NAMED = {"balanced": "balanced", "most-probable": "most_probable"}


def read_decision(text: str | None) -> Any:
    """Return the ``decision`` that the option means, "auto" where it is absent.

    Raises
    ------
    ValueError
        If it means none.

    Examples
    --------
    >>> read_decision("costs=1:50")
    Costs(false_positive=1.0, false_negative=50.0)
    """
    if text is None:
        return "auto"
    if text in NAMED:
        return NAMED[text]
    kind, separator, rest = text.partition("=")
    known: dict[str, Callable[[], Any]] = {
        "recall": lambda: RecallAtLeast(float(rest)),
        "precision": lambda: PrecisionAtLeast(float(rest)),
        "costs": lambda: Costs(*map(float, _two(rest, ":"))),
        "alerts": lambda: AlertsAtMost(float(_two(rest, "/")[0]), rows=int(_two(rest, "/")[1])),
    }
    if kind not in known:
        raise ValueError(f"--decision {text}: unknown; give {FORMS}")
    if not separator:
        raise ValueError(f"--decision {text}: its number is missing; give {FORMS}")
    try:
        return known[kind]()
    except ValueError as error:
        raise ValueError(f"--decision {text}: {error}; give {FORMS}") from error


def read_prior(text: str | None) -> Any:
    """Return the ``prior`` that the option means, "training" where it is absent.

    Raises
    ------
    ValueError
        If it means none.
    """
    if text is None:
        return "training"
    if text in ("training", "balanced"):
        return text
    try:
        return float(text)
    except ValueError as error:
        raise ValueError(
            f"--prior {text}: give the share of the rarer of two classes, such as 0.002, or balanced"
        ) from error


def _two(text: str, between: str) -> tuple[str, str]:
    first, found, second = text.partition(between)
    if not found:
        raise ValueError(f"two numbers with {between!r} between them are needed, got {text!r}")
    return first, second
