"""How one column of a table becomes numbers: four kinds, each a frozen record of what ``fit`` saw.

Every kind offers ``read`` (column to values, with its checks), ``fit`` (values to record; a column without
values needs none), ``encode`` (values into a block of zeros) and ``outputs`` (which outputs it fills, and
whether each is categorical).
The records hold nothing but numbers, strings and booleans, so they survive JSON unchanged.
"""

import warnings
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Any, Self

import numpy as np
import pandas as pd
from pandas.api import types

Values = np.ndarray[Any, Any]

_FEWEST_TO_JUDGE = 50  # rows, below which texts may well be all different
_NUMBERS = (Real, Decimal, np.bool_)
_CLIP_AT = 3.0  # where the smooth clipping levels off, in units of the scale


@dataclass(frozen=True)
class NumericColumn:
    """Robust scaling and smooth clipping; a missing value becomes the median (0 after scaling)."""

    center: float
    scale: float
    indicator: bool

    @staticmethod
    def read(series: Any, label: str) -> Values:
        """The column as float64, missing values as NaN."""
        return read_numbers(series, label)

    @classmethod
    def fit(cls, values: Values, max_categories: int) -> Self:
        """Median and interquartile range (standard deviation where that range is 0) of the known values."""
        missing = np.isnan(values)
        known = values[~missing]
        low, center, high = np.quantile(known, [0.25, 0.5, 0.75])
        scale = high - low
        if scale == 0.0 and known.min() < known.max():
            scale = known.std()
        return cls(float(center), float(scale), bool(missing.any()))

    @property
    def outputs(self) -> tuple[bool, ...]:
        """One flag per output: True where it is categorical."""
        return (False, True) if self.indicator else (False,)

    def encode(self, values: Values, out: Values) -> None:
        """Fill ``out`` of shape (n, len(outputs)) with the scaled value and the indicator."""
        missing = np.isnan(values)
        if self.scale > 0.0:
            # A scale far below the values may overflow: beyond 1e6 scales the result is flat in any case.
            with np.errstate(over="ignore"):
                z = np.clip((values - self.center) / self.scale, -1e6, 1e6)
            out[:, 0] = np.where(missing, 0.0, z / np.sqrt(1.0 + (z / _CLIP_AT) ** 2))
        if self.indicator:
            out[:, 1] = missing


@dataclass(frozen=True)
class BooleanColumn:
    """0 or 1; a missing value becomes the more frequent of the two."""

    fill: bool
    indicator: bool

    @staticmethod
    def read(series: Any, label: str) -> Values:
        """The column as float64 of 0, 1 and NaN."""
        words = {"true": True, "false": False}
        if not (types.is_bool_dtype(series.dtype) or types.is_numeric_dtype(series.dtype)):
            # One other text in a file makes pandas read true and false as texts too.
            series = series.map(lambda v: words.get(v.strip().lower(), v) if isinstance(v, str) else v)
        values = read_numbers(series, label, held="only true and false")
        odd = ~(np.isnan(values) | (values == 0.0) | (values == 1.0))
        if odd.any():
            row = int(odd.argmax())
            raise ValueError(
                f"{label} held only true and false in fit, but now holds {values[row]:g} (row {row}): "
                "correct the value, or fit again"
            )
        return values

    @classmethod
    def fit(cls, values: Values, max_categories: int) -> Self:
        """Remember the more frequent value and whether any was missing."""
        return cls(bool(np.nanmean(values) > 0.5), bool(np.isnan(values).any()))

    @property
    def outputs(self) -> tuple[bool, ...]:
        """One flag per output: True where it is categorical."""
        return (True, True) if self.indicator else (True,)

    def encode(self, values: Values, out: Values) -> None:
        """Fill ``out`` of shape (n, len(outputs)) with the value and the indicator."""
        missing = np.isnan(values)
        out[:, 0] = np.where(missing, float(self.fill), values)
        if self.indicator:
            out[:, 1] = missing


@dataclass(frozen=True)
class CategoryColumn:
    """One-hot over the categories seen in fit, then one output for the rare ones, then one for missing."""

    categories: tuple[str, ...]
    other: bool
    missing: bool

    @staticmethod
    def read(series: Any, label: str) -> Values:
        """The column as an object array of category names, missing values as None."""
        check_supported(series, label)
        if types.infer_dtype(series, skipna=True) in ("string", "categorical"):
            # Every category is named once; values of several kinds may be equal (True and 1), texts are not.
            codes, values = pd.factorize(series)
            names = np.empty(len(values) + 1, dtype=object)
            names[:-1] = [_category_name(value) for value in values]
            named: Values = names[codes]  # a missing value has code -1, and no name
            return named
        names = np.empty(len(series), dtype=object)
        names[:] = [
            None if gone else _category_name(value)
            for value, gone in zip(series.astype(object), series.isna(), strict=True)
        ]
        return names

    @classmethod
    def fit(cls, values: Values, max_categories: int) -> Self:
        """Keep the most frequent categories, sorted by name; equally frequent ones go by name."""
        counts = Counter(value for value in values if value is not None)
        ranked = sorted(counts, key=lambda name: (-counts[name], name))
        other = len(ranked) > max_categories
        kept = ranked[: max_categories - 1] if other else ranked
        return cls(tuple(sorted(kept)), other, any(value is None for value in values))

    @property
    def outputs(self) -> tuple[bool, ...]:
        """One flag per output: True where it is categorical."""
        return (True,) * (len(self.categories) + self.other + self.missing)

    def encode(self, values: Values, out: Values) -> None:
        """Fill ``out`` of shape (n, len(outputs)) with at most a single 1 per row."""
        place: dict[str | None, int] = {name: index for index, name in enumerate(self.categories)}
        unknown = len(self.categories) if self.other else -1
        if self.missing:
            place[None] = len(self.outputs) - 1
        found, names = pd.factorize(values)
        # A missing value was found at -1, which is the last of these.
        codes = np.array([place.get(name, unknown) for name in [*names, None]], dtype=np.int64)[found]
        rows = np.flatnonzero(codes >= 0)
        out[rows, codes[rows]] = 1.0


@dataclass(frozen=True)
class EmptyColumn:
    """A column with no value at all in fit: nothing was learned about it, so it stays 0 whatever comes."""

    @staticmethod
    def read(series: Any, label: str) -> Values:
        """No value is looked at."""
        return np.full(len(series), np.nan)

    @property
    def outputs(self) -> tuple[bool, ...]:
        """One output, not categorical."""
        return (False,)

    def encode(self, values: Values, out: Values) -> None:
        """``out`` arrives filled with zeros and stays so."""


Column = NumericColumn | BooleanColumn | CategoryColumn | EmptyColumn

COLUMN_KINDS: dict[str, type[Column]] = {
    "numeric": NumericColumn,
    "boolean": BooleanColumn,
    "category": CategoryColumn,
    "empty": EmptyColumn,
}


def kind_of(series: Any, label: str) -> type[NumericColumn | BooleanColumn | CategoryColumn]:
    """Decide from dtype, and from the values where the dtype says nothing, what a column is."""
    check_supported(series, label)
    if isinstance(series.dtype, pd.CategoricalDtype):
        return CategoryColumn
    if types.is_object_dtype(series.dtype):
        known = series.dropna()
        if all(isinstance(value, (bool, np.bool_)) for value in known):
            return BooleanColumn
        return NumericColumn if all(isinstance(value, _NUMBERS) for value in known) else CategoryColumn
    if types.is_bool_dtype(series.dtype):
        return BooleanColumn
    return NumericColumn if types.is_numeric_dtype(series.dtype) else CategoryColumn


def check_supported(series: Any, label: str) -> None:
    """Refuse what is neither a number, nor true/false, nor a category."""
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return
    if types.is_object_dtype(dtype):
        odd = next((value for value in series.dropna() if not isinstance(value, (str, *_NUMBERS))), None)
        if isinstance(odd, complex):
            raise ValueError(_complex_message(label))
        if odd is not None:
            raise TypeError(
                f"{label} (dtype object) holds a {type(odd).__name__}, but an argument must be a string or a "
                "real number: turn it into columns of numbers, true/false or text first"
            )
    elif types.is_complex_dtype(dtype):
        raise ValueError(_complex_message(label))
    elif not (types.is_numeric_dtype(dtype) or types.is_bool_dtype(dtype) or types.is_string_dtype(dtype)):
        raise TypeError(
            f"{label} has dtype {dtype}, which is neither numbers, true/false nor text: turn it into numbers "
            "first (for a date: days since a reference date, the weekday, the hour), or drop it"
        )


def read_numbers(series: Any, label: str, held: str = "numbers") -> Values:
    """A column as float64 with NaN for missing; text in it is refused with the first such value."""
    check_supported(series, label)
    dtype = series.dtype
    plain = not (isinstance(dtype, pd.CategoricalDtype) or types.is_object_dtype(dtype))
    if plain and (types.is_numeric_dtype(dtype) or types.is_bool_dtype(dtype)):
        numbers: Values = series.to_numpy(dtype=np.float64, na_value=np.nan)
        return numbers
    numbers = np.full(len(series), np.nan)
    for row, (value, gone) in enumerate(zip(series.astype(object), series.isna(), strict=True)):
        if gone:
            continue
        try:
            # One text among the numbers of a file makes pandas read them all as text.
            numbers[row] = float(value)
        except OverflowError:  # a Python integer beyond float64: refused with the infinite ones
            numbers[row] = np.inf
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{label} held {held} in fit, but now holds {value!r} (row {row}): correct the value, "
                "or fit again"
            ) from error
    return numbers


def warn_of_doubtful_categories(values: Values, label: str) -> None:
    """Warn of text that hardly is a category: identifiers, and numbers with a few other values among them."""
    known = [value for value in values if value is not None]
    if len(known) < _FEWEST_TO_JUDGE:
        return
    if len(set(known)) > 0.9 * len(known):
        warnings.warn(
            f"{label} holds {len(set(known))} different texts in {len(known)} rows, like an identifier or a "
            "date, and is used as categories: drop it, or turn it into numbers",
            UserWarning,
            stacklevel=4,
        )
        return
    others = [value for value in known if not _is_number(value)]
    if 0 < len(others) < 0.1 * len(known):
        warnings.warn(
            f"{label} is used as categories because of {others[0]!r} among {len(known) - len(others)} "
            "numbers: make such values blank if it is a column of numbers",
            UserWarning,
            stacklevel=4,
        )


def _is_number(text: str) -> bool:
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


def _complex_message(label: str) -> str:
    return (
        f"Complex data not supported: {label} holds complex numbers; make real and imaginary part two columns"
    )
