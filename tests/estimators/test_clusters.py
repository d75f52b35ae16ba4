"""Work on a Ray cluster of this machine, of two processes."""

import os
import signal
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.datasets import make_classification

from metabalance import MetaBalanceClassifier, MSMetaBalanceClassifier, compare
from metabalance.estimators.clusters import RETRIES
from metabalance.estimators.workers import in_processes
from metabalance.search.memory import opened_memory
from tests.estimators.conftest import QUICK

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of Ray's own
    ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from ray.util.joblib import register_ray

    register_ray()
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


def square(number: int, data: np.ndarray) -> tuple[int, float, int]:
    return number, float(data.sum()) * number**2, os.getpid()


def test_results_come_in_order_and_what_is_common_is_sent_once(cluster, monkeypatch) -> None:
    sent = []
    put = ray.put
    monkeypatch.setattr(ray, "put", lambda value: (sent.append(type(value)), put(value))[1])
    pieces = [(number, np.ones(3) if number == 9 else DATA) for number in range(10)]
    with joblib.parallel_config(backend="ray"):
        found = list(in_processes(square, pieces, n_jobs=2))
    expected = [3.0 * n**2 if n == 9 else 10.0 * n**2 for n in range(10)]
    assert [result[:2] for result in found] == list(enumerate(expected))
    assert os.getpid() not in {process for *_, process in found}
    assert sent == [np.ndarray]


DATA = np.full(5, 2.0)


def die_at_first(folder: str, number: int, times: int) -> int:
    """End this process from outside, so many times for each number."""
    tries = len(list(Path(folder).glob(f"{number}-*")))
    if tries < times:
        (Path(folder) / f"{number}-{tries}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_the_pieces_of_a_lost_worker_are_done_again(cluster, tmp_path) -> None:
    with joblib.parallel_config(backend="ray"):
        pieces = [(str(tmp_path), number, number % 2) for number in range(4)]
        assert list(in_processes(die_at_first, pieces, n_jobs=-1)) == [0, 1, 2, 3]
        with pytest.raises(ChildProcessError, match="were lost 4 times with the same piece of work"):
            list(in_processes(die_at_first, [(str(tmp_path), 7, RETRIES + 1)], n_jobs=2))


def wait_for_the_last(folder: str, number: int) -> int:
    """The first piece ends when the last one has begun."""
    if number == 0:
        deadline = time.monotonic() + 100
        while not (Path(folder) / "4").exists():
            if time.monotonic() > deadline:
                raise TimeoutError("the last piece was kept waiting")
            time.sleep(0.01)
    (Path(folder) / str(number)).touch()
    return number


@pytest.mark.parametrize("n_jobs", [2, None])
def test_a_slow_piece_keeps_no_other_waiting(n_jobs, cluster, tmp_path) -> None:
    with joblib.parallel_config(backend="ray"):
        pieces = [(str(tmp_path), number) for number in range(5)]
        assert list(in_processes(wait_for_the_last, pieces, n_jobs=n_jobs)) == [0, 1, 2, 3, 4]


def test_machines_keep_no_resampled_rows_that_nobody_removes(cluster, tmp_path, monkeypatch) -> None:
    with joblib.parallel_config(backend="ray"):
        with opened_memory(None) as memory:
            assert memory.location is None
        monkeypatch.chdir(tmp_path)
        with opened_memory("rows") as memory:
            assert memory.location == str(tmp_path / "rows")


def fail(number: int) -> int:
    raise ValueError(f"no {number}")


def test_errors_are_those_of_the_work(cluster) -> None:
    with joblib.parallel_config(backend="ray"), pytest.raises(ValueError, match="no 3"):
        list(in_processes(fail, [(3,), (4,)], n_jobs=2))


def test_a_comparison_and_a_search_are_what_they_are_on_one_machine(cluster, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # where the cluster is not at home
    X, y = make_classification(200, 5, weights=[0.8], random_state=0)
    options = {"cv": 2, "max_epochs": 1, "network": {"n_members": 2, "hidden_sizes": (8,)}}
    methods = ["naive", "logistic-regression"]
    here = compare(X, y, methods=methods, n_jobs=1, **options)
    search = MSMetaBalanceClassifier(
        MetaBalanceClassifier(**QUICK), support_samplers=["natural"], cv=2, refit=False, random_state=0
    )
    rows_here = search.fit(X, y).cv_results_["mean_test_score"]
    with joblib.parallel_config(backend="ray", n_jobs=2):
        there = compare(X, y, methods=methods, **options, checkpoint="run")
        again = compare(X, y, methods=methods, **options, checkpoint="run", resume=True)
        rows_there = search.fit(X, y).cv_results_["mean_test_score"]
    assert again.settings["resumed"].startswith("4 of 4 fits")
    for other in (there, again):
        for first, second in zip(here.results, other.results, strict=True):
            np.testing.assert_array_equal(first.proba, second.proba)
            assert first.metrics == second.metrics
    np.testing.assert_array_equal(rows_here, rows_there)
