"""Tables and the conditions they were measured under, as Markdown."""

import pandas as pd

from metabalance.evaluation.environment import describe_environment

NAMED = ("torch", "scikit-learn", "imbalanced-learn", "lightgbm")


def as_table(frame: pd.DataFrame, digits: int = 4) -> str:
    """Return a frame as a Markdown table."""
    lines = [
        f"| {frame.index.name or ''} | " + " | ".join(map(str, frame.columns)) + " |",
        "|---" * (1 + frame.shape[1]) + "|",
    ]
    for name, row in frame.iterrows():
        cells = [f"{value:.{digits}f}" if isinstance(value, float) else str(value) for value in row]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def measured(command: str, seconds: float) -> str:
    """Return the sentence that says how, where and with what a table was measured."""
    environment = describe_environment()
    versions = ", ".join(f"{package} {environment[package]}" for package in NAMED)
    return (
        f"Made by `{command}` in {seconds:.0f} s on {environment['cores']} cores of "
        f"{environment['processor']}, two fits at a time, with Python {environment['python']}, {versions}."
    )
