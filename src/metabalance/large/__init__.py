"""Training on tables that do not fit in memory: read once, encoded once, and drawn from a store on disk."""

from metabalance.large.table import LargeTable

__all__ = ["LargeTable"]
