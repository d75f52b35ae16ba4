"""Where the data are that this project does not ship."""

import os
from pathlib import Path

DATA_VARIABLE = "METABALANCE_DATA"


def data_folder(data_root: str | os.PathLike[str] | None) -> Path | None:
    """The folder of the data: the one given, or that of the environment variable, or none.

    Raises
    ------
    TypeError, ValueError
        If it is no path, or the path of a file.
    """
    # A variable that is set to nothing says nothing.
    chosen = data_root if data_root is not None else os.environ.get(DATA_VARIABLE) or None
    if chosen is None:
        return None
    if not isinstance(chosen, str | os.PathLike):
        raise TypeError(f"data_root must be the path of a folder, got {chosen!r}")
    if Path(chosen).is_file():
        raise ValueError(f"{str(chosen)!r} is a file, not a folder of data")
    return Path(chosen)
