"""Options that the commands of the image task share."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from paper.store import RESULTS


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options on where and how to run."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes, of one thread each on the CPU")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--data-root", type=Path, help="folder of the data (default: METABALANCE_DATA)")
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser


def parse(parser: argparse.ArgumentParser, given: Sequence[str] | None, *counts: str) -> argparse.Namespace:
    """Parse the options; ``jobs``, and whatever else counts, must be at least 1."""
    arguments = parser.parse_args(given)
    for name in ("jobs", *counts):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(arguments, name)}")
    return arguments
