"""Pieces of work on a Ray cluster, where joblib is told to use one."""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

Result = TypeVar("Result")
RETRIES = 3  # of a piece whose worker is lost


def cluster_of(backend: Any) -> "RayCluster | None":
    """Return the cluster that a joblib backend works on, or None if it is none."""
    if type(backend).__module__.partition(".")[0] != "ray":
        return None
    import ray  # an optional dependency, which made the backend

    return RayCluster(ray)


@dataclass(frozen=True)
class RayCluster:
    """Ray, whose module is given: the library does without it.

    Its tasks are used in the place of its backend of joblib, a pool that forgets what is done when a worker
    is lost, and gives results only when all are there.
    """

    ray: Any

    def do(self, work: Callable[..., Result], pieces: list[tuple[Any, ...]], n_jobs: int) -> Iterator[Result]:
        """Do the work for each tuple of arguments, and yield the results in their order.

        Arguments that several pieces have are put into the object store once. A piece whose worker is lost is
        done again, by Ray, three times at most.

        Parameters
        ----------
        n_jobs : int
            Pieces at a time; -1 for as many as the cluster has processors for.

        Raises
        ------
        ChildProcessError
            If a piece's workers are lost again and again.
        """
        remote = self.ray.remote(num_cpus=1, max_retries=RETRIES)(work)
        waiting = deque(self._common_once(pieces))
        started: deque[Any] = deque()  # in order, and not yielded yet
        running: list[Any] = []
        try:
            while waiting or started:
                while waiting and (n_jobs < 0 or len(running) < n_jobs):
                    started.append(remote.remote(*waiting.popleft()))
                    running.append(started[-1])
                # The next one to end may be any: a slow piece keeps no other from starting.
                _, running = self.ray.wait(running)
                while started and started[0] not in running:
                    yield self.ray.get(started.popleft())
        except (self.ray.exceptions.WorkerCrashedError, self.ray.exceptions.OutOfMemoryError) as error:
            raise ChildProcessError(
                f"workers of the cluster were lost {1 + RETRIES} times with the same piece of work, most "
                "often because memory ran out: use fewer jobs (n_jobs, --jobs)"
            ) from error
        finally:  # also where the one who asked has had enough
            for piece in running:
                self.ray.cancel(piece)

    def _common_once(self, pieces: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Put arguments that several pieces have into the object store, and references in their places."""
        times = Counter(id(argument) for piece in pieces for argument in piece)
        stored: dict[int, Any] = {}

        def sent(argument: Any) -> Any:
            if times[id(argument)] == 1 or isinstance(argument, str | int | float | bool | None):
                return argument
            if id(argument) not in stored:
                stored[id(argument)] = self.ray.put(argument)
            return stored[id(argument)]

        return [tuple(map(sent, piece)) for piece in pieces]
