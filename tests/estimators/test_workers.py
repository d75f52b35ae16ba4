import os
import signal
import threading

import joblib
import pytest
import torch

from metabalance.estimators.workers import in_processes


def draw(seed: int) -> tuple[int, float, bool]:
    """Seed the generator that threads share, wait, and draw."""
    torch.manual_seed(seed)
    threading.Event().wait(0.02)
    return seed, float(torch.rand(1)), threading.current_thread() is threading.main_thread()


def nested(outer: int) -> list[tuple[int, float, bool]]:
    return list(in_processes(draw, [(seed,) for seed in range(4)], n_jobs=2))


EXPECTED = [(seed, float(torch.rand(1, generator=torch.Generator().manual_seed(seed)))) for seed in range(4)]


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing", "sequential"])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_results_come_in_order_and_do_not_disturb_each_other(backend, n_jobs) -> None:
    with torch.random.fork_rng(), joblib.parallel_backend(backend):
        found = list(in_processes(draw, [(seed,) for seed in range(4)], n_jobs=n_jobs))
    assert [result[:2] for result in found] == EXPECTED


def test_inside_a_worker_there_is_one_at_a_time() -> None:
    for found in joblib.Parallel(n_jobs=2)(joblib.delayed(nested)(place) for place in range(2)):
        assert [result[:2] for result in found] == EXPECTED


def test_what_cannot_be_sent_is_named() -> None:
    with pytest.raises(
        TypeError, match=r"cannot be sent to another process .*: make it picklable, or use n_jobs=1"
    ):
        list(in_processes(draw, [(threading.Lock(),)] * 2, n_jobs=2))


def end_from_outside(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_is_ended_from_outside_is_an_error_of_its_own() -> None:
    with pytest.raises(ChildProcessError, match="most often because memory ran out: use fewer jobs"):
        list(in_processes(end_from_outside, [(1,), (2,)], n_jobs=2))
