"""Any parameter in words: the same in every process, and others where it would do something else."""

import hashlib
from collections.abc import Mapping
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import nn

_DIGITS = 12  # of a digest
_WITHIN = "…"  # an object that is being described already


def in_words(value: Any) -> str:
    """Return what tells a parameter from others: objects by what they are made of, as their address does not.

    A function is told by its code, its defaults and the variables that it closes over, a class by its name
    alone.
    """
    return _words(value, ())


def _words(value: Any, within: tuple[int, ...]) -> str:
    if id(value) in within:
        return _WITHIN
    if isinstance(value, str | int | float | bool | None):
        return repr(value)
    inside = (*within, id(value))

    def all_of(values: Any) -> str:
        return ", ".join(_words(each, inside) for each in values)

    if isinstance(value, list | tuple):
        return f"[{all_of(value)}]"
    if isinstance(value, Mapping):
        pairs = (f"{_words(key, inside)}: {_words(each, inside)}" for key, each in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, np.generic | np.ndarray | torch.Tensor):
        return _words(value.tolist(), within)
    if isinstance(value, partial):
        return f"partial({all_of((value.func, value.args, value.keywords))})"
    if isinstance(value, MethodType):
        return f"{_words(value.__func__, inside)} of {_words(value.__self__, inside)}"
    if isinstance(value, FunctionType):
        closed = [cell.cell_contents for cell in value.__closure__ or ()]
        made = _words([value.__defaults__, value.__kwdefaults__, closed], inside)
        return f"{value.__module__}.{value.__qualname__} {_digest(_of_code(value.__code__) + made)}"
    if isinstance(value, type | BuiltinFunctionType):
        return f"{value.__module__}.{value.__qualname__}"
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, BaseEstimator):
        return f"{name}({_words(value.get_params(deep=False), inside)})"
    if isinstance(value, nn.Module):
        tensors = {key: (str(t.dtype), t.tolist()) for key, t in value.state_dict().items()}
        return f"{name} {_digest(repr(value) + repr(tensors))}"
    return f"{name}({_words(vars(value), inside)})" if hasattr(value, "__dict__") else name


def _of_code(code: CodeType) -> str:
    """What a function does, without where it stands in its file."""
    constants = [_of_code(each) if isinstance(each, CodeType) else repr(each) for each in code.co_consts]
    return repr((code.co_code, constants, code.co_names, code.co_varnames))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
