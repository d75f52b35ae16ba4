"""Many fits at a time, in processes of their own, here or on a cluster."""

import pickle
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from joblib import Parallel, delayed
from joblib.parallel import get_active_backend

from metabalance.estimators.clusters import cluster_of

Result = TypeVar("Result")


def on_this_machine() -> bool:
    """Return whether work is handed out to nobody but processes and threads of this machine."""
    return type(get_active_backend()[0]).__module__ == "joblib._parallel_backends"


def in_processes(
    work: Callable[..., Result], pieces: Iterable[tuple[Any, ...]], n_jobs: int | None
) -> Iterator[Result]:
    """Do the work for each tuple of arguments by joblib, and yield the results in their order.

    Where joblib would use threads, one piece is done after the other: a fit seeds torch's generator and sets
    torch's number of threads, which threads share, so that fits side by side would disturb each other. So it
    is under ``parallel_backend("threading")``, and inside a worker process of another joblib call.

    On a cluster (``parallel_config(backend="ray")``) arguments that pieces have in common are sent once, and
    pieces whose worker was lost are done again; where nothing says how many at a time, it is as many as the
    cluster has processors for.

    Raises
    ------
    TypeError
        If an argument cannot be sent to another process.
    ChildProcessError
        If a process was ended from outside, on a cluster several times.
    """
    backend, n_jobs_of_backend = get_active_backend()
    cluster = cluster_of(backend)
    try:
        if cluster is not None:
            yield from cluster.do(work, list(pieces), n_jobs or n_jobs_of_backend or -1)
            return
        # As joblib asks: backends that do not say have none.
        threads = getattr(backend, "uses_threads", False)
        parallel = Parallel(
            n_jobs=1 if threads else n_jobs,
            return_as="generator" if backend.supports_return_generator else "list",
        )
        yield from parallel(delayed(work)(*piece) for piece in pieces)
    except pickle.PicklingError as error:
        raise TypeError(
            f"an object that was passed cannot be sent to another process ({error}): make it picklable, or "
            "use n_jobs=1"
        ) from error
    except BrokenProcessPool as error:
        raise ChildProcessError(
            "a worker process was ended from outside, most often because memory ran out: use fewer jobs "
            "(n_jobs, --jobs)"
        ) from error
