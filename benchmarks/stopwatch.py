"""Where the time of a run goes: seconds spent in some methods, without those of the others they call."""

import functools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock

Method = tuple[type, str]


@contextmanager
def watched(parts: Mapping[str, tuple[Method, ...]]) -> Iterator[dict[str, float]]:
    """Run a block and fill the returned dict with the seconds of each part.

    Parameters
    ----------
    parts : mapping of str to tuple of (class, method name)
        The methods whose time counts for a part. Time in a watched method that another one calls counts for
        the inner one only, so that the parts add up.
    """
    seconds = dict.fromkeys(parts, 0.0)
    inner = [0.0]  # for every open call, the seconds that the watched calls in it have taken

    def timed(part: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def run(*args: Any, **kwargs: Any) -> Any:
            inner.append(0.0)
            started = time.perf_counter()
            try:
                return method(*args, **kwargs)
            finally:
                took = time.perf_counter() - started
                seconds[part] += took - inner.pop()
                inner[-1] += took

        return run

    patches = [
        mock.patch.object(owner, name, timed(part, getattr(owner, name)))
        for part, methods in parts.items()
        for owner, name in methods
    ]
    for patch in patches:
        patch.start()
    try:
        yield seconds
    finally:
        for patch in patches:
            patch.stop()
