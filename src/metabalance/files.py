"""Files that are whole, or not there."""

import glob
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], content: bytes | memoryview) -> Path:
    """Write a file so that readers see the old one or the new one, never a part; makes its folder.

    Raises
    ------
    ValueError
        If the folder or the file cannot be written.
    """
    with replaced_when_whole(path) as unfinished, open(unfinished, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # or the name could be on the disk before the content is
    return Path(path)


@contextmanager
def replaced_when_whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a file to write beside another one, and put it in its place at the end, if nothing fails.

    Raises
    ------
    ValueError
        If the folder or the file cannot be written.
    """
    place = Path(os.path.realpath(path))  # a link stays one
    unfinished = place.with_name(f".{place.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield unfinished
            unfinished.replace(place)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise ValueError(f"cannot write {path} ({error.strerror}); choose a path you can write to") from error


def remove_unfinished(path: str | os.PathLike[str]) -> None:
    """Remove what processes that were killed while they wrote a file have left beside it."""
    path = Path(path)
    for unfinished in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        unfinished.unlink(missing_ok=True)
