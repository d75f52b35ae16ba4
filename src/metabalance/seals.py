"""Checksums in files, so that what was changed or damaged since it was written is not taken for whole."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_SUM = "sha256"


def seal(content: bytes | memoryview, title: str) -> bytes:
    """Return bytes with a line in front that has their title and checksum."""
    return f"{title} {hashlib.sha256(content).hexdigest()}\n".encode() + content


def unseal(content: bytes, title: str) -> bytes | None:
    """Return the bytes that `seal` was given, or None where they are not of this title.

    Raises
    ------
    ValueError
        If they are not what was sealed.
    """
    head = title.encode()
    if not content.startswith(head) and not head.startswith(content):
        return None
    line, _, body = content.partition(b"\n")
    if line != head + b" " + hashlib.sha256(body).hexdigest().encode():
        raise ValueError("it is not what was written")
    return body


def seal_json(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object of plain JSON types with the checksum of what is in it."""
    return {_SUM: _digest(content), **content}


def unseal_json(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `seal_json` was given.

    Raises
    ------
    ValueError
        If it is not what was sealed.
    """
    rest = {name: value for name, value in content.items() if name != _SUM}
    if content.get(_SUM) != _digest(rest):
        raise ValueError("it is not what was written")
    return rest


def _digest(content: Mapping[str, Any]) -> str:
    """The checksum of an object, however it is laid out in a file."""
    plain = json.loads(json.dumps(content))  # as it comes back: keys are texts, tuples are lists
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
