"""Where a search keeps resampled rows while it lasts, or for the next one."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from joblib import Memory
from sklearn.utils.validation import check_memory


@contextmanager
def opened_memory(memory: Any) -> Iterator[Memory]:
    """Yield the user's memory, or one in a temporary folder that is removed at the end.

    Raises
    ------
    ValueError
        If the memory is neither a folder, nor one that can be made, nor a ``joblib.Memory``.
    """
    if memory is None:
        with tempfile.TemporaryDirectory(prefix="metabalance-") as folder:
            yield Memory(folder, verbose=0)
        return
    if isinstance(memory, str):
        try:
            Path(memory).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"memory={memory!r} cannot be a folder ({error.strerror})") from error
    yield check_memory(memory)
