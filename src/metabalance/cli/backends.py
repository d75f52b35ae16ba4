"""Where the fits of a comparison or a search run: here, or on a Ray cluster."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import joblib

SECONDS = 10  # for a cluster to answer


@contextmanager
def backend_named(name: str, address: str | None) -> Iterator[None]:
    """Let joblib use the backend of this name; connect to the Ray cluster, and leave it at the end.

    Raises
    ------
    ValueError
        If an address is given for anything but Ray, Ray is not installed, or no cluster answers there.
    """
    if name != "ray":
        if address is not None:
            raise ValueError("--address is that of a Ray cluster: give --backend ray, too")
        yield
        return
    try:
        import ray  # an optional dependency
        from ray.util.joblib import register_ray
    except ModuleNotFoundError as error:
        raise ValueError("--backend ray needs Ray: pip install 'metabalance[ray]'") from error
    address = address or os.environ.get("RAY_ADDRESS")
    if address is not None:
        _check_answers(address)
    register_ray()  # type: ignore[no-untyped-call]
    try:
        ray.init(address or "local", log_to_driver=False, include_dashboard=None, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"no Ray cluster to work on ({reason}): see --address, and set RAY_AUTH_MODE=token where the "
            "cluster asks for a token"
        ) from error
    try:
        with joblib.parallel_config(backend="ray"):
            yield
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Raise ValueError unless there is someone at a HOST:PORT; Ray itself ends the process there."""
    host, separator, port = address.removeprefix("ray://").rpartition(":")
    if not separator or not port.isdigit():
        if address == "auto":
            return
        raise ValueError(f"the address of a Ray cluster is HOST:PORT or auto, got {address!r}")
    try:
        socket.create_connection((host, int(port)), timeout=SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ValueError(f"no Ray cluster answers at {address} ({error}): see --address") from error
