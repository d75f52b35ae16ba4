"""Groups to balance by, of any kind: sex, region, camera, or pairs of these with the label."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def encode_groups(name: str, groups: Any, n_rows: int) -> tuple[list[str], NDArray[np.int64]]:
    """Return the names of the groups that occur, and the code of each row's group among them.

    Parameters
    ----------
    name : str
        The argument's, for messages.
    groups : array-like of shape (n_rows,) or (n_rows, k)
        Numbers, strings, booleans or categories without gaps. With k columns every combination that occurs
        is a group.
    n_rows : int

    Raises
    ------
    ValueError
        If there are not as many rows, groups are missing, all the same, fractions, or known to have no rows.
    TypeError
        If groups are things that name none, such as lists.

    Examples
    --------
    >>> from metabalance.estimators.groups import encode_groups
    >>> names, codes = encode_groups("balance_by", [["f", 0], ["m", 0], ["f", 1]], 3)
    >>> names, codes.tolist()
    (['f, 0', 'f, 1', 'm, 0'], [0, 2, 1])
    """
    try:
        table = pd.DataFrame(groups)
    except ValueError as error:
        raise ValueError(
            f"{name} must be one group for each row, or a few columns of them, got {groups!r:.80}: {error}"
        ) from error
    if len(table) != n_rows or table.shape[1] == 0:
        raise ValueError(f"{name} must have a group for each of the {n_rows} rows of X, got {len(table)}")
    missing = table.isna().any(axis=1).to_numpy()
    if missing.any():
        raise ValueError(
            f"{name} is missing (NaN) in {int(missing.sum())} of {n_rows} rows, the first of them "
            f"{int(missing.argmax())}: drop those rows or name a group for them"
        )
    codes = np.zeros(n_rows, dtype=np.int64)
    for _, column in table.items():
        values, own = _ordered_values(name, column)
        codes = codes * len(values) + own
    occurring, first, codes = np.unique(codes, return_index=True, return_inverse=True)
    names = [", ".join(map(str, row)) for row in table.iloc[first].itertuples(index=False, name=None)]
    if len(set(names)) < len(names):
        twice = next(each for each in names if names.count(each) > 1)
        raise ValueError(f"two groups of {name} are both called {twice!r}: rename one of them")
    if len(occurring) < 2:
        raise ValueError(
            f"{name} needs at least two groups, every row is of {names[0]!r} (of this part, if the rows were "
            "split): merge or drop rare groups, or split so that each has rows in every part"
            if names
            else f"{name} is empty: there is nothing to learn from"
        )
    return names, codes.astype(np.int64)


def named_groups(name: str, groups: Any, n_rows: int) -> NDArray[Any]:
    """Return the name of each row's group; arguments and errors are those of `encode_groups`."""
    names, codes = encode_groups(name, groups, n_rows)
    return np.asarray(names, dtype=object)[codes]


def _ordered_values(name: str, column: pd.Series) -> tuple[list[Any], NDArray[np.int64]]:
    """The distinct values, sorted where they can be, and the place of each row's among them."""
    if column.dtype == object:
        column = column.infer_objects()
        unhashable = next((value for value in column if not isinstance(value, Hashable)), None)
        if unhashable is not None:
            raise TypeError(f"{name} holds {unhashable!r:.80}, which names no group: give text or numbers")
    if pd.api.types.is_float_dtype(column) and (column % 1 != 0).any():
        fraction = float(column[column % 1 != 0].iloc[0])
        raise ValueError(
            f"{name} holds fractions, such as {fraction!r}, which make no groups: cut the numbers into "
            "ranges first, for example with pandas.cut"
        )
    if isinstance(column.dtype, pd.CategoricalDtype):
        counts = column.value_counts()
        if (counts == 0).any():
            raise ValueError(
                f"group {str(counts.index[counts == 0][0])!r} of {name} has no rows, and cannot be drawn "
                "from: collect some, or call .cat.remove_unused_categories()"
            )
        return column.cat.categories.tolist(), column.cat.codes.to_numpy(dtype=np.int64)
    codes, values = pd.factorize(column, sort=_sortable(column))
    return list(values), codes.astype(np.int64)


def _sortable(column: pd.Series) -> bool:
    return column.dtype != object or len({type(value) for value in column}) == 1
