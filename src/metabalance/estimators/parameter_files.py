"""An estimator's parameters as JSON: numbers, texts, lists, mappings with keys of any kind, and decisions."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from metabalance.estimators.decisions import BinaryDecision

_DECISIONS = {kind.__name__: kind for kind in BinaryDecision.__args__}
_PAIRS, _DECISION = "pairs", "decision"


def split_saveable(parameters: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the parameters as JSON, and those it cannot hold in words: these a new fit has to be given."""
    saved, not_saved = {}, {}
    for name, value in parameters.items():
        try:
            encoded = _encode(value)
            json.dumps(encoded, allow_nan=False)
            saved[name] = encoded
        except (TypeError, ValueError):
            not_saved[name] = repr(value)
    return saved, not_saved


def restore_parameters(saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `split_saveable` has saved; tuples and arrays have become lists.

    Raises
    ------
    KeyError, TypeError, ValueError, AttributeError
        If they are not of that form.
    """
    return {name: _decode(value) for name, value in saved.items()}


def _encode(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return _encode(value.tolist())
    if isinstance(value, list | tuple):
        return [_encode(each) for each in value]
    if isinstance(value, Mapping):
        return {_PAIRS: [[_encode(key), _encode(each)] for key, each in value.items()]}
    if isinstance(value, BinaryDecision):
        return {_DECISION: type(value).__name__, _PAIRS: [list(pair) for pair in asdict(value).items()]}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"JSON has no place for {value!r}")


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(each) for each in value]
    if not isinstance(value, dict):
        return value
    pairs = {_decode(key): _decode(each) for key, each in value[_PAIRS]}
    return _DECISIONS[value[_DECISION]](**pairs) if _DECISION in value else pairs
