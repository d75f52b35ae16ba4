"""Shared fixtures: one thread for repeatable arithmetic, and the optional real data."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder named by METABALANCE_DATA; the test is skipped where it is unset."""
    root = os.environ.get("METABALANCE_DATA")
    if not root:
        pytest.skip("METABALANCE_DATA is unset: the real data sets are not at hand")
    return Path(root)
