"""From the DATA argument to a data set: a table with a target column, images, or a built-in name."""

from difflib import get_close_matches
from pathlib import Path

import numpy as np

from metabalance.datasets import (
    BUILTIN,
    Dataset,
    load_builtin,
    load_image_arrays,
    load_image_folder,
    read_table,
    split_target,
)


def load_data(
    data: str,
    target: str | None,
    drop: list[str],
    image_size: int | None = None,
    *,
    progress: bool = False,
) -> Dataset:
    """Return the data set behind DATA, without the dropped columns.

    Raises
    ------
    ValueError
        If a table comes without a target, images or a built-in data set with one, or a column to drop is not
        there.
    FileNotFoundError
        If DATA is neither a file, a folder nor a built-in name.
    """
    is_folder = data not in BUILTIN and Path(data).is_dir()
    if is_folder or Path(data).suffix == ".npz":
        if target is not None or drop:
            what = "is a folder: give one file in it, or, if it holds images in a folder for each class,"
            raise ValueError(
                f"{data} {what if is_folder else 'holds images and their classes:'} leave out --target and "
                "--drop"
            )
        return _load_images(Path(data), image_size, is_folder, progress)
    if image_size is not None:
        raise ValueError(f"--image-size is for folders of images, which {data} is not: leave it out")
    if data in BUILTIN:
        if target is not None or drop:
            raise ValueError(f"{data} is built in and knows its target: leave out --target and --drop")
        return load_builtin(data)
    if not Path(data).exists() and not Path(data).suffix:
        close = get_close_matches(data, BUILTIN, n=1)
        raise FileNotFoundError(
            f"{data!r} is neither a file, a folder of images nor a built-in data set"
            + (f"; did you mean {close[0]!r}?" if close else f"; built in are: {', '.join(BUILTIN)}")
        )
    frame = read_table(data)
    if target is None:
        raise ValueError(f"name the column to predict with --target; {data} has {_some(list(frame.columns))}")
    missing = [column for column in drop if column not in frame.columns]
    if missing:
        raise ValueError(
            f"--drop {missing[0]}: {data} has no such column, it has {_some(list(frame.columns))}"
        )
    if target in drop:
        raise ValueError(f"--drop {target}: this is the target column")
    X, y = split_target(frame.drop(columns=drop), target)
    return Dataset(name=Path(data).name, title=Path(data).name, X=X, y=y, cv=None, description="")


def _load_images(path: Path, size: int | None, is_folder: bool, progress: bool) -> Dataset:
    if is_folder:
        shape = None if size is None else (size, size)
        images = load_image_folder(path, size=shape, progress=progress)
    elif size is None:
        images = load_image_arrays(path)
    else:
        raise ValueError(
            f"--image-size is for folders; the images of {path} are all of one size: leave it out"
        )
    return Dataset(
        name=path.name,
        title=images.title,
        X=images.images.numpy(),
        y=np.array(images.classes)[images.y],
        cv=None,
        description="",
    )


def _some(names: list[str], at_most: int = 12) -> str:
    shown = ", ".join(map(str, names[:at_most]))
    return f"the columns {shown}" + (f" and {len(names) - at_most} more" if len(names) > at_most else "")
