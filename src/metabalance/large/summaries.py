"""What an encoder must know of each column, gathered in one pass over rows that do not fit in memory.

Whatever rare rows could decide is exact: missing values, whether a column varies, categories (up to 131,072
different ones). Quantiles are those of a sample.
"""

import math
import warnings
from abc import ABC, abstractmethod
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from metabalance.encoding.categories import (
    CategoryColumn,
    CodedColumn,
    rows_of_each,
    warn_of_doubtful_categories,
)
from metabalance.encoding.columns import BooleanColumn, Column, EmptyColumn, NumericColumn
from metabalance.encoding.reading import LARGEST, Values, unsupported

MOST_COUNTED = 2**17  # categories of a column; with more, those that are rare so far are no longer counted


class Summary(ABC):
    """What is known so far of one column.

    Parameters
    ----------
    label : str
        What messages call it.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self.rows = 0
        self.known = 0

    @abstractmethod
    def add(self, series: Any, sampled: Values) -> None:
        """Look at further rows, of which those numbers belong to the sample."""

    def column(self, max_categories: int, coded: bool) -> Column:
        """Return the record of the column."""
        return self._record(max_categories, coded) if self.known else EmptyColumn()

    @abstractmethod
    def _record(self, max_categories: int, coded: bool) -> Column:
        """The record of a column that had a value somewhere."""

    @property
    def missing(self) -> bool:
        """Whether a value was missing."""
        return self.known < self.rows


class NumericSummary(Summary):
    """Of numbers: extremes, mean and deviation of all, and a sample of the values.

    Mean and deviation of a batch are joined with those of the others as Chan, Golub and LeVeque (1979) do.
    """

    def __init__(self, label: str) -> None:
        super().__init__(label)
        self.low, self.high = math.inf, -math.inf
        self.mean, self.squares = 0.0, 0.0
        self.sample: list[Values] = []

    @property
    def too_large(self) -> bool:
        """Whether a value is infinite or beyond float32."""
        return self.high > LARGEST or self.low < -LARGEST

    def add(self, series: Any, sampled: Values) -> None:
        """Look at numbers."""
        values = NumericColumn.read(series, self.label)
        kept = values[sampled]
        self.sample.append(kept[~np.isnan(kept)])
        known = values[~np.isnan(values)]
        self.rows += len(values)
        if not len(known):
            return
        self.low, self.high = min(self.low, known.min()), max(self.high, known.max())
        if self.too_large:  # which is refused in the end, and would spoil the sums
            self.known += len(known)
            return
        mean = known.mean()
        gap, total = mean - self.mean, self.known + len(known)
        self.squares += np.square(known - mean).sum() + gap**2 * self.known * len(known) / total
        self.mean += gap * len(known) / total
        self.known = total

    def _record(self, max_categories: int, coded: bool) -> Column:
        """Quantiles are of the sample; where that has none of the known values, their mean stands for all."""
        deviation = math.sqrt(self.squares / self.known) if self.low < self.high else 0.0
        sample = np.concatenate(self.sample)
        return NumericColumn.of(sample if len(sample) else np.array([self.mean]), deviation, self.missing)


class BooleanSummary(Summary):
    """Of true and false: how many of each."""

    def __init__(self, label: str) -> None:
        super().__init__(label)
        self.true = 0

    def add(self, series: Any, sampled: Values) -> None:
        """Look at truth values."""
        values = BooleanColumn.read(series, self.label)
        self.rows += len(values)
        self.known += int(np.count_nonzero(~np.isnan(values)))
        self.true += int(np.nansum(values))

    def _record(self, max_categories: int, coded: bool) -> Column:
        """The counts say it all."""
        return BooleanColumn.of(self.true / self.known, self.missing)


class CategorySummary(Summary):
    """Of categories: the rows of each; of very many categories, of the frequent ones (about)."""

    def __init__(self, label: str) -> None:
        super().__init__(label)
        self.counts: Counter[str] = Counter()
        self.too_many = False

    def add(self, series: Any, sampled: Values) -> None:
        """Look at categories."""
        counts = rows_of_each(CategoryColumn.read(series, self.label))
        self.rows += len(series)
        self.known += counts.total()
        self.counts.update(counts)
        if len(self.counts) > MOST_COUNTED:
            self.too_many = True
            self.counts = Counter(dict(self.counts.most_common(MOST_COUNTED // 2)))

    def _record(self, max_categories: int, coded: bool) -> Column:
        """As for a table in memory."""
        # Rows of categories that are no longer counted are those of the rarest.
        counts, rows = self.counts, self.counts.total() + self.rows - self.known
        if self.too_many:
            warnings.warn(
                f"{self.label} holds more than {MOST_COUNTED:,} different texts, like an identifier, of "
                "which only the most frequent ones are told apart: drop it, or turn it into numbers",
                UserWarning,
                stacklevel=4,
            )
        else:
            warn_of_doubtful_categories(counts, self.label)
        if coded and len(counts) > max_categories:
            return CodedColumn.of(counts, rows)
        return CategoryColumn.of(counts, rows, max_categories)


def summary_for(field: pa.Field) -> Summary:
    """Return an empty summary for a column of a schema.

    Raises
    ------
    TypeError
        If it holds neither numbers, nor true/false, nor text.
    """
    label, kind = f"column {field.name!r}", field.type
    if pa.types.is_boolean(kind):
        return BooleanSummary(label)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return NumericSummary(label)
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_dictionary, pa.types.is_null)
    if any(is_text(kind) for is_text in texts):
        return CategorySummary(label)
    raise unsupported(label, kind)


class LabelSummary:
    """The labels that occur, and the rows of each.

    Parameters
    ----------
    target : str
        The column's name, for messages.
    """

    def __init__(self, target: str, most: int) -> None:
        self.target = target
        self.most = most
        self.counts: Counter[Any] = Counter()
        self.rows = 0
        self.missing = 0
        self.first_missing = -1

    def add(self, series: pd.Series) -> None:
        """Look at further labels.

        Raises
        ------
        ValueError
            If there are too many different ones.
        """
        gone = series.isna().to_numpy()
        if gone.any():
            if not self.missing:
                self.first_missing = self.rows + int(gone.argmax())
            self.missing += int(gone.sum())
        self.rows += len(series)
        found = series[~gone].value_counts(sort=False)
        self.counts.update(dict(zip(found.index.tolist(), found.tolist(), strict=True)))
        self.counts = +self.counts  # categories that a batch does not have are counted as none
        if len(self.counts) > self.most:
            raise ValueError(
                f"{self.target!r} looks like a quantity or an identifier: more than {self.most:,} different "
                f"values in the first {self.rows:,} rows; give a column of classes, or group the values first"
            )

    def labels(self) -> list[Any]:
        """Return those that occur.

        Raises
        ------
        ValueError
            If a label is missing, or there is none.
        """
        if not self.rows:
            raise ValueError("the table has no rows: there is nothing to learn from")
        if self.missing:
            raise ValueError(
                f"{self.missing:,} of {self.rows:,} labels in {self.target!r} are missing, the first in row "
                f"{self.first_missing:,}, counted from 0: fill them in or drop these rows"
            )
        return list(self.counts)
