"""Images by their file names, from a folder or from a zip archive that stays packed."""

import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from zipfile import BadZipFile, ZipFile, ZipInfo

from metabalance.datasets.images import SUFFIXES


@dataclass(frozen=True)
class ImageSource:
    """Images by their file names.

    Attributes
    ----------
    path : Path
        The folder or the archive.
    stamps : dict of str
        For the name of each image, a text that changes when the image does.
    read : callable
        The content of the image with a name, or a ValueError; threads may call it at the same time.
    """

    path: Path
    stamps: dict[str, str]
    read: Callable[[str], bytes]


@contextmanager
def open_images(path: Path) -> Iterator[ImageSource]:
    """The images of a folder, or of a zip archive and all folders in it.

    Raises
    ------
    ValueError
        If the file is no zip archive, or has two images of the same name.
    """
    if path.is_dir():
        yield _of_folder(path)
        return
    try:
        archive = ZipFile(path)
    except (BadZipFile, OSError) as error:
        raise ValueError(f"{path} cannot be read as a zip archive ({error}): download it anew") from error
    with archive:
        yield _of_archive(path, archive)


def _of_folder(path: Path) -> ImageSource:
    stamps = {}
    with os.scandir(path) as files:
        for file in files:
            if file.name.lower().endswith(SUFFIXES) and file.is_file():
                about = file.stat()
                stamps[file.name] = f"{about.st_size} {about.st_mtime_ns}"

    def read(name: str) -> bytes:
        try:
            return (path / name).read_bytes()
        except OSError as error:
            raise ValueError(f"{name!r} cannot be read: {error.strerror}") from error

    return ImageSource(path, stamps, read)


def _of_archive(path: Path, archive: ZipFile) -> ImageSource:
    members: dict[str, ZipInfo] = {}
    for member in archive.infolist():
        name = member.filename.rpartition("/")[2]
        if not name.lower().endswith(SUFFIXES):
            continue
        if name in members:
            raise ValueError(f"{path} has two images {name}: {members[name].filename} and {member.filename}")
        members[name] = member
    lock = Lock()

    def read(name: str) -> bytes:
        try:
            with lock:  # an archive counts its readers without one
                return archive.read(members[name])
        # RuntimeError: encrypted, or compressed in a way that is not known here.
        except (BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
            raise ValueError(f"{name!r} cannot be read: {error}") from error

    stamps = {name: f"{member.file_size} {member.CRC}" for name, member in members.items()}
    return ImageSource(path, stamps, read)
