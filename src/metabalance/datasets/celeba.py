"""CelebA with the identities of its faces, from its authors' annotation, a folder or a zip archive."""

import os
from pathlib import Path

import numpy as np

from metabalance.datasets.celeba_annotation import (
    majority_group,
    read_attribute,
    read_detector_weights,
    read_identities,
)
from metabalance.datasets.data_folder import DATA_VARIABLE, data_folder
from metabalance.datasets.face_set import FaceSet
from metabalance.datasets.files import listed
from metabalance.datasets.image_source import open_images
from metabalance.datasets.images import check_size
from metabalance.datasets.imbalance import checked_count
from metabalance.datasets.pixels import load_pixels

IDENTITIES = "identity_CelebA.txt"
ATTRIBUTES = "list_attr_celeba.txt"
CROPS = "crops.csv"
IMAGES = "img_align_celeba"
PLACES = ("", "Anno", "Img")  # all in one folder, or as on the drive of its authors
URL = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"


def load_celeba(
    data_root: str | os.PathLike[str] | None = None,
    *,
    size: tuple[int, int] | None = (112, 112),
    attribute: str = "Male",
    at_least: int = 1,
    min_detector_weight: float | None = None,
    cache: str | os.PathLike[str] | None = None,
    n_jobs: int | None = None,
    progress: bool = False,
) -> FaceSet:
    """Load the images of CelebA that ``identity_CelebA.txt`` lists, in its order; others are passed over.

    Parameters
    ----------
    data_root : path-like, optional
        Folder that holds, itself or in a folder ``celeba``, the files ``identity_CelebA.txt`` and
        ``list_attr_celeba.txt`` and the images: the folder ``img_align_celeba`` or else a zip archive, the
        only one there, which stays packed. Folders ``Anno`` and ``Img`` between are fine. Default: the
        environment variable ``METABALANCE_DATA``.
    size : (int, int) or None, default=(112, 112)
        Height and width to resize to, in pixels; with None all images must have the same.
    attribute : str, default="Male"
        What makes the two groups. An identity belongs to the second where more than half of its images have
        the attribute, to the first where that is half of them or fewer; images left out by the parameters
        below count too.
    at_least : int, default=1
        Leave out identities with fewer images.
    min_detector_weight : float, optional
        First leave out images with a smaller ``detector_weight`` in ``crops.csv`` (columns ``image`` and
        ``detector_weight``): of what a face detector has cut out, those are most often no faces.
    cache : path-like, optional
        Folder in which the pixels are kept, as one file that later calls map into memory instead of decoding
        again; it is made anew where images, their choice or ``size`` have changed. For sets that are larger
        than the memory: all of CelebA takes 7.6 GB.
    n_jobs : int, optional
        Images to decode at a time, as in joblib; -1 uses all cores.
    progress : bool, default=False
        Show a progress bar on the error output.

    Returns
    -------
    FaceSet
        Groups are named ("female", "male") for ``Male``, ("not X", "X") for any other attribute X.

    Raises
    ------
    FileNotFoundError
        If the annotation, the images or a file that a parameter needs are not there.
    ValueError
        If there are several archives, an annotation file is malformed, there is no such attribute, images are
        missing or broken, no image is left, or the file in ``cache`` is damaged or cannot be written.

    References
    ----------
    Liu, Luo, Wang, Tang (2015), Deep Learning Face Attributes in the Wild.

    Examples
    --------
    >>> from metabalance.datasets import load_celeba
    >>> faces = load_celeba("data", at_least=10, cache="cache")  # doctest: +SKIP
    >>> faces.images.shape[1:], faces.group_names  # doctest: +SKIP
    (torch.Size([3, 112, 112]), ('female', 'male'))
    """
    check_size(size)
    checked_count("at_least", at_least)
    folder = _folder(data_folder(data_root))
    identities = read_identities(_file(folder, IDENTITIES))
    has = read_attribute(_file(folder, ATTRIBUTES), attribute)
    names = list(identities)
    without = [name for name in names if name not in has]
    if without:
        raise ValueError(
            f"{folder}: {len(without):,} images of {IDENTITIES} have no line in {ATTRIBUTES}: "
            f"{listed(without)}"
        )
    identity = np.array([identities[name] for name in names], dtype=np.int64)
    group = majority_group(identity, np.array([has[name] for name in names], dtype=np.bool_))
    kept = np.ones(len(names), dtype=np.bool_)
    if min_detector_weight is not None:
        kept = read_detector_weights(_file(folder, CROPS), names) >= min_detector_weight
    codes = np.unique(identity, return_inverse=True)[1]
    kept &= np.bincount(codes, weights=kept)[codes] >= at_least
    rows = np.flatnonzero(kept)
    if len(names) == 0:
        raise ValueError(f"{_file(folder, IDENTITIES)} names no image: it is empty, get it anew")
    if len(rows) == 0:
        raise ValueError(
            f"no image of {len(names):,} in {folder} is left with at_least={at_least} and "
            f"min_detector_weight={min_detector_weight}: lower them"
        )
    chosen = [names[row] for row in rows]
    with open_images(_images(folder)) as source:
        images = load_pixels(
            source, chosen, size, title="celeba", cache=cache, n_jobs=n_jobs, progress=progress
        )
    return FaceSet(
        title=f"CelebA ({source.path.stem})",
        images=images,
        identity=identity[rows],
        group=group[rows],
        group_names=("female", "male") if attribute == "Male" else (f"not {attribute}", attribute),
        names=tuple(chosen),
    )


def _folder(root: Path | None) -> Path:
    places = [] if root is None else [root, root / "celeba"]
    for folder in places:
        if _found(folder, IDENTITIES):
            return folder
    where = "no folder of data is given" if root is None else f"{root} holds no {IDENTITIES}"
    raise FileNotFoundError(
        f"{where}: get the annotation and the images from {URL}; the folder is data_root= or {DATA_VARIABLE}"
    )


def _found(folder: Path, name: str) -> list[Path]:
    """What matches a name in a folder, or in the folders that its authors put between."""
    return [found for place in PLACES for found in sorted((folder / place).glob(name))]


def _file(folder: Path, name: str) -> Path:
    found = _found(folder, name)
    if not found:
        raise FileNotFoundError(f"{folder} holds no {name}: put it there")
    return found[0]


def _images(folder: Path) -> Path:
    """The folder of the images, or their archive."""
    unpacked = [path for path in _found(folder, IMAGES) if path.is_dir()]
    if unpacked:
        return unpacked[0]
    archives = _found(folder, "*.zip")
    if not archives:
        raise FileNotFoundError(
            f"{folder} holds neither a folder {IMAGES} nor a zip archive: get the images from {URL}"
        )
    if len(archives) > 1:
        raise ValueError(
            f"{folder} holds several zip archives, {listed([path.name for path in archives])}: keep that of "
            "the images, or unpack it"
        )
    return archives[0]
