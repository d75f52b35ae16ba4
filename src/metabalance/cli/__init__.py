"""The ``metabalance`` command."""

from metabalance.cli.main import main

__all__ = ["main"]
