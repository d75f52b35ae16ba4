"""Image sets of one's own: a folder for each class, or a file of arrays."""

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from rich.console import Console
from rich.progress import track

from metabalance.datasets.image_set import ImageSet
from metabalance.datasets.imbalance import checked_count
from metabalance.datasets.memory import check_room_in_memory

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
MODES = {1: "L", 3: "RGB"}
DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "F")  # which Pillow would cut off at 255


def load_image_folder(
    path: str | os.PathLike[str],
    *,
    size: tuple[int, int] | None = None,
    channels: int = 3,
    progress: bool = False,
) -> ImageSet:
    """Read images from a folder with a folder for each class, all into memory.

    Parameters
    ----------
    path : path-like
        Its folders are the classes, in the order of their names; images may lie deeper in them. Other files
        than images (PNG, JPEG, BMP, GIF, TIFF, WebP) and names that begin with a dot are passed over.
    size : (int, int), optional
        Height and width to resize to, in pixels; without it, all images must have the same size.
    channels : {3, 1}, default=3
        3 for colour, 1 for grey; images are converted, and transparency is dropped.
    progress : bool, default=False
        Show a progress bar on the error output.

    Returns
    -------
    ImageSet
        Images as uint8 of shape (n, channels, height, width), class by class, by name within.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If there are fewer than two classes, a class is without images, images differ in size, or a file is
        damaged; the message names it.

    Examples
    --------
    >>> from metabalance.datasets import load_image_folder
    >>> parts = load_image_folder("parts", size=(32, 32))  # parts/good/…, parts/broken/…  # doctest: +SKIP
    >>> parts.classes  # doctest: +SKIP
    ('broken', 'good')
    """
    root = Path(path)
    if channels not in MODES:
        raise ValueError(f"channels must be 3 (colour) or 1 (grey), got {channels!r}")
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder {str(root)!r}")
    names = sorted(each.name for each in root.iterdir() if each.is_dir() and not each.name.startswith("."))
    if len(names) < 2:
        raise ValueError(
            f"{str(root)!r} must hold a folder for each of at least two classes, found "
            f"{', '.join(names) or 'none'}"
        )
    files = [image_files(root / name) for name in names]
    in_order = [file for of_class in files for file in of_class]
    pixels = read_images(in_order, size, channels, title=root.name, progress=progress)
    return ImageSet(
        title=root.resolve().name,
        images=torch.from_numpy(pixels),
        y=np.repeat(np.arange(len(names)), [len(of_class) for of_class in files]),
        classes=tuple(names),
    )


def read_images(
    files: Sequence[Path],
    size: tuple[int, int] | None,
    channels: int,
    *,
    title: str = "images",
    progress: bool = False,
) -> NDArray[np.uint8]:
    """Read image files, at least one, to an array of shape (n, channels, height, width)."""
    check_size(size)
    if size is not None:
        check_fits(len(files), (channels, *size))
    shown: Iterable[Path] = (
        track(files, f"reading {title}", console=Console(stderr=True)) if progress else files
    )
    first = read_image(files[0], size, channels, name=str(files[0]))
    check_fits(len(files), first.shape)
    images = np.empty((len(files), *first.shape), dtype=np.uint8)
    for row, file in zip(images, shown, strict=True):
        pixels = read_image(file, size, channels, name=str(file))
        if pixels.shape != row.shape:
            raise ValueError(
                f"{str(file)!r} has {pixels.shape[1]} × {pixels.shape[2]} pixels and {str(files[0])!r} "
                f"{row.shape[1]} × {row.shape[2]}: give the size to bring them to (on the command line "
                "--image-size)"
            )
        row[...] = pixels
    return images


def image_files(folder: Path) -> list[Path]:
    """The images anywhere in a folder, by name; ValueError if there is none."""
    files = [
        file
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
        and file.is_file()
    ]
    if not files:
        raise ValueError(
            f"{str(folder)!r} holds no image ({', '.join(SUFFIXES)}): remove the folder, or put images there"
        )
    return files


def read_image(
    file: Path | IO[bytes], size: tuple[int, int] | None, channels: int, *, name: str
) -> NDArray[np.uint8]:
    """The pixels of a file, channels first; ValueError, with this name of it, where it is damaged."""
    try:
        with Image.open(file) as image:
            if image.mode in DEEP_MODES:
                raise ValueError(
                    f"it has more than 8 bits a value (mode {image.mode}): scale the values to 0 … 255"
                )
            picture = image.convert(MODES[channels])
            if size is not None:
                picture = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
            pixels: NDArray[np.uint8] = np.asarray(picture, dtype=np.uint8)
    # What Pillow raises of damaged files: SyntaxError is its word for a broken PNG.
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{name!r} cannot be read as an image: {error}") from error
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def load_image_arrays(path: str | os.PathLike[str]) -> ImageSet:
    """Read images from a NumPy ``.npz`` file, as MedMNIST and others publish them.

    Parameters
    ----------
    path : path-like
        With an array named ``images``, ``X`` or ``x``, of uint8 and shape (n, height, width) or with 1 or 3
        channels in front or behind, and one named ``labels``, ``y``, of shape (n,) or (n, 1).

    Returns
    -------
    ImageSet

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged, or arrays are missing, or do not fit together. Pickled objects are not loaded.

    Examples
    --------
    >>> from metabalance.datasets import load_image_arrays
    >>> load_image_arrays("scans.npz").images.shape  # doctest: +SKIP
    torch.Size([1000, 1, 28, 28])
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {str(file)!r}")
    try:
        with file.open("rb") as opened, np.lib.npyio.NpzFile(opened, allow_pickle=False) as arrays:
            held = {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, KeyError, BadZipFile) as error:
        raise ValueError(f"{str(file)!r} cannot be read as a .npz file of plain arrays: {error}") from error
    images, labels = (_first(held, names, file) for names in (("images", "X", "x"), ("labels", "y")))
    if images.dtype != np.uint8:
        raise ValueError(f"the images of {str(file)!r} must be uint8 (0 … 255), got {images.dtype}")
    images = _channels_first(images, file)
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels.shape != (len(images),):
        raise ValueError(
            f"{str(file)!r} must hold a label for each of {len(images)} images, got shape {labels.shape}"
        )
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"{str(file)!r} must hold at least two classes, every label is {labels[:1].tolist()}"
        )
    return ImageSet(
        title=file.stem,
        images=torch.from_numpy(np.ascontiguousarray(images)),
        y=codes.astype(np.int64),
        classes=tuple(map(str, classes.tolist())),
    )


def _first(held: dict[str, NDArray[Any]], names: tuple[str, ...], file: Path) -> NDArray[Any]:
    for name in names:
        if name in held:
            return held[name]
    raise ValueError(
        f"{str(file)!r} holds no array named {' or '.join(names)}; it has {', '.join(held) or 'none'}"
    )


def _channels_first(images: NDArray[np.uint8], file: Path) -> NDArray[np.uint8]:
    if images.ndim == 3:
        return images[:, None]
    if images.ndim == 4 and images.shape[1] in MODES:
        return images
    if images.ndim == 4 and images.shape[3] in MODES:
        return images.transpose(0, 3, 1, 2)
    raise ValueError(
        f"the images of {str(file)!r} must have the shape (n, height, width), with 1 or 3 channels in front "
        f"or behind, got {images.shape}"
    )


def check_size(size: Any) -> None:
    """Raise ValueError unless this is a pair (height, width) to resize images to, or None."""
    if size is None:
        return
    if not isinstance(size, tuple | list) or len(size) != 2:
        raise ValueError(f"size={size!r} must be a pair (height, width), or None")
    for name, value in zip(("height", "width"), size, strict=True):
        checked_count(name, value)


def check_fits(count: int, shape: tuple[int, ...]) -> None:
    """Raise ValueError if so many images of bytes are more than this machine's memory, before it is full."""
    check_room_in_memory(
        count * math.prod(shape),
        f"{count:,} images of {shape[-2]} × {shape[-1]} pixels",
        "give a smaller size (on the command line --image-size), a folder to keep them in (cache=, of "
        "CelebA), or let workers fetch them (MetaDataLoader)",
    )
