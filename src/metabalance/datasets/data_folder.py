"""Where the data are that this project does not ship."""

import os
from pathlib import Path

DATA_VARIABLE = "METABALANCE_DATA"


def data_folder(data_root: str | os.PathLike[str] | None) -> Path | None:
    """The folder of the data: the one given, or that of the environment variable, or none."""
    # A variable that is set to nothing says nothing.
    chosen = data_root if data_root is not None else os.environ.get(DATA_VARIABLE) or None
    return None if chosen is None else Path(chosen)
