"""Checks of numbers that losses and layers are given."""

import math
from numbers import Integral, Real

import torch
from torch import Tensor


def checked_number(name: str, value: object, *, positive: bool = False) -> float:
    """Return a finite number of at least 0, or above 0.

    Raises
    ------
    TypeError
        If it is no number.
    ValueError
        If it is out of range.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    number = float(value)
    if not math.isfinite(number) or number < 0 or (positive and number == 0):
        raise ValueError(f"{name} must be {'above' if positive else 'at least'} 0 and finite, got {value!r}")
    return number


def checked_width(name: str, value: object) -> int:
    """Return a whole number of at least 1; raise TypeError or ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value!r}")
    return int(value)


def checked_weight(weight: object) -> Tensor | None:
    """Return the weights of classes, shape (K,), or None; raise TypeError or ValueError for anything else."""
    if weight is None:
        return None
    if not isinstance(weight, Tensor):
        raise TypeError(f"weight must be a tensor with a number for each class, got {weight!r}")
    if weight.ndim != 1 or not bool((torch.isfinite(weight) & (weight >= 0)).all()):
        raise ValueError(
            f"weight must be one finite number of at least 0 for each class, got {weight.tolist()}"
        )
    return weight
