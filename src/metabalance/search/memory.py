"""Where a search keeps resampled rows while it lasts, or for the next one."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from joblib import Memory
from sklearn.utils.validation import check_memory

from metabalance.estimators.workers import on_this_machine


@contextmanager
def opened_memory(memory: Any) -> Iterator[Memory]:
    """Yield the user's memory, or one in a temporary folder that is removed at the end.

    On a cluster without the user's memory nothing is kept: each machine would fill a folder of its own, which
    nobody removes.

    Raises
    ------
    ValueError
        If the memory is neither a folder, nor one that can be made, nor a ``joblib.Memory``.
    """
    if memory is None and not on_this_machine():
        yield Memory(None, verbose=0)
        return
    if memory is None:
        with tempfile.TemporaryDirectory(prefix="metabalance-") as folder:
            yield Memory(folder, verbose=0)
        return
    if isinstance(memory, str):
        memory = os.path.abspath(memory)  # workers of a cluster may be at home elsewhere
        try:
            Path(memory).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"memory={memory!r} cannot be a folder ({error.strerror})") from error
    yield check_memory(memory)
