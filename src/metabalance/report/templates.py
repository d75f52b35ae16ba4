"""Filling the pages' templates, which lie beside this file."""

from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from metabalance.report.leaderboard import seconds_text


def fill(template: str, **values: Any) -> str:
    """Return the page that a template makes of the values; text in them is escaped."""
    environment = Environment(
        loader=FunctionLoader(_read),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["seconds"] = seconds_text
    return environment.get_template(template).render(**values)


def _read(name: str) -> str:
    return resources.files("metabalance.report").joinpath(name).read_text(encoding="utf-8")
