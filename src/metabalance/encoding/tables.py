"""From tables of any columns to float32 arrays, by what was learned from training rows only.

This is our own code rather than scikit-learn's ``ColumnTransformer`` because a fitted pipeline can only be
saved by pickle, which runs code on loading; an encoder's state here is plain JSON.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.sparse import issparse
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_array

from metabalance.encoding.arrays import ArrayEncoder
from metabalance.encoding.categories import (
    CategoryColumn,
    CodedColumn,
    rows_of_each,
    warn_of_doubtful_categories,
)
from metabalance.encoding.columns import COLUMN_KINDS, Column, EmptyColumn, kind_of
from metabalance.encoding.reading import LARGEST, Values

_ROWS_AT_ONCE = 16_384  # whose intermediate results stay in the cache


class TableEncoder:
    """Turn a table of numbers, booleans and categories into a float32 matrix.

    - Numbers: robust scaling z = (x − median) / IQR (the standard deviation where the IQR is 0; output 0
      where that is 0 too), then smooth clipping z / sqrt(1 + (z / 3)²), which keeps outliers within ±3.
      A column with missing values in ``fit`` is imputed with its median and gains a 0/1 indicator.
    - Booleans: 0/1, missing values likewise (the more frequent value, and an indicator).
    - Text, mixed and ``category`` columns: one-hot over the categories seen in ``fit``; missing is a category
      of its own if ``fit`` saw it. Categories with fewer than five rows (and than a hundredth of the rows)
      share one output, "other". A category never seen becomes "other", or zeros where there is none.
    - A column with the same value in all rows of ``fit``, or with none, is dropped.

    Parameters
    ----------
    max_categories : int, default=32
        Most one-hot outputs of a column, at least 2, not counting that for missing values. With more
        categories than this, the most frequent ``max_categories - 1`` keep their output and the rest share
        one, "other".
    coded : bool, default=False
        Give a column with more categories than that a single output in place of these: a code for each
        category with five rows or more, divided by the number of codes. The network has to look it up.

    Attributes
    ----------
    n_features_in_ : int
        Columns of the table.
    feature_names_in_ : list of str or None
        Column names; None for arrays and for data frames whose names are not strings.
    columns_ : tuple
        What was learned, a record of `metabalance.encoding.columns` for each column.
    n_outputs_ : int
        Width of the result; a single 0 where all columns are dropped.
    categorical_outputs_ : ndarray of bool, shape (n_outputs_,)
        True for one-hot, coded, boolean and missing-indicator outputs.
    n_codes_ : dict of int to int
        Codes of each output that is coded.

    References
    ----------
    Scaling and clipping: RealMLP, Holzmüller, Grinsztajn and Steinwart, "Better by default: strong pre-tuned
    MLPs and boosted trees on tabular data", NeurIPS 2024.

    Examples
    --------
    >>> import pandas as pd
    >>> from metabalance.encoding.tables import TableEncoder
    >>> table = pd.DataFrame({"age": [30, 40, 50], "city": ["Bern", "Rome", "Bern"]})
    >>> TableEncoder().fit(table).transform(table).round(2).tolist()
    [[-0.9..., 1.0, 0.0], [0.0, 0.0, 1.0], [0.9..., 1.0, 0.0]]
    """

    n_features_in_: int
    feature_names_in_: list[str] | None
    columns_: tuple[Column, ...]
    n_outputs_: int
    categorical_outputs_: np.ndarray[Any, np.dtype[np.bool_]]
    n_codes_: dict[int, int]

    def __init__(self, max_categories: int = 32, coded: bool = False) -> None:
        self.max_categories = max_categories
        self.coded = coded
        self.columns_ = ()

    def fit(self, X: Any, *, kinds_from: Any = None) -> Self:
        """Learn medians, scales and categories from ``X``: array-like or DataFrame, shape (n, n_features).

        Parameters
        ----------
        X : array-like or DataFrame, shape (n, n_features)
        kinds_from : same as X, optional
            A larger table with the same columns that decides which columns hold numbers and which text;
            nothing else is learned from it. X by default.

        Raises
        ------
        ValueError
            Not two-dimensional, no rows or columns, duplicate names, infinite or complex numbers.
        TypeError
            Sparse matrices; columns of dates, durations or nested objects.

        Warns
        -----
        UserWarning
            Text that hardly is a category; no column that holds anything to learn from.
        """
        limit = self.max_categories
        if isinstance(limit, bool) or not isinstance(limit, (int, np.integer)) or limit < 2:
            raise ValueError(f"max_categories={limit!r} is not usable: give a whole number of at least 2")
        frame, names = _as_frame(X)
        if len(frame) == 0:
            raise ValueError(
                f"Found array with 0 sample(s) (shape={frame.shape}): fit needs at least one row"
            )
        whole = frame if kinds_from is None else _as_frame(kinds_from)[0]
        columns: list[Column] = []
        large = []
        for index, label in enumerate(_labels(names, frame.shape[1])):
            kind = kind_of(whole.iloc[:, index], label)
            values: Any = kind.read(frame.iloc[:, index], label)
            if _exceeds_float32(values):
                large.append(label)
            elif pd.isna(values).all():
                columns.append(EmptyColumn())
            else:
                column = kind.fit(values, int(limit))
                if isinstance(column, CategoryColumn):
                    counts = rows_of_each(values)
                    warn_of_doubtful_categories(counts, label)
                    if self.coded and len(counts) > limit:
                        columns.append(CodedColumn.of(counts, len(values)))
                        continue
                columns.append(column)
        refuse_large(large)
        self._restore(columns, names)
        if not any(column.outputs for column in columns):
            warnings.warn(
                "no column of X holds anything to learn from: each is the same in all rows, or empty, or "
                "text that is different in nearly every row",
                UserWarning,
                stacklevel=3,
            )
        return self

    def transform(self, X: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Encode ``X``, shape (n, n_features), as float32 of shape (n, n_outputs_); n may be 0.

        Columns of a DataFrame are matched by name, whatever their order; those of an array by position.

        Raises
        ------
        ValueError
            Other columns than in ``fit``, text in a column of numbers, infinite numbers.
        """
        if not self.columns_:
            raise NotFittedError("This TableEncoder is not fitted yet: call fit with the training rows first")
        frame = self._match(*_as_frame(X))
        out = np.zeros((len(frame), self.n_outputs_), dtype=np.float32)
        large, start = [], 0
        for index, label in enumerate(_labels(self.feature_names_in_, self.n_features_in_)):
            column = self.columns_[index]
            values = column.read(frame.iloc[:, index], label)
            if _exceeds_float32(values):
                large.append(label)
            else:
                block = out[:, start : start + len(column.outputs)]
                for first in range(0, len(values), _ROWS_AT_ONCE):
                    rows = slice(first, first + _ROWS_AT_ONCE)
                    column.encode(values[rows], block[rows])
            start += len(column.outputs)
        refuse_large(large)
        return out

    def with_columns(self, summaries: Sequence[Any], names: list[str]) -> Self:
        """Take what was learned of each column from its `metabalance.large.summaries.Summary`."""
        columns = [each.column(self.max_categories, self.coded) for each in summaries]
        self._restore(columns, names)
        return self

    @property
    def text_features_(self) -> list[str]:
        """Names of the columns whose values are taken as text: a file must be read so, ``01`` is not 1."""
        names = self.feature_names_in_ or []
        return [
            n
            for n, column in zip(names, self.columns_, strict=False)
            if isinstance(column, CategoryColumn | CodedColumn)
        ]

    def to_state(self) -> dict[str, Any]:
        """Everything ``from_state`` needs, as plain JSON types."""
        kinds = {kind: name for name, kind in COLUMN_KINDS.items()}
        return {
            "encoder": "table",
            "max_categories": int(self.max_categories),
            "coded": bool(self.coded),
            "feature_names": self.feature_names_in_,
            "columns": [{"kind": kinds[type(column)], **asdict(column)} for column in self.columns_],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild the encoder that ``to_state`` described; it transforms bit for bit alike."""
        encoder = cls(state["max_categories"], state["coded"])
        columns = []
        for saved in state["columns"]:
            # JSON knows lists only.
            fields: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value for key, value in saved.items()
            }
            columns.append(COLUMN_KINDS[fields.pop("kind")](**fields))
        encoder._restore(columns, state["feature_names"])
        return encoder

    def _restore(self, columns: list[Column], names: list[str] | None) -> None:
        self.columns_ = tuple(columns)
        self.n_features_in_ = len(columns)
        self.feature_names_in_ = names
        flags = [flag for column in columns for flag in column.outputs]
        self.categorical_outputs_ = np.array(flags or [False])
        self.n_outputs_ = len(self.categorical_outputs_)
        self.n_codes_ = {}
        start = 0
        for column in columns:
            if isinstance(column, CodedColumn) and column.outputs:
                self.n_codes_[start] = column.n_codes
            start += len(column.outputs)

    def _match(self, frame: Any, names: list[str] | None) -> Any:
        """The columns of ``fit`` in the order of ``fit``."""
        fitted = self.feature_names_in_
        if fitted is not None and names is not None:
            _compare_names(fitted, names)
            return frame[fitted]
        if frame.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {frame.shape[1]} features, but TableEncoder is expecting {self.n_features_in_} "
                "features as input: give the columns that it was fitted on"
            )
        if fitted is not None:
            message = "X does not have valid feature names, but TableEncoder was fitted with feature names"
            warnings.warn(message, UserWarning, stacklevel=3)
        elif names is not None:
            message = "X has feature names, but TableEncoder was fitted without feature names"
            warnings.warn(message, UserWarning, stacklevel=3)
        return frame


def make_encoder(X: Any, *, coded: bool = False) -> TableEncoder | ArrayEncoder:
    """Choose by dimension: an `ArrayEncoder` from three dimensions on, else a `TableEncoder`; not fitted.

    Parameters
    ----------
    X
        As `fit` takes it.
    coded : bool, default=False
        As in `TableEncoder`.

    Raises
    ------
    TypeError
        Sparse matrices.

    Examples
    --------
    >>> import numpy as np
    >>> type(make_encoder(np.zeros((5, 8, 8)))).__name__
    'ArrayEncoder'
    """
    refuse_single(X)  # here, as callers may take rows of X before they fit the encoder
    is_table = isinstance(X, pd.DataFrame)
    ndim = 2 if is_table else np.asarray(X, dtype=object if isinstance(X, (list, tuple)) else None).ndim
    return ArrayEncoder() if ndim >= 3 else TableEncoder(coded=coded)


def refuse_single(X: Any) -> None:
    """Raise TypeError for something that has no rows of its own, such as a path or a sparse matrix."""
    if issparse(X):
        raise TypeError("Sparse data was passed, but dense data is required. Use '.toarray()' to convert it.")
    if not isinstance(X, pd.DataFrame | list | tuple) and np.asarray(X).ndim == 0:
        raise TypeError(
            f"X must be a table or an array of rows, got {X!r:.80}: read files first, such as by pandas; "
            "only the fit of a network takes a table in files"
        )


def encoder_from_state(state: Mapping[str, Any]) -> TableEncoder | ArrayEncoder:
    """Rebuild whichever encoder ``to_state`` described.

    Raises
    ------
    ValueError
        The state names no encoder known here.

    Examples
    --------
    >>> import numpy as np
    >>> state = TableEncoder().fit(np.eye(3)).to_state()
    >>> encoder_from_state(state).n_features_in_
    3
    """
    encoders: dict[Any, type[TableEncoder | ArrayEncoder]] = {"table": TableEncoder, "array": ArrayEncoder}
    name = state.get("encoder")
    if name not in encoders:
        raise ValueError(
            f"unknown encoder {name!r} in the saved state: expected one of {', '.join(encoders)}"
        )
    return encoders[name].from_state(state)


def _as_frame(X: Any) -> tuple[Any, list[str] | None]:
    """``X`` as a DataFrame, and its column names where they are strings."""
    refuse_single(X)
    if not isinstance(X, pd.DataFrame):
        # Lists may mix numbers and text: as objects, each column keeps its own kind.
        rows = _listed(X) if isinstance(X, (list, tuple)) else X
        array = check_array(rows, dtype=None, ensure_all_finite=False, ensure_min_samples=0)
        return pd.DataFrame(array.astype(object) if array.dtype.kind == "U" else array, copy=False), None
    if X.shape[1] == 0:
        raise ValueError(f"Found array with 0 feature(s) (shape={X.shape}) while a minimum of 1 is required.")
    repeated = list(dict.fromkeys(str(name) for name in X.columns[X.columns.duplicated()]))
    if repeated:
        raise ValueError(f"column names occur more than once: {', '.join(repeated)}; rename or drop them")
    textual = [isinstance(name, str) for name in X.columns]
    if all(textual):
        return X, list(X.columns)
    if any(textual):
        odd = X.columns[textual.index(False)]
        raise TypeError(
            f"column names must be all strings, but {odd!r} is a {type(odd).__name__}: "
            "rename the columns with X.columns = X.columns.astype(str)"
        )
    return X, None


def _listed(X: Any) -> Any:
    """Rows in a list as an array of objects."""
    rows = np.array(X, dtype=object)
    lengths = {len(row) for row in rows if isinstance(row, list | tuple)} if rows.ndim == 1 else set()
    if lengths:  # or else they would have made a second dimension
        raise ValueError(f"the rows of X have different lengths: {', '.join(map(str, sorted(lengths)[:5]))}")
    return rows


def _labels(names: list[str] | None, n_columns: int) -> Iterator[str]:
    return (f"column {index if names is None else repr(names[index])}" for index in range(n_columns))


def _compare_names(fitted: list[str], names: list[str]) -> None:
    parts = []
    for title, missing in (
        ("Feature names unseen at fit time:", sorted(set(names) - set(fitted))),
        ("Feature names seen at fit time, yet now missing:", sorted(set(fitted) - set(names))),
    ):
        if missing:
            shown = [f"- {name}" for name in missing[:5]] + (["- ..."] if len(missing) > 5 else [])
            parts += [title, *shown]
    if parts:
        lines = ["The feature names should match those that were passed during fit.", *parts]
        raise ValueError("\n".join(lines) + "\n")


def _exceeds_float32(values: Values) -> bool:
    # Category names come as objects and have no size; NaN compares False.
    return values.dtype.kind == "f" and bool((np.abs(values) > LARGEST).any())


def refuse_large(labels: list[str]) -> None:
    """Raise ValueError if there are columns with numbers that are infinite, or beyond float32."""
    if labels:
        raise ValueError(
            f"X holds infinity or a value too large for float32 in {', '.join(labels)}: "
            "correct these values, or make them NaN to have them treated as missing"
        )
