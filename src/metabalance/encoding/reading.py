"""Columns as values: numbers, and a refusal of what is neither a number, nor true/false, nor a category."""

from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

Values = np.ndarray[Any, Any]

NUMBERS = (Real, Decimal, np.bool_)
LARGEST = float(np.finfo(np.float32).max)  # that an encoder can take


def check_supported(series: Any, label: str) -> None:
    """Refuse what is neither a number, nor true/false, nor a category."""
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return
    if types.is_object_dtype(dtype):
        odd = next((value for value in series.dropna() if not isinstance(value, (str, *NUMBERS))), None)
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
        raise unsupported(label, dtype)


def unsupported(label: str, dtype: Any) -> TypeError:
    """Return the refusal of a column of such a type."""
    return TypeError(
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


def _complex_message(label: str) -> str:
    return (
        f"Complex data not supported: {label} holds complex numbers; make real and imaginary part two columns"
    )
