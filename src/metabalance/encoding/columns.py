"""How one column of a table becomes numbers: each kind is a frozen record of what ``fit`` saw.

Every kind offers ``read`` (column to values, with its checks), ``fit`` (values to record; a column without
values needs none), ``encode`` (values into a block of zeros) and ``outputs`` (which outputs it fills, and
whether each is categorical). What was the same in all rows of ``fit`` fills none.
The records hold nothing but numbers, strings and booleans, so they survive JSON unchanged.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from pandas.api import types

from metabalance.encoding.categories import CategoryColumn, CodedColumn
from metabalance.encoding.reading import NUMBERS, Values, check_supported, read_numbers

CLIP_AT = 3.0  # where the smooth clipping levels off, in units of the scale


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
        deviation = known.std() if known.min() < known.max() else 0.0
        return cls.of(known, float(deviation), bool(missing.any()))

    @classmethod
    def of(cls, known: Values, deviation: float, indicator: bool) -> Self:
        """Return the record from known values, or a sample of them, and the deviation of all of them."""
        low, center, high = np.quantile(known, [0.25, 0.5, 0.75])
        return cls(float(center), float(high - low) or deviation, indicator)

    @property
    def outputs(self) -> tuple[bool, ...]:
        """One flag per output: True where it is categorical."""
        return (False,) * (self.scale > 0.0) + (True,) * self.indicator

    def encode(self, values: Values, out: Values) -> None:
        """Fill ``out`` of shape (n, len(outputs)) with the scaled value and the indicator."""
        missing = np.isnan(values)
        if self.scale > 0.0:
            # A scale far below the values may overflow: beyond 1e6 scales the result is flat in any case.
            with np.errstate(over="ignore"):
                z = np.clip((values - self.center) / self.scale, -1e6, 1e6)
            out[:, 0] = np.where(missing, 0.0, z / np.sqrt(1.0 + (z / CLIP_AT) ** 2))
        if self.indicator:
            out[:, -1] = missing


@dataclass(frozen=True)
class BooleanColumn:
    """0 or 1; a missing value becomes the more frequent of the two."""

    fill: bool
    varies: bool
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
        """Remember the more frequent value, whether there was another, and whether any was missing."""
        return cls.of(float(np.nanmean(values)), bool(np.isnan(values).any()))

    @classmethod
    def of(cls, share: float, indicator: bool) -> Self:
        """Return the record from the share of true values among the known ones."""
        return cls(bool(share > 0.5), bool(0.0 < share < 1.0), indicator)

    @property
    def outputs(self) -> tuple[bool, ...]:
        """One flag per output: True where it is categorical."""
        return (True,) * (self.varies + self.indicator)

    def encode(self, values: Values, out: Values) -> None:
        """Fill ``out`` of shape (n, len(outputs)) with the value and the indicator."""
        missing = np.isnan(values)
        if self.varies:
            out[:, 0] = np.where(missing, float(self.fill), values)
        if self.indicator:
            out[:, -1] = missing


@dataclass(frozen=True)
class EmptyColumn:
    """A column with no value at all in fit: nothing was learned about it, whatever comes."""

    @staticmethod
    def read(series: Any, label: str) -> Values:
        """No value is looked at."""
        return np.full(len(series), np.nan)

    @property
    def outputs(self) -> tuple[bool, ...]:
        """No output."""
        return ()

    def encode(self, values: Values, out: Values) -> None:
        """There is nothing to fill."""


Column = NumericColumn | BooleanColumn | CategoryColumn | CodedColumn | EmptyColumn

COLUMN_KINDS: dict[str, type[Column]] = {
    "numeric": NumericColumn,
    "boolean": BooleanColumn,
    "category": CategoryColumn,
    "coded": CodedColumn,
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
        return NumericColumn if all(isinstance(value, NUMBERS) for value in known) else CategoryColumn
    if types.is_bool_dtype(series.dtype):
        return BooleanColumn
    return NumericColumn if types.is_numeric_dtype(series.dtype) else CategoryColumn
