"""Faces of one's own in a folder for each person, and recipes for any data of persons and groups."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from metabalance.datasets.face_set import FaceSet
from metabalance.datasets.files import listed, read_table
from metabalance.datasets.images import image_files, read_images
from metabalance.datasets.imbalance import (
    Indices,
    RandomState,
    checked_count,
    checked_labels,
    rows_of,
    shown,
)


def split_identities(
    identity: Any, group: Any, *, n_test: int, min_images: int = 2, random_state: RandomState = None
) -> tuple[Indices, Indices]:
    """Part rows into those of random identities for testing and those of all others.

    Parameters
    ----------
    identity : array-like, shape (n,)
        Whom or what each row shows.
    group : array-like, shape (n,)
        The group of each row's identity, the same for all its rows.
    n_test : int
        Identities for testing: as many of each group, the first in sorted order having one more where the
        number does not divide.
    min_images : int, default=2
        Identities with fewer rows are not drawn: they stay in training.
    random_state : int, numpy.random.Generator or None, default=None
        Source of the choice.

    Returns
    -------
    train_rows, test_rows : ndarray of int64
        Ascending; no identity is in both, and every row in one.

    Raises
    ------
    ValueError
        If a group has too few identities, none is left for training, or an identity is in several groups.

    Examples
    --------
    >>> import numpy as np
    >>> from metabalance.datasets import split_identities
    >>> identity = np.repeat([7, 8, 9, 10], 3)
    >>> train, test = split_identities(identity, identity > 8, n_test=2, random_state=0)
    >>> len(train), len(test), set(identity[train]) & set(identity[test])
    (6, 6, set())
    """
    rng = np.random.default_rng(random_state)
    n_test, min_images = checked_count("n_test", n_test), checked_count("min_images", min_images)
    codes, sizes, group_of = _identities(identity, group)
    groups = np.unique(group_of)
    drawn = []
    for place, name in enumerate(groups):
        wanted = n_test // len(groups) + (place < n_test % len(groups))
        able = np.flatnonzero((group_of == name) & (sizes >= min_images))
        if len(able) < wanted:
            raise ValueError(
                f"group {shown(name)} has {len(able)} identities with at least min_images={min_images} rows, "
                f"fewer than its {wanted} of n_test={n_test}: lower n_test or min_images"
            )
        drawn.append(rng.choice(able, wanted, replace=False))
    tested = np.isin(codes, np.concatenate(drawn))
    if tested.all():
        raise ValueError(f"n_test={n_test} leaves no identity for training: lower it")
    return np.flatnonzero(~tested), np.flatnonzero(tested)


def thin_group(
    identity: Any,
    group: Any,
    *,
    thinned: Any,
    keep: float = 0.1,
    at_least: int = 2,
    random_state: RandomState = None,
) -> Indices:
    """Keep few random rows of each identity of one group, and all rows of the others.

    Bansal et al. (2021), appendix A.4, remove 90 % of the images of each identity of one gender and keep at
    least two of each.

    Parameters
    ----------
    identity : array-like, shape (n,)
        Whom or what each row shows.
    group : array-like, shape (n,)
        The group of each row's identity, the same for all its rows.
    thinned : label
        The group to thin out.
    keep : float, default=0.1
        Share of rows to keep of each of its identities, from 0 to 1, rounded to whole rows (halves to the
        even number).
    at_least : int, default=2
        Rows to keep of each at any rate; identities with fewer keep all.
    random_state : int, numpy.random.Generator or None, default=None
        Source of the choice.

    Returns
    -------
    indices : ndarray of int64
        Rows to keep, ascending.

    Raises
    ------
    ValueError
        If there is no such group, ``keep`` is out of range, or an identity is in several groups.

    Examples
    --------
    >>> import numpy as np
    >>> from metabalance.datasets import thin_group
    >>> identity = np.repeat([7, 8, 9], [40, 10, 40])
    >>> kept = thin_group(identity, identity < 9, thinned=True, random_state=0)
    >>> np.bincount(identity[kept])[7:]
    array([ 4,  2, 40])
    """
    rng = np.random.default_rng(random_state)
    at_least = checked_count("at_least", at_least)
    if not 0.0 <= keep <= 1.0:
        raise ValueError(f"keep={keep!r} must lie between 0 and 1")
    codes, sizes, _ = _identities(identity, group)
    groups = np.asarray(group)
    rows = rng.permutation(rows_of(groups, thinned))
    place = pd.Series(codes[rows]).groupby(codes[rows]).cumcount().to_numpy()
    wanted = np.maximum(at_least, np.round(keep * sizes))
    chosen = rows[place < wanted[codes[rows]]]
    return np.sort(np.concatenate([chosen, np.flatnonzero(groups != thinned)]))


def load_identity_folder(
    path: str | os.PathLike[str],
    groups: str | os.PathLike[str],
    *,
    size: tuple[int, int] | None = None,
    progress: bool = False,
) -> FaceSet:
    """Read images from a folder with a folder for each person, as LFW is published, all into memory.

    Parameters
    ----------
    path : path-like
        Its folders are the identities, numbered in the order of their names; images may lie deeper in them.
        Other files than images, and names that begin with a dot, are passed over.
    groups : path-like
        Table (``.csv``, ``.csv.gz``, ``.tsv``) with a header and two columns: an identity's folder, and its
        group. Lines for identities that are not in the folder are passed over.
    size : (int, int), optional
        Height and width to resize to, in pixels; without it, all images must have the same size.
    progress : bool, default=False
        Show a progress bar on the error output.

    Returns
    -------
    FaceSet
        Identity by identity; ``group_names`` are those that occur, sorted.

    Raises
    ------
    FileNotFoundError
        If there is no such folder or table.
    ValueError
        If there are fewer than two identities, one is without images or without a line, lines contradict each
        other or are incomplete, images differ in size, or a file is damaged.

    Examples
    --------
    >>> from metabalance.datasets import load_identity_folder
    >>> faces = load_identity_folder("lfw", "gender.csv", size=(112, 112))  # doctest: +SKIP
    >>> faces.group_names  # doctest: +SKIP
    ('female', 'male')
    """
    root = Path(path)
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder {str(root)!r}")
    people = sorted(each.name for each in root.iterdir() if each.is_dir() and not each.name.startswith("."))
    if len(people) < 2:
        raise ValueError(
            f"{str(root)!r} must hold a folder for each of at least two identities, found {len(people)}"
        )
    group_of = _read_groups(Path(groups))
    without = [name for name in people if name not in group_of]
    if without:
        raise ValueError(f"{groups} has no line for {len(without):,} identities: {listed(without)}")
    group_names, codes = np.unique([group_of[name] for name in people], return_inverse=True)
    files = [image_files(root / name) for name in people]
    in_order = [file for of_one in files for file in of_one]
    pixels = read_images(in_order, size, channels=3, title=root.name, progress=progress)
    identity = np.repeat(np.arange(len(people)), [len(of_one) for of_one in files])
    return FaceSet(
        title=root.resolve().name,
        images=torch.from_numpy(pixels),
        identity=identity,
        group=codes.astype(np.int64)[identity],
        group_names=tuple(group_names.tolist()),
        names=tuple(file.relative_to(root).as_posix() for file in in_order),
    )


def _read_groups(file: Path) -> dict[str, str]:
    """The group of each identity."""
    table = read_table(file, parsed=())
    if table.shape[1] != 2:
        raise ValueError(
            f"{file} must have two columns, identity and group; it has {listed([*table.columns])}"
        )
    lines = table.fillna("").apply(lambda column: column.str.strip())
    blank = (lines == "").any(axis=1).to_numpy()
    if blank.any():
        raise ValueError(
            f"{file} has {int(blank.sum()):,} lines without an identity or a group, the first in row "
            f"{int(blank.argmax()) + 1} below the header: fill them in or drop them"
        )
    lines = lines.drop_duplicates()
    names = lines.iloc[:, 0]
    twice = names[names.duplicated()].unique().tolist()
    if twice:
        raise ValueError(f"{file} has {len(twice):,} identities in several groups: {listed(twice)}")
    return dict(zip(names, lines.iloc[:, 1], strict=True))


def _identities(
    identity: Any, group: Any
) -> tuple[NDArray[np.int64], NDArray[np.int64], np.ndarray[Any, Any]]:
    """The identity of each row as a code, and of each identity how many rows it has and its group."""
    identities, groups = checked_labels(identity, "identity"), checked_labels(group, "group")
    if len(identities) != len(groups):
        raise ValueError(f"there are {len(identities)} identities and {len(groups)} groups: give one per row")
    names, first, codes, sizes = np.unique(
        identities, return_index=True, return_inverse=True, return_counts=True
    )
    group_of = groups[first]
    mixed = np.flatnonzero(groups != group_of[codes])
    if len(mixed):
        raise ValueError(f"identity {shown(names[codes[mixed[0]]])} is in several groups: give it one")
    return codes, sizes, group_of
