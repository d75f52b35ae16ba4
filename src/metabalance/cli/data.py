"""From the DATA argument to a data set: a file with a target column, or a built-in name."""

from difflib import get_close_matches
from pathlib import Path

from metabalance.datasets import BUILTIN, Dataset, load_builtin, read_table, split_target


def load_data(data: str, target: str | None, drop: list[str]) -> Dataset:
    """Return the data set behind DATA, without the dropped columns.

    Raises
    ------
    ValueError
        If a file comes without a target, a built-in data set with one, or a column to drop is not there.
    FileNotFoundError
        If DATA is neither a file nor a built-in name.
    """
    if data in BUILTIN:
        if target is not None or drop:
            raise ValueError(f"{data} is built in and knows its target: leave out --target and --drop")
        return load_builtin(data)
    if not Path(data).exists() and not Path(data).suffix:
        close = get_close_matches(data, BUILTIN, n=1)
        raise FileNotFoundError(
            f"{data!r} is neither a file nor a built-in data set"
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


def _some(names: list[str], at_most: int = 12) -> str:
    shown = ", ".join(map(str, names[:at_most]))
    return f"the columns {shown}" + (f" and {len(names) - at_most} more" if len(names) > at_most else "")
