"""Fits by two processes against the fit of one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import make_classification
from tests.ranks import run_ranks
from torch import distributed

from metabalance import Checkpoint, FaceEmbedder, MetaBalanceClassifier, NeuralClassifier
from metabalance.training import Shared

# Without dropout there is nothing that the processes draw for themselves.
QUICK = {
    "max_epochs": 3,
    "n_members": 2,
    "hidden_sizes": (16,),
    "dropout": 0.0,
    "meta_steps": 5,
    "random_state": 0,
    "device": "cpu",
}
OPTIONS: dict[str, dict[str, Any]] = {
    "table": {},
    "loop": {"engine": "loop", "beta": 0.5},
    "dropout": {"dropout": 0.3},
}


def table() -> tuple[np.ndarray, np.ndarray]:
    return make_classification(400, 6, n_informative=4, weights=[0.9], random_state=0)


def pictures() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(256, size=(60, 3, 8, 8), dtype=np.uint8), np.arange(60) % 3


def seen(classifier: Any, X: np.ndarray) -> dict[str, Any]:
    history = [{k: v for k, v in epoch.items() if k != "dur"} for epoch in classifier.history_]
    return {"proba": classifier.predict_proba(X), "history": history}


def fit_images(group: Any) -> dict[str, Any]:
    X, y = pictures()
    options = {"augment": "crop-and-flip", "mixing": "mixup", "query_sampler": "over", "max_epochs": 1}
    classifier = MetaBalanceClassifier(meta_steps=3, random_state=0, device="cpu", **options)
    return seen(classifier.fit(X, y, process_group=group), X)


def go_on_from_checkpoints(folder: str) -> dict[str, Any]:
    """One fit at once; and one that writes checkpoints, is broken off by an error, and goes on."""
    X, y = table()
    options = {**QUICK, "dropout": 0.3}
    group = distributed.group.WORLD
    whole = MetaBalanceClassifier(**options).fit(X, y, process_group=group)
    kept = Checkpoint(folder, every_seconds=None, every_updates=4)
    backward = Shared.backward
    calls = 0

    def broken(self: Shared, batch: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if calls > 10:
            raise OSError("the power is gone")
        return backward(self, batch)

    Shared.backward = broken  # in this process only, which ends with the test
    try:
        MetaBalanceClassifier(**options).fit(X, y, checkpoint=kept, process_group=group)
    except OSError:
        pass
    finally:
        Shared.backward = backward
    distributed.barrier()
    files = sorted(file.name for file in Path(folder).iterdir())
    again = MetaBalanceClassifier(**options).fit(X, y, checkpoint=kept, resume=True, process_group=group)
    return {"whole": seen(whole, X), "again": seen(again, X), "files": files, "calls": calls}


def mistakes() -> list[str]:
    X, y = table()
    group, rank = distributed.group.WORLD, distributed.get_rank()
    told = []
    for estimator, rows, arguments in (
        (NeuralClassifier(**{k: v for k, v in QUICK.items() if k != "meta_steps"}), X, {}),
        (MetaBalanceClassifier(**QUICK | {"meta_steps": 1}), X, {}),
        (MetaBalanceClassifier(**QUICK | {"random_state": None}), X, {}),
        (MetaBalanceClassifier(**QUICK), X**3 if rank else X, {}),
        (MetaBalanceClassifier(**QUICK, lr=0.01 * (1 + rank)), X, {}),
    ):
        try:
            estimator.fit(rows, y, process_group=group, **arguments)
        except ValueError as error:
            told.append(str(error))
    return told


def all_that_takes_two(folder: str) -> dict[str, Any]:
    X, y = table()
    group = distributed.group.WORLD
    found: dict[str, Any] = {
        name: seen(MetaBalanceClassifier(**QUICK | options).fit(X, y, process_group=group), X)
        for name, options in OPTIONS.items()
    }
    found["images"] = fit_images(group)
    images, people = pictures()
    embedder = FaceEmbedder(MetaBalanceClassifier(meta_steps=2, max_epochs=1, random_state=0))
    found["faces"] = embedder.fit(images, people, process_group=group).transform(images[:3])
    found["checkpoints"] = go_on_from_checkpoints(folder)
    found["mistakes"] = mistakes()
    return found


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return run_ranks(all_that_takes_two, str(tmp_path_factory.mktemp("run")))


@pytest.mark.parametrize("name", ["table", "loop"])
def test_two_processes_fit_what_one_fits(name, ranks) -> None:
    X, y = table()
    alone = seen(MetaBalanceClassifier(**QUICK | OPTIONS[name]).fit(X, y), X)
    for each in ranks:
        np.testing.assert_allclose(each[name]["proba"], alone["proba"], atol=1e-3)
        assert len(each[name]["history"]) == len(alone["history"])
        assert each[name]["history"][0]["train_loss"] == pytest.approx(
            alone["history"][0]["train_loss"], 1e-4
        )


def test_images_are_changed_as_in_one_process(ranks) -> None:
    alone = fit_images(None)
    for each in ranks:  # statistics of BatchNorm are averaged, and the layers divide by small deviations
        assert each["images"]["history"][0]["train_loss"] == pytest.approx(
            alone["history"][0]["train_loss"], 1e-3
        )


@pytest.mark.parametrize("name", [*OPTIONS, "images"])
def test_all_end_with_the_same_bits(name, ranks) -> None:
    first, second = (each[name] for each in ranks)
    np.testing.assert_array_equal(first["proba"], second["proba"])
    assert first["history"] == second["history"]


def test_faces(ranks) -> None:
    np.testing.assert_array_equal(ranks[0]["faces"], ranks[1]["faces"])


def test_a_fit_that_was_broken_off_goes_on_bit_for_bit(ranks) -> None:
    for each in ranks:
        kept = each["checkpoints"]
        assert kept["files"] == ["training.checkpoint"]
        assert kept["calls"] == 11
        np.testing.assert_array_equal(kept["again"]["proba"], kept["whole"]["proba"])
        assert kept["again"]["history"] == kept["whole"]["history"]


def test_mistakes_are_told_in_all_processes(ranks) -> None:
    for each in ranks:
        plain, few, unseeded, data, rate = each["mistakes"]
        assert "NeuralClassifier does not take: fit it in one process" in plain
        assert "2 processes cannot share out 1 meta steps" in few
        assert "random_state must be the same whole number in all processes, got None" in unseeded
        assert "process 1 of process_group was given other data than process 0" in data
        assert "other lr than process 0 (lr: 0.02, not 0.01)" in rate


def test_what_is_no_group_is_refused() -> None:
    with pytest.raises(TypeError, match="process_group must be a torch"):
        MetaBalanceClassifier(**QUICK).fit(*table(), process_group=2)
