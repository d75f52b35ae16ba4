"""CIFAR-10 from the files its authors publish: the binary and the Python version, unpacked or not."""

import hashlib
import os
import shutil
import tarfile
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from metabalance.datasets.data_folder import DATA_VARIABLE, data_folder
from metabalance.datasets.image_set import ImageSet
from metabalance.datasets.plain_pickle import read_plain_pickle

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SHAPE = (3, 32, 32)
PIXELS = 3072
ROWS_PER_FILE = 10_000
URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"

Read = Callable[[str], bytes]
"""The content of a file, by its name without folder."""


@dataclass(frozen=True)
class _Version:
    """One of the two ways in which the data are published, with the MD5 sums that the authors state."""

    folder: str
    archive: str
    archive_sum: str
    suffix: str
    sums: dict[str, str]


_BINARY = _Version(
    "cifar-10-batches-bin",
    "cifar-10-binary.tar.gz",
    "c32a1d4ab5d03f1284b67883e8d87530",
    suffix=".bin",
    sums={},
)
_PYTHON = _Version(
    "cifar-10-batches-py",
    "cifar-10-python.tar.gz",
    "c58f30108f718f92721af3b95e74349a",
    suffix="",
    sums={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
    },
)
PARTS = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}


def load_cifar10(
    data_root: str | os.PathLike[str] | None = None, *, part: str = "train", download: bool = False
) -> ImageSet:
    """Load the training or the test images of CIFAR-10.

    Parameters
    ----------
    data_root : path-like, optional
        Folder that holds, itself or in a folder ``cifar10``, one of ``cifar-10-batches-bin``,
        ``cifar-10-batches-py``, ``cifar-10-binary.tar.gz`` and ``cifar-10-python.tar.gz``; default: the
        environment variable ``METABALANCE_DATA``. The first of them, in this order, is taken.
    part : {"train", "test"}, default="train"
        50,000 or 10,000 images.
    download : bool, default=False
        Where there is none of them, fetch the binary version (170 MB) from its authors into
        ``data_root/cifar10``.

    Returns
    -------
    ImageSet
        Its title says so where the pixels are not known to be the authors': unpacked binary files have no
        published checksum.

    Raises
    ------
    FileNotFoundError
        If nothing is there and nothing may be downloaded.
    ValueError
        If a file has another checksum than the authors state, or does not hold what it should. Of the Python
        version only plain arrays are unpickled: a file with anything else in it is refused.

    References
    ----------
    Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images.

    Examples
    --------
    >>> from metabalance.datasets import load_cifar10
    >>> train = load_cifar10("data")  # doctest: +SKIP
    >>> train.images.shape, train.images.dtype  # doctest: +SKIP
    (torch.Size([50000, 3, 32, 32]), torch.uint8)
    """
    if part not in PARTS:
        raise ValueError(f"part must be 'train' or 'test', got {part!r}")
    root = data_folder(data_root)
    version, found = _find(root)
    if found is None and download:
        if root is None:
            raise FileNotFoundError(f"say where to keep the download: data_root= or {DATA_VARIABLE}")
        version, found = _BINARY, _download(root / "cifar10")
    if found is None:
        where = "no folder of data is given" if root is None else f"there is no folder {root}"
        if root is not None and root.is_dir():
            where = f"{root} holds none of the files of CIFAR-10"
        raise FileNotFoundError(
            f"{where}: get {_BINARY.archive} from {URL}, or pass download=True; the folder is data_root= or "
            f"{DATA_VARIABLE} (on the command line --download and --data-root)"
        )
    read = _reader(found, version)
    images, labels = zip(
        *(_parse(read(name + version.suffix), name, version, found) for name in PARTS[part]), strict=True
    )
    known = found.is_file() or version is _PYTHON
    return ImageSet(
        title=f"CIFAR-10, {part}{'' if known else ' (pixels not checked against the original)'}",
        images=torch.from_numpy(np.concatenate(images)),
        y=np.concatenate(labels),
        classes=CLASSES,
    )


def _find(root: Path | None) -> tuple[_Version, Path | None]:
    if root is not None:
        for kind in ("folder", "archive"):
            for version in (_BINARY, _PYTHON):
                for place in (root, root / "cifar10"):
                    path = place / getattr(version, kind)
                    if path.exists():
                        return version, path
    return _BINARY, None


def _reader(found: Path, version: _Version) -> Read:
    """How to read the files of a folder or an archive, the latter checked as a whole."""
    if found.is_file():
        _check_sum(found, version.archive_sum)

    def read(name: str) -> bytes:
        try:
            if found.is_dir():
                return (found / name).read_bytes()
            with tarfile.open(found) as archive:
                member = archive.extractfile(f"{version.folder}/{name}")
                if member is None:
                    raise KeyError(f"{name} is a folder")
                return member.read()
        except (FileNotFoundError, KeyError) as error:
            raise ValueError(f"{found} holds no file {name}: unpack or download it anew") from error

    return read


def _check_sum(path: Path, expected: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != expected:
        raise ValueError(
            f"{path} has the MD5 sum {found}, but the authors state {expected}: it is damaged or not theirs, "
            "delete it and download it anew"
        )


def _parse(
    content: bytes, name: str, version: _Version, found: Path
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the images and labels of one file."""
    source = f"{name + version.suffix} of {found}"
    if version is _BINARY:
        if len(content) != ROWS_PER_FILE * (PIXELS + 1):
            raise ValueError(
                f"{source} has {len(content):,} bytes, not {ROWS_PER_FILE * (PIXELS + 1):,}: it is damaged"
            )
        records = np.frombuffer(content, dtype=np.uint8).reshape(ROWS_PER_FILE, PIXELS + 1)
        pixels, labels = records[:, 1:], records[:, 0].astype(np.int64)
    else:
        if found.is_dir() and hashlib.md5(content, usedforsecurity=False).hexdigest() != version.sums[name]:
            raise ValueError(
                f"{source} has another MD5 sum than the authors state: it is damaged or not theirs"
            )
        batch = read_plain_pickle(content, source)
        pixels, labels = _of_batch(batch, source)
    if labels.min() < 0 or labels.max() >= len(CLASSES):
        raise ValueError(f"{source} has labels from {labels.min()} to {labels.max()}: it is damaged")
    return pixels.reshape(-1, *SHAPE).copy(), labels


def _of_batch(batch: Any, source: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    held = batch if isinstance(batch, dict) else {}
    pixels, labels = held.get(b"data"), held.get(b"labels")
    if (
        not isinstance(pixels, np.ndarray)
        or not isinstance(labels, list)
        or pixels.dtype != np.uint8
        or pixels.shape != (len(labels), PIXELS)
    ):
        raise ValueError(f"{source} does not hold images and labels of CIFAR-10")
    return pixels, np.asarray(labels, dtype=np.int64)


def _download(folder: Path) -> Path:
    """Fetch the binary version into a folder, whole and checked or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / _BINARY.archive
    part = target.with_suffix(f".{os.getpid()}.part")
    try:
        with urllib.request.urlopen(URL, timeout=60) as response, part.open("wb") as file:
            shutil.copyfileobj(response, file)
        _check_sum(part, _BINARY.archive_sum)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target
