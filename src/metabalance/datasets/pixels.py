"""The pixels of many images: in memory, or in a file that is written once and then mapped."""

import hashlib
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from joblib import effective_n_jobs
from numpy.lib import format as npy
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import Tensor

from metabalance.datasets.files import listed
from metabalance.datasets.image_source import ImageSource
from metabalance.datasets.images import check_fits, read_image

AT_A_TIME = 256
Pixels = NDArray[np.uint8]


def load_pixels(
    source: ImageSource,
    names: Sequence[str],
    size: tuple[int, int] | None,
    *,
    title: str,
    cache: str | os.PathLike[str] | None = None,
    n_jobs: int | None = None,
    progress: bool = False,
) -> Tensor:
    """Read the images with these names, at least one, in colour.

    Parameters
    ----------
    source : ImageSource
    names : sequence of str
    size : (int, int) or None
        Height and width to resize to; with None all images must have the same.
    title : str
        Begins the name of the file in ``cache``.
    cache : path-like, optional
        Folder for a file of the pixels, named by their size and a checksum of names and source. It is written
        where it is not there yet, and mapped into memory, to read only.
    n_jobs : int, optional
        Images to decode at a time, as in joblib.
    progress : bool, default=False
        Show a progress bar on the error output.

    Returns
    -------
    Tensor of uint8, shape (n, 3, height, width)

    Raises
    ------
    ValueError
        If images are missing, broken or of different sizes, or the file is damaged or cannot be written.
    """
    missing = [name for name in names if name not in source.stamps]
    if missing:
        raise ValueError(
            f"{source.path} lacks {len(missing):,} of {len(names):,} images: {listed(missing)}; get them, or "
            "remove them from the annotation"
        )
    shape = (3, *size) if size is not None else _read(source, names[0], None).shape
    chunks = _chunks(source, names, size, shape, n_jobs, progress)
    if cache is None:
        check_fits(len(names), shape)
        return torch.from_numpy(_filled((len(names), *shape), chunks))
    label = "x".join(map(str, shape[1:]))
    file = Path(cache) / f"{title}-{label}-{_checksum(source, names)}.npy"
    if not file.exists():
        _write(file, (len(names), *shape), chunks)
    return _mapped(file, (len(names), *shape))


def _read(source: ImageSource, name: str, size: tuple[int, int] | None) -> Pixels:
    return read_image(BytesIO(source.read(name)), size, 3, name=name)


def _chunks(
    source: ImageSource,
    names: Sequence[str],
    size: tuple[int, int] | None,
    shape: tuple[int, ...],
    n_jobs: int | None,
    progress: bool,
) -> Iterator[Pixels]:
    """Some images after the other; all broken ones are found before they are named."""

    def attempt(name: str) -> Pixels | ValueError:
        try:
            return _read(source, name, size)
        except ValueError as error:
            return error

    starts: Iterable[int] = range(0, len(names), AT_A_TIME)
    if progress:
        starts = track(starts, f"reading {source.path.name}", console=Console(stderr=True))
    broken: dict[str, ValueError] = {}
    with ThreadPoolExecutor(effective_n_jobs(n_jobs)) as pool:  # Pillow decodes without the GIL
        for start in starts:
            chunk = []
            some = names[start : start + AT_A_TIME]
            for name, pixels in zip(some, pool.map(attempt, some), strict=True):
                if isinstance(pixels, ValueError):
                    broken[name] = pixels
                elif pixels.shape == shape:
                    chunk.append(pixels)
                else:
                    raise ValueError(
                        f"{name!r} has {pixels.shape[1]} × {pixels.shape[2]} pixels and {names[0]!r} "
                        f"{shape[1]} × {shape[2]}: give the size to bring them to"
                    )
            if not broken:
                yield np.stack(chunk)
    if broken:
        first = next(iter(broken.values()))
        raise ValueError(
            f"{source.path}: {len(broken):,} of {len(names):,} images are broken, {listed([*broken])}: get "
            f"them anew, or remove them from the annotation; {first}"
        ) from first


def _filled(shape: tuple[int, ...], chunks: Iterable[Pixels]) -> Pixels:
    pixels = np.empty(shape, dtype=np.uint8)
    done = 0
    for chunk in chunks:
        pixels[done : done + len(chunk)] = chunk
        done += len(chunk)
    return pixels


def _checksum(source: ImageSource, names: Sequence[str]) -> str:
    content = "\n".join(f"{name} {source.stamps[name]}" for name in names)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _write(file: Path, shape: tuple[int, ...], chunks: Iterable[Pixels]) -> None:
    """Write a .npy file, whole or not at all."""
    unfinished = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            # Not through a memory map: on a full disk that would end the process, without an error.
            with unfinished.open("wb") as opened:
                npy.write_array_header_1_0(opened, header)
                for chunk in chunks:
                    opened.write(chunk.tobytes())
            unfinished.replace(file)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise ValueError(
            f"cannot write {file} ({error.strerror}); choose a folder you can write to, with "
            f"{np.prod(shape, dtype=np.int64) / 1e9:.1f} GB free"
        ) from error


def _mapped(file: Path, shape: tuple[int, ...]) -> Tensor:
    try:
        pixels = npy.open_memmap(file, mode="r")
    except ValueError as error:
        raise ValueError(f"{file} is damaged ({error}): delete it, it is made anew") from error
    expected = pixels.offset + pixels.nbytes
    if pixels.shape != shape or pixels.dtype != np.uint8 or file.stat().st_size != expected:
        raise ValueError(
            f"{file} is damaged: it should hold uint8 of shape {shape} and nothing else, and has "
            f"{pixels.dtype} of shape {pixels.shape} in {file.stat().st_size:,} bytes; delete it, it is made "
            "anew"
        )
    with warnings.catch_warnings():
        # A map that may be written to would need as much memory to be free as the file has.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(pixels)
