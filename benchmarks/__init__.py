"""Measurements: each script prints a table and writes JSON with versions and hardware."""
