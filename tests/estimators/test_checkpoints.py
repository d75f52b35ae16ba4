"""A fit that is killed goes on from its checkpoint as if it had never been."""

import io

import numpy as np
import pytest
import torch
from sklearn.metrics import fbeta_score, make_scorer
from sklearn.utils.metadata_routing import get_routing_for_object
from skorch.callbacks import Callback
from torch.nn.functional import cross_entropy

from metabalance import (
    Checkpoint,
    Costs,
    FaceEmbedder,
    MetaBalanceClassifier,
    MetaWeightNetClassifier,
    NeuralClassifier,
)
from metabalance.seals import seal, unseal
from metabalance.training import Saver, saver
from tests.estimators.conftest import QUICK

SMALL = {**QUICK, "hidden_sizes": (8,), "max_epochs": 3}  # of 32 to 41 updates each
BATCHES_OF_32 = {"support_batch_size": 32, "query_batch_size": 32}


class Killed(Exception):
    """Ends a fit where a killed process would, right after a checkpoint."""


def fit_until(updates, monkeypatch, estimator, X, y, folder, **options) -> None:
    """Fit with a checkpoint after every update, and let it be killed after so many of them."""
    after_update, made = Saver.after_update, []

    def counted(self, loop) -> None:
        after_update(self, loop)
        made.append(self)
        if len(made) == updates:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Saver, "after_update", counted)
        with pytest.raises(Killed):
            estimator.fit(X, y, checkpoint=Checkpoint(folder, every_updates=1), **options)


def check_same(one, other) -> None:
    for fitted in (one, other):
        assert not fitted.interrupted_
    assert [_without_time(epoch) for epoch in one.history_] == [
        _without_time(epoch) for epoch in other.history_
    ]
    expected, found = one.module_.state_dict(), other.module_.state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert one.calibrations_ == other.calibrations_
    assert one.rows_drawn_ == other.rows_drawn_


def scaled_cross_entropy(factor: float):
    def loss(output, target):
        return factor * cross_entropy(output, target)

    return loss


def _without_time(epoch):
    return {name: value for name, value in epoch.items() if name != "dur"}


TABLES = {
    "default": NeuralClassifier(**SMALL),
    "as parameters are": NeuralClassifier(
        **SMALL, ema_decay=None, early_stopping=False, lr_schedule="constant"
    ),
    "momentum": NeuralClassifier(**SMALL, optimizer="sgd", lr=0.03, sampler="over", max_grad_norm=1.0),
    "resampled": NeuralClassifier(**SMALL, sampler="smote"),
    "mixed": NeuralClassifier(**SMALL, mixing="mixup"),
    "sam": NeuralClassifier(**SMALL, sam_rho=0.05),
    "deferred": NeuralClassifier(**SMALL, loss="ldam", class_weight="effective_number", reweight_from=0.34),
    "refit": NeuralClassifier(**{**SMALL, "n_members": 1}, refit=True),
    "stopped": NeuralClassifier(**{**SMALL, "lr": 0.3, "max_epochs": 30, "early_stopping": 1}),
    "metabalance": MetaBalanceClassifier(**SMALL),
    "adapted": MetaBalanceClassifier(**SMALL, **BATCHES_OF_32, meta_steps=2, predict_with="adapted"),
    "meta-weight-net": MetaWeightNetClassifier(**SMALL),
}
MOMENTS = (1, 32, 33, 71)  # the first update, and those around the ends of epochs


@pytest.mark.parametrize("name", TABLES)
def test_goes_on_bit_for_bit(name, binary, tmp_path, monkeypatch) -> None:
    X, y = binary
    estimator = TABLES[name]
    whole = type(estimator)(**estimator.get_params()).fit(X, y)
    for moment in MOMENTS[: 2 if name == "stopped" else 4]:
        folder = tmp_path / str(moment)
        fit_until(moment, monkeypatch, estimator, X, y, folder)
        check_same(whole, estimator.fit(X, y, checkpoint=folder, resume=True))


def test_goes_on_with_images(tmp_path, monkeypatch) -> None:
    """BatchNorm, θ', augmentation and mixing."""
    rng = np.random.default_rng(0)
    X, y = rng.integers(256, size=(60, 3, 8, 8), dtype=np.uint8), np.arange(60) % 3
    options = {"max_epochs": 2, "random_state": 0, "augment": "crop-and-flip", "mixing": "cutmix"}
    estimator = MetaBalanceClassifier(**options, query_sampler="over")
    whole = MetaBalanceClassifier(**options, query_sampler="over").fit(X, y)
    fit_until(40, monkeypatch, estimator, X, y, tmp_path)
    check_same(whole, estimator.fit(X, y, checkpoint=tmp_path, resume=True))
    for name, tensor in whole.adapted_parameters_.items():
        assert torch.equal(tensor, estimator.adapted_parameters_[name])


def test_goes_on_twice(binary, tmp_path, monkeypatch) -> None:
    X, y = binary
    estimator = MetaBalanceClassifier(**SMALL)
    whole = MetaBalanceClassifier(**SMALL).fit(X, y)
    fit_until(10, monkeypatch, estimator, X, y, tmp_path)
    fit_until(50, monkeypatch, estimator, X, y, tmp_path, resume=True)
    check_same(whole, estimator.fit(X, y, checkpoint=tmp_path, resume=True))


def test_a_finished_fit_is_not_trained_again(binary, tmp_path, monkeypatch) -> None:
    X, y = binary
    options = {**SMALL, "n_members": 1, "refit": True}
    whole = NeuralClassifier(**options).fit(X, y, checkpoint=tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["refit.checkpoint", "training.checkpoint"]
    monkeypatch.setattr(Saver, "after_update", lambda self, loop: pytest.fail("trained again"))
    check_same(whole, NeuralClassifier(**options).fit(X, y, checkpoint=tmp_path, resume=True))


def test_without_a_checkpoint_it_begins(binary, tmp_path) -> None:
    X, y = binary
    begun = NeuralClassifier(**SMALL).fit(X, y, checkpoint=tmp_path / "new" / "folder", resume=True)
    check_same(NeuralClassifier(**SMALL).fit(X, y), begun)


def test_balance_by_goes_with_it(binary, tmp_path, monkeypatch) -> None:
    X, y = binary
    groups = np.arange(len(y)) % 3
    estimator = MetaBalanceClassifier(**SMALL)
    whole = MetaBalanceClassifier(**SMALL).fit(X, y, balance_by=groups)
    fit_until(20, monkeypatch, estimator, X, y, tmp_path, balance_by=groups)
    check_same(whole, estimator.fit(X, y, balance_by=groups, checkpoint=tmp_path, resume=True))
    with pytest.raises(ValueError, match="of a run with other data"):
        estimator.fit(X, y, balance_by=(groups + 1) % 3, checkpoint=tmp_path, resume=True)


def test_faces_pass_it_on(tmp_path, monkeypatch) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.integers(256, size=(24, 3, 8, 8), dtype=np.uint8), np.arange(24) % 4
    embedder = FaceEmbedder(NeuralClassifier(max_epochs=1, random_state=0))
    whole = FaceEmbedder(NeuralClassifier(max_epochs=1, random_state=0)).fit(X, y)
    fit_until(5, monkeypatch, embedder, X, y, tmp_path)
    check_same(whole.classifier_, embedder.fit(X, y, checkpoint=tmp_path, resume=True).classifier_)


@pytest.fixture
def begun(binary, tmp_path, monkeypatch):
    """A folder with the checkpoint of a fit that was killed."""
    X, y = binary
    fit_until(20, monkeypatch, NeuralClassifier(**SMALL), X, y, tmp_path / "begun")
    return tmp_path / "begun"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"lr": 0.01}, r"with other lr \(lr was '0.003', now '0.01'\)"),
        ({"sampler": "over", "batch_size": 64}, "with other batch_size, sampler"),
        ({"random_state": 1}, "random_state"),
        ({"class_weight": {0: 1.0, 1: np.float64(5.0)}}, "class_weight"),
        ({"hidden_sizes": (16,)}, "hidden_sizes"),
        ({"decision": Costs(1, 2)}, "decision"),
    ],
)
def test_another_fit_is_refused(changed, message, binary, begun) -> None:
    with pytest.raises(ValueError, match=message):
        NeuralClassifier(**{**SMALL, **changed}).fit(*binary, checkpoint=begun, resume=True)


def test_other_data_are_refused(binary, begun) -> None:
    X, y = binary
    for rows, labels in ((X + 1e-3 * (X > 0), y), (X, np.roll(y, 1))):
        with pytest.raises(ValueError, match="of a run with other data"):
            NeuralClassifier(**SMALL).fit(rows, labels, checkpoint=begun, resume=True)


def test_another_estimator_is_refused(binary, begun) -> None:
    with pytest.raises(ValueError, match=r"of a run with other .*estimator"):
        MetaBalanceClassifier(**SMALL).fit(*binary, checkpoint=begun, resume=True)


def test_what_early_stopping_looks_at_belongs_to_a_fit(binary, tmp_path, monkeypatch) -> None:
    X, y = binary
    fit_until(20, monkeypatch, MetaBalanceClassifier(**SMALL), X, y, tmp_path)
    with pytest.raises(ValueError, match="of a run with other predict_with"):
        MetaBalanceClassifier(**SMALL, predict_with="adapted").fit(X, y, checkpoint=tmp_path, resume=True)


def test_what_only_shows_may_change(binary, begun, capsys) -> None:
    resumed = NeuralClassifier(**SMALL, verbose=1).fit(*binary, checkpoint=begun, resume=True)
    assert "epoch 3/3" in capsys.readouterr().err
    check_same(NeuralClassifier(**SMALL).fit(*binary), resumed)


def test_a_checkpoint_in_the_way_is_kept(binary, begun) -> None:
    before = (begun / "training.checkpoint").read_bytes()
    with pytest.raises(ValueError, match="go on from it with resume=True, or name another folder"):
        NeuralClassifier(**SMALL).fit(*binary, checkpoint=begun)
    assert (begun / "training.checkpoint").read_bytes() == before


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(kept, binary, begun) -> None:
    file = begun / "training.checkpoint"
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ValueError, match=r"training\.checkpoint' is damaged: delete it"):
        NeuralClassifier(**SMALL).fit(*binary, checkpoint=begun, resume=True)


def test_hostile_and_foreign_files_are_refused(binary, begun) -> None:
    file = begun / "training.checkpoint"
    content = torch.load(io.BytesIO(unseal(file.read_bytes(), saver.FORMAT)), weights_only=True)

    class Hostile:
        def __reduce__(self):
            return (pytest.fail, ("code was run",))

    for written, message in (
        (content | {"state": Hostile()}, "is damaged"),
        (content | {"version": 99}, "has format version 99, this metabalance reads version 1"),
        ({"weights": torch.zeros(3)}, "is no checkpoint of metabalance"),
        (torch.zeros(3), "is no checkpoint of metabalance"),
        (content | {"state": {}}, "is damaged"),
        (content | {"state": content["state"] | {"module": {}}}, "is damaged"),
        (content | {"state": content["state"] | {"callbacks": {}}}, "is damaged"),
        (content | {"made_of": None}, "is damaged"),
    ):
        buffer = io.BytesIO()
        torch.save(written, buffer)
        file.write_bytes(seal(buffer.getvalue(), saver.FORMAT))
        with pytest.raises(ValueError, match=message):
            NeuralClassifier(**SMALL).fit(*binary, checkpoint=begun, resume=True)
    file.write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match="is no checkpoint of metabalance"):
        NeuralClassifier(**SMALL).fit(*binary, checkpoint=begun, resume=True)


def test_a_single_bit_is_noticed(binary, begun) -> None:
    file = begun / "training.checkpoint"
    content = bytearray(file.read_bytes())
    for place in np.random.default_rng(0).integers(len(content), size=12):
        content[place] ^= 0x40
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"is damaged: delete it|is no checkpoint"):
            NeuralClassifier(**SMALL).fit(*binary, checkpoint=begun, resume=True)
        content[place] ^= 0x40


def test_a_full_disk_ends_no_fit(binary, tmp_path, monkeypatch) -> None:
    X, y = binary
    folder = tmp_path / "full"
    estimator = NeuralClassifier(**SMALL)
    fit_until(20, monkeypatch, estimator, X, y, folder)
    kept = (folder / "training.checkpoint").read_bytes()

    def full(descriptor) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("metabalance.files.os.fsync", full)
        with pytest.warns(UserWarning, match="no checkpoint: cannot write .*No space left.*training goes on"):
            finished = estimator.fit(X, y, checkpoint=Checkpoint(folder, every_updates=9), resume=True)
    assert [file.name for file in folder.iterdir()] == ["training.checkpoint"]
    assert (folder / "training.checkpoint").read_bytes() == kept
    check_same(NeuralClassifier(**SMALL).fit(X, y), finished)


def test_how_often(binary, tmp_path, monkeypatch) -> None:
    X, y = binary
    written = []
    monkeypatch.setattr(Saver, "_write", lambda self, state: written.append(state["finished"]))

    def count(**how_often) -> int:
        written.clear()
        NeuralClassifier(**SMALL, early_stopping=False).fit(
            X, y, checkpoint=Checkpoint(tmp_path, **how_often)
        )
        assert written.count(True) == 1
        return len(written) - 1

    assert count(every_seconds=0) == 3 * 32
    assert count(every_seconds=None) == 0
    assert count(every_seconds=3600) == 0


@pytest.mark.parametrize(
    ("parameters", "arguments", "error", "message"),
    [
        ({}, {"resume": True}, ValueError, "name its folder with checkpoint="),
        ({}, {"checkpoint": "x", "resume": "yes"}, TypeError, "resume must be True or False, got 'yes'"),
        ({}, {"checkpoint": 3}, TypeError, "a folder or a metabalance.Checkpoint, got 3"),
        (
            {"random_state": None},
            {"checkpoint": "x"},
            ValueError,
            "set random_state to a whole number",
        ),
        ({"callbacks": [Callback()]}, {"checkpoint": "x"}, ValueError, "does not go with callbacks"),
    ],
)
def test_what_cannot_be_gone_on_with_is_refused(
    parameters, arguments, error, message, binary, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        NeuralClassifier(**{**SMALL, **parameters}).fit(*binary, **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"every_seconds": -1}, ValueError),
        ({"every_seconds": "often"}, TypeError),
        ({"every_updates": 0}, ValueError),
        ({"every_updates": 1.5}, TypeError),
    ],
)
def test_how_often_is_checked(arguments, error) -> None:
    with pytest.raises(error, match=next(iter(arguments))):
        Checkpoint("folder", **arguments)


def test_folders_that_cannot_be_are_named_before_training(binary, tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"cannot be a folder .*: name another"):
        NeuralClassifier(**SMALL).fit(*binary, checkpoint=tmp_path / "file" / "below")
    with pytest.raises(ValueError, match="checkpoint is an empty text: name a folder"):
        NeuralClassifier(**SMALL).fit(*binary, checkpoint="")


def test_a_file_is_no_folder(tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is a file: name a folder"):
        Checkpoint(tmp_path / "file")


def test_pipelines_hand_on_groups_only() -> None:
    assert set(get_routing_for_object(NeuralClassifier()).fit.requests) == {"balance_by"}


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"scoring": make_scorer(fbeta_score, beta=0.1)}, {"scoring": make_scorer(fbeta_score, beta=10)}),
        ({"loss": scaled_cross_entropy(1.0)}, {"loss": scaled_cross_entropy(9.0)}),
    ],
    ids=["scorer", "closure"],
)
def test_other_functions_are_another_fit(before, now, binary, tmp_path) -> None:
    NeuralClassifier(**SMALL, **before).fit(*binary, checkpoint=tmp_path)
    NeuralClassifier(**SMALL, **before).fit(*binary, checkpoint=tmp_path, resume=True)
    with pytest.raises(ValueError, match=f"of a run with other {next(iter(now))}"):
        NeuralClassifier(**SMALL, **now).fit(*binary, checkpoint=tmp_path, resume=True)


def test_no_memory_is_no_damage(binary, tmp_path, monkeypatch) -> None:
    NeuralClassifier(**SMALL).fit(*binary, checkpoint=tmp_path)

    def fail(*arguments) -> None:
        raise torch.OutOfMemoryError("tried to allocate 2 GiB")

    monkeypatch.setattr(saver, "restore_snapshot", fail)
    with pytest.raises(torch.OutOfMemoryError):
        NeuralClassifier(**SMALL).fit(*binary, checkpoint=tmp_path, resume=True)
