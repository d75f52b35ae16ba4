"""How a column of categories becomes numbers: an output for each, or a code in a single one."""

import warnings
from collections import Counter
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api import types

from metabalance.encoding.reading import Values, check_supported

MOST_CODES = 4096
FEWEST_ROWS = 5  # of a category with an output or a code of its own, in all but small tables
_FEWEST_TO_JUDGE = 50  # rows, below which texts may well be all different


@dataclass(frozen=True)
class CategoryColumn:
    """One-hot over the categories seen in fit, then one output for the rare ones, then one for missing.

    Rare are those with fewer than five rows and than a hundredth of all rows, and those beyond the most
    frequent ones where there are too many.
    """

    categories: tuple[str, ...]
    other: bool
    missing: bool

    @staticmethod
    def read(series: Any, label: str) -> pd.Categorical:
        """The names of the categories, each once, and which of them is in which row."""
        check_supported(series, label)
        if types.infer_dtype(series, skipna=True) in ("string", "categorical"):
            # Every category is named once; values of several kinds may be equal (True and 1), texts are not.
            codes, values = pd.factorize(series)
            names = [_category_name(value) for value in values]
            if len(set(names)) == len(names):
                return pd.Categorical.from_codes(codes, categories=pd.Index(names, dtype=object))
        named = np.empty(len(series), dtype=object)
        named[:] = [
            None if gone else _category_name(value)
            for value, gone in zip(series.astype(object), series.isna(), strict=True)
        ]
        return pd.Categorical(named)

    @classmethod
    def fit(cls, values: pd.Categorical, max_categories: int, fewest_rows: float = FEWEST_ROWS) -> Self:
        """Keep the most frequent categories, sorted by name; equally frequent ones go by name."""
        return cls.of(rows_of_each(values), len(values), max_categories, fewest_rows)

    @classmethod
    def of(
        cls, counts: Counter[str], rows: int, max_categories: int, fewest_rows: float = FEWEST_ROWS
    ) -> Self:
        """Return the record from the rows of each category, and all rows, missing values included."""
        ranked = sorted(counts, key=lambda name: (-counts[name], name))
        fewest = min(fewest_rows, rows / 100)
        kept = [name for name in ranked if counts[name] >= fewest]
        if len(ranked) > max_categories:
            kept = kept[: max_categories - 1]
        return cls(tuple(sorted(kept)), len(kept) < len(ranked), counts.total() < rows)

    @property
    def outputs(self) -> tuple[bool, ...]:
        """One flag per output: True where it is categorical."""
        n_outputs = len(self.categories) + self.other + self.missing
        return (True,) * n_outputs if n_outputs > 1 else ()

    def encode(self, values: pd.Categorical, out: Values) -> None:
        """Fill ``out`` of shape (n, len(outputs)) with at most a single 1 per row."""
        if not self.outputs:
            return
        place: dict[str | None, int] = {name: index for index, name in enumerate(self.categories)}
        unknown = len(self.categories) if self.other else -1
        if self.missing:
            place[None] = len(self.outputs) - 1
        codes = _places(values, place, unknown)
        rows = np.flatnonzero(codes >= 0)
        out[rows, codes[rows]] = 1.0


@dataclass(frozen=True)
class CodedColumn:
    """One output with a code for each category, for a network that has a vector for each.

    Rare and unseen categories share the code 0, missing values have one of their own if ``fit`` saw any. The
    output is the code's share of all codes, so that no distance between rows is ruled by it.
    """

    categories: tuple[str, ...]
    missing: bool

    @staticmethod
    def read(series: Any, label: str) -> pd.Categorical:
        """As `CategoryColumn.read`."""
        return CategoryColumn.read(series, label)

    @classmethod
    def of(cls, counts: Counter[str], rows: int) -> Self:
        """Keep the categories that are frequent enough, sorted by name, the most frequent ones if need be."""
        ranked = sorted(counts, key=lambda name: (-counts[name], name))
        kept = [name for name in ranked[:MOST_CODES] if counts[name] >= FEWEST_ROWS]
        return cls(tuple(sorted(kept)), counts.total() < rows)

    @property
    def n_codes(self) -> int:
        """Codes 0, 1, …, the common one of rare categories included."""
        return 1 + len(self.categories) + self.missing

    @property
    def outputs(self) -> tuple[bool, ...]:
        """One output, categorical; none where all categories are rare, and so look alike."""
        return (True,) * (self.n_codes > 1)

    def encode(self, values: pd.Categorical, out: Values) -> None:
        """Fill ``out`` of shape (n, len(outputs)) with code / n_codes."""
        if not self.outputs:
            return
        place: dict[str | None, int] = {name: 1 + index for index, name in enumerate(self.categories)}
        if self.missing:
            place[None] = self.n_codes - 1
        out[:, 0] = _places(values, place, 0) / self.n_codes


def _places(values: pd.Categorical, place: dict[str | None, int], unknown: int) -> NDArray[np.int64]:
    # A missing value has the code -1, which is the last of these.
    places = np.array([place.get(name, unknown) for name in [*values.categories, None]], dtype=np.int64)
    taken: NDArray[np.int64] = places[values.codes]
    return taken


def rows_of_each(values: pd.Categorical) -> Counter[str]:
    """Return how many rows each category has."""
    codes, counts = np.unique(values.codes[values.codes >= 0], return_counts=True)
    return Counter(dict(zip(values.categories[codes], counts.tolist(), strict=True)))


def warn_of_doubtful_categories(counts: Counter[str], label: str) -> None:
    """Warn of text that hardly is a category: identifiers, and numbers with a few other values among them."""
    known = counts.total()
    if known < _FEWEST_TO_JUDGE:
        return
    others = {value: count for value, count in counts.items() if not is_number(value)}
    if all(is_number(value.replace(",", ".", 1)) for value in others) and others:
        warnings.warn(
            f"{label} is used as categories because of decimal commas, such as {next(iter(others))!r}: "
            "read it as numbers (pandas.read_csv(…, decimal=','))",
            UserWarning,
            stacklevel=4,
        )
    elif 0 < sum(others.values()) < 0.1 * known:
        warnings.warn(
            f"{label} is used as categories because of {next(iter(others))!r} among "
            f"{known - sum(others.values())} "
            "numbers: make such values blank if it is a column of numbers",
            UserWarning,
            stacklevel=4,
        )
    elif len(counts) > 0.9 * known:
        warnings.warn(
            f"{label} holds {len(counts)} different texts in {known} rows, like an identifier or a date, "
            "which say next to nothing as categories: drop it, or turn it into numbers",
            UserWarning,
            stacklevel=4,
        )


def is_number(text: str) -> bool:
    """Return whether a text is a number, as Python reads it."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _category_name(value: Any) -> str:
    """The same name for 1 and 1.0: pandas turns whole numbers into floats as soon as one is missing."""
    if isinstance(value, (float, np.floating)) and value.is_integer():
        return str(int(value))
    return str(value)
