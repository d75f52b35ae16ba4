import hashlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from imblearn.over_sampling import RandomOverSampler
from safetensors.torch import load, save
from sklearn.exceptions import NotFittedError
from torch import nn

from metabalance import Costs, MetaBalanceClassifier, MetaWeightNetClassifier, NeuralClassifier
from metabalance.estimators import model_files
from metabalance.seals import seal_json
from tests.estimators.conftest import QUICK

EACH = pytest.mark.parametrize(
    "estimator", [NeuralClassifier, MetaBalanceClassifier, MetaWeightNetClassifier]
)


class Tied(nn.Module):
    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(n_inputs, n_inputs), nn.Linear(n_inputs, n_inputs)
        self.second.weight = self.first.weight
        self.norm = nn.BatchNorm1d(n_inputs)
        self.out = nn.Linear(n_inputs, n_outputs)

    def forward(self, x):
        return self.out(self.norm(self.second(self.first(x).relu())))


def weights_of(folder):
    """The one file of weights."""
    (file,) = folder.glob("weights-*.safetensors")
    return file


@EACH
def test_a_loaded_model_predicts_the_same(estimator, mixed_table, tmp_path) -> None:
    X, y = mixed_table
    net = estimator(**{**QUICK, "hidden_sizes": [8, 4], "dropout": 0.1}).fit(X, y)
    net.save(tmp_path / "model")
    loaded = estimator.load(tmp_path / "model", device="cpu")
    np.testing.assert_array_equal(loaded.predict_proba(X), net.predict_proba(X))
    np.testing.assert_array_equal(loaded.predict(X), net.predict(X))
    assert loaded.history_ == net.history_
    assert loaded.get_params() == net.get_params()
    assert loaded.feature_names_in_.tolist() == list(X.columns)
    assert sorted(tmp_path.glob("model/*")) == [
        tmp_path / "model" / "model.json",
        weights_of(tmp_path / "model"),
    ]


def test_adapted_predictions_survive(binary, tmp_path) -> None:
    X, y = binary
    net = MetaBalanceClassifier(predict_with="adapted", inner_lr=1.0, **QUICK).fit(X, y)
    net.save(tmp_path)
    loaded = MetaBalanceClassifier.load(tmp_path, device="cpu")
    for where in ("adapted", "meta"):
        net.set_params(predict_with=where)
        loaded.set_params(predict_with=where)
        np.testing.assert_array_equal(loaded.predict_proba(X), net.predict_proba(X))


def test_own_modules_with_shared_weights_and_statistics(binary, tmp_path) -> None:
    X, y = binary
    net = NeuralClassifier(module=Tied, **QUICK).fit(X, y)
    net.save(tmp_path)
    with pytest.raises(ValueError, match="network of its own, Tied: pass load"):
        NeuralClassifier.load(tmp_path)
    loaded = NeuralClassifier.load(tmp_path, module=Tied, device="cpu")
    np.testing.assert_array_equal(loaded.predict_proba(X), net.predict_proba(X))
    assert loaded.module_.second.weight is loaded.module_.first.weight


@pytest.mark.parametrize("labels", [["b", "a"], [7, 3], [True, False], [1.5, 2.5]], ids=str)
def test_labels_keep_their_type(binary, tmp_path, labels) -> None:
    X, y = binary
    y = np.asarray(labels, dtype=object if labels == [1.5, 2.5] else None)[y]
    if y.dtype == object:
        y = np.array(["1.5", "2.5"], dtype=object)[np.searchsorted([1.5, 2.5], y.astype(float))]
    net = NeuralClassifier(**QUICK).fit(X, y)
    net.save(tmp_path)
    loaded = NeuralClassifier.load(tmp_path, device="cpu")
    assert loaded.classes_.dtype == net.classes_.dtype
    assert loaded.predict(X).tolist() == net.predict(X).tolist()


def test_parameters_that_are_objects_are_left_out_and_named(binary, tmp_path) -> None:
    X, y = binary
    sampler = RandomOverSampler(random_state=0)
    sizes = np.array([6, 5])
    options = {**QUICK, "sampler": sampler, "class_weight": {0: 1.0, 1: 2.0}, "hidden_sizes": sizes}
    net = NeuralClassifier(**options)
    net.fit(X, y).save(tmp_path)
    description = json.loads((tmp_path / "model.json").read_text())
    assert set(description["parameters_not_saved"]) == {"sampler"}
    with pytest.warns(UserWarning, match=r"not saved: sampler=RandomOverSampler\(.*set them before you fit"):
        loaded = NeuralClassifier.load(tmp_path, device="cpu")
    assert (loaded.sampler, loaded.class_weight, loaded.hidden_sizes) == ("natural", {0: 1.0, 1: 2.0}, [6, 5])
    np.testing.assert_array_equal(loaded.predict_proba(X), net.predict_proba(X))


def test_weights_priors_and_decisions_are_saved(binary, tmp_path) -> None:
    X, y = binary
    options = {
        **QUICK,
        "early_stopping": 2,
        "class_weight": {0: 1.0, 1: 5.0},
        "reweight_from": 0.5,
        "prior": {0: 0.99, 1: 0.01},
        "decision": Costs(1, 50),
    }
    net = NeuralClassifier(**options).fit(X, y)
    net.save(tmp_path)
    loaded = NeuralClassifier.load(tmp_path, device="cpu")
    assert loaded.get_params() == {**net.get_params(), "hidden_sizes": [32]}
    np.testing.assert_array_equal(loaded.predict(X), net.predict(X))


@pytest.mark.parametrize("damage", [{"pairs": 3}, {"pairs": [[1]]}, {"decision": "Evil", "pairs": []}, {}])
def test_parameters_that_are_damaged(damage, binary, tmp_path) -> None:
    NeuralClassifier(**QUICK).fit(*binary).save(tmp_path)
    description = json.loads((tmp_path / "model.json").read_text())
    parameters = description["parameters"] | {"prior": damage}
    edit(tmp_path, parameters=parameters)
    with pytest.raises(ValueError, match="is damaged"):
        NeuralClassifier.load(tmp_path)


@pytest.mark.parametrize(
    "part", ["classes", "encoder", "calibrations", "history", "input_shape", "parameters"]
)
def test_an_edited_description_is_noticed(part, binary, tmp_path) -> None:
    NeuralClassifier(**QUICK).fit(*binary).save(tmp_path)
    file = tmp_path / "model.json"
    description = json.loads(file.read_text())
    file.write_text(json.dumps(description))  # however it is laid out
    NeuralClassifier.load(tmp_path)
    file.write_text(json.dumps({**description, part: [description[part]]}))
    with pytest.raises(
        ValueError, match=r"model\.json' is damaged: it is not what was written; save the model"
    ):
        NeuralClassifier.load(tmp_path)


def test_loading_leaves_the_callers_random_numbers(binary, tmp_path) -> None:
    X, y = binary
    NeuralClassifier(**QUICK).fit(X, y).save(tmp_path)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    NeuralClassifier.load(tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_saving_again_replaces_the_model(binary, tmp_path) -> None:
    X, y = binary
    leftover = tmp_path / f".weights-{'a' * 16}.safetensors.99.tmp"  # of a process that was killed
    mine = tmp_path / ".mine.99.tmp"
    leftover.touch()
    mine.touch()
    NeuralClassifier(**QUICK).fit(X, y).save(tmp_path)
    second = NeuralClassifier(**{**QUICK, "hidden_sizes": (3,)}).fit(X, y)
    second.save(tmp_path)
    loaded = NeuralClassifier.load(tmp_path, device="cpu")
    np.testing.assert_array_equal(loaded.predict_proba(X), second.predict_proba(X))


@pytest.fixture
def saved(binary, tmp_path):
    X, y = binary
    NeuralClassifier(**QUICK).fit(X, y).save(tmp_path)
    return tmp_path


class Hostile:
    """Fails the test where somebody unpickles it."""

    def __reduce__(self):
        return (pytest.fail, ("code was run",))


def flip_a_bit(file) -> None:
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)


def rename_weights(folder, path) -> None:
    digest = hashlib.sha256(weights_of(folder).read_bytes()).hexdigest()
    weights_of(folder).rename(path)
    edit(folder, weights={"file": os.path.relpath(path, folder), "sha256": digest})


def replace_weights(folder, content: bytes) -> None:
    """As somebody would who knows of the checksum."""
    name = weights_of(folder).name
    (folder / name).write_bytes(content)
    edit(folder, weights={"file": name, "sha256": hashlib.sha256(content).hexdigest()})


def as_nan(folder):
    return {
        name: t * torch.nan if t.is_floating_point() else t
        for name, t in load(weights_of(folder).read_bytes()).items()
    }


PARAMETERS = {name: value for name, value in QUICK.items() if name != "device"}
UNCALIBRATED = {
    "kind": "temperature",
    "calibration": {"scale": 1.0, "shift": [0.0, 0.0, 0.0]},
    "ratio": [1.0, 1.0, 1.0],
    "log_weights": [0.0, 0.0, 0.0],
}


def edit(folder, **changes) -> None:
    file = folder / "model.json"
    description = json.loads(file.read_text())
    del description["sha256"]
    changed = {k: v for k, v in {**description, **changes}.items() if v is not ...}
    file.write_text(json.dumps(seal_json(changed)))  # as somebody would who knows of the checksum


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "model.json").write_text("{"), "damaged: not valid JSON"),
        (lambda f: (f / "model.json").write_text("[1]"), "does not describe a metabalance model"),
        (lambda f: edit(f, format_version=99), "format version 99, this metabalance reads version 9"),
        (lambda f: edit(f, encoder=...), "damaged: KeyError"),
        (lambda f: edit(f, cosine_scale=-1), "damaged: ValueError.*cosine_scale must be above 0"),
        (lambda f: edit(f, classes=3), "damaged"),
        (lambda f: edit(f, estimator="MetaBalanceClassifier"), "is a MetaBalanceClassifier, not a Neural"),
        (lambda f: edit(f, input_shape=[7]), "encoder gives 6 values a row"),
        (lambda f: edit(f, classes={"dtype": "<i8", "values": [0]}), r"its classes are \[0\]"),
        (lambda f: edit(f, classes={"dtype": "<i8", "values": [0, 0]}), r"its classes are \[0, 0\]"),
        (
            lambda f: edit(
                f, classes={"dtype": "<i8", "values": [0, 1, 2]}, calibrations={"meta": UNCALIBRATED}
            ),
            "do not fit the network",
        ),
        (
            lambda f: edit(f, adapted=True, calibrations={"meta": None, "adapted": None}),
            "adapted parameters it was saved with",
        ),
        (lambda f: edit(f, adapted=True), r"has calibrations of \['meta'\]"),
        (lambda f: edit(f, classes={"dtype": "<i8", "values": [0, 1, 2]}), "its calibration is"),
        (lambda f: edit(f, calibrations={"meta": UNCALIBRATED | {"ratio": ["x"]}}), "damaged: ValueError"),
        (lambda f: edit(f, calibrations={"meta": UNCALIBRATED | {"kind": "os.system"}}), "damaged: KeyError"),
        (lambda f: edit(f, encoder="text"), "damaged"),
        (lambda f: (f / "model.json").write_text("[" * 100_000), "damaged: not valid JSON"),
        (lambda f: edit(f, format_version="9"), "format version '9', this metabalance reads version 9"),
        (lambda f: edit(f, format_version=7), "use the version of metabalance that saved it, '0.1.0'"),
        (lambda f: edit(f, parameters=PARAMETERS | {"hidden_sizes": [10**9, 10**9]}), "cannot be built"),
        (lambda f: edit(f, parameters=PARAMETERS | {"n_members": 10**30}), "cannot be built"),
        (lambda f: edit(f, parameters=PARAMETERS | {"hidden_sizes": "__import__('os')"}), "cannot be built"),
        (lambda f: edit(f, parameters={"surprise": 1}), "no parameter 'surprise'"),
        (lambda f: weights_of(f).write_bytes(b"123"), "damaged: it is not what was saved"),
        (lambda f: weights_of(f).write_bytes(b""), "damaged: it is not what was saved"),
        (lambda f: flip_a_bit(weights_of(f)), "damaged: it is not what was saved"),
        (lambda f: weights_of(f).unlink(), "missing or damaged"),
        (lambda f: rename_weights(f, f.parent / "elsewhere.safetensors"), "it names no file of weights"),
        (lambda f: rename_weights(f, f / "weights.pickle"), "it names no file of weights"),
        (lambda f: edit(f, weights=["weights"]), "it names no file of weights"),
        (lambda f: replace_weights(f, pickle.dumps(Hostile())), "missing or damaged .*header too large"),
        (lambda f: replace_weights(f, save({"module.surprise": torch.zeros(3)})), "do not fit the network"),
        (lambda f: replace_weights(f, save(as_nan(f))), "hold NaN or infinity"),
    ],
)
def test_damaged_files(saved, damage, message) -> None:
    damage(saved)
    with pytest.raises(ValueError, match=message):
        NeuralClassifier.load(saved)


def test_nothing_there_and_nothing_fitted(tmp_path, saved) -> None:
    with pytest.raises(FileNotFoundError, match=r"no saved model in .*model.json is missing"):
        NeuralClassifier.load(tmp_path / "elsewhere")
    with pytest.raises(NotFittedError):
        NeuralClassifier().save(tmp_path)
    with pytest.raises(ValueError, match="default network: load it without module="):
        NeuralClassifier.load(saved, module=Tied)
    with pytest.raises(ValueError, match="is a file"):
        NeuralClassifier.load(saved).save(saved / "model.json")


@pytest.mark.parametrize("changed", [{"n_members": 5}, {"hidden_sizes": (7,)}, {"numerical_embedding": "x"}])
def test_parameters_changed_since_the_fit_are_found_when_saving(binary, tmp_path, changed) -> None:
    net = NeuralClassifier(**QUICK).fit(*binary).set_params(**changed)
    with pytest.raises(ValueError, match=r"has changed since the fit|numerical_embedding must be"):
        net.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_model_that_is_killed_while_it_is_saved_over_is_whole(binary, tmp_path, monkeypatch) -> None:
    X, y = binary
    first = NeuralClassifier(**QUICK).fit(X, y)
    second = NeuralClassifier(**{**QUICK, "random_state": 1}).fit(X, y)
    first.save(tmp_path)
    write = model_files.write_atomically
    written = []

    def killed_at_the_description(path, content):
        if path.name == "model.json":
            raise KeyboardInterrupt
        written.append(write(path, content))

    with monkeypatch.context() as patched:
        patched.setattr(model_files, "write_atomically", killed_at_the_description)
        with pytest.raises(KeyboardInterrupt):
            second.save(tmp_path)
    (tmp_path / ".model.json.123.tmp").write_bytes(b"{")  # of a process that was killed a moment later
    assert len(written) == 1
    loaded = NeuralClassifier.load(tmp_path, device="cpu")
    np.testing.assert_array_equal(loaded.predict_proba(X), first.predict_proba(X))
    second.save(tmp_path)
    loaded = NeuralClassifier.load(tmp_path, device="cpu")
    np.testing.assert_array_equal(loaded.predict_proba(X), second.predict_proba(X))
    assert sorted(tmp_path.iterdir()) == [tmp_path / "model.json", weights_of(tmp_path)]


def test_a_fresh_process_predicts_the_same(binary, tmp_path) -> None:
    X, y = binary
    net = MetaBalanceClassifier(**QUICK, predict_with="adapted").fit(X, y)
    net.save(tmp_path / "model")
    np.save(tmp_path / "rows.npy", X)
    program = (
        "import sys, numpy as np, torch; from metabalance import MetaBalanceClassifier as Net\n"
        "torch.set_num_threads(1); X = np.load('rows.npy')\n"
        "np.save('found.npy', Net.load('model', device='cpu').predict_proba(X))"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=120)
    np.testing.assert_array_equal(np.load(tmp_path / "found.npy"), net.predict_proba(X))


GOLDEN = Path(__file__).parent / "golden"


def test_the_format_stays_as_it_is() -> None:
    """A model that was saved once: see ``golden/make.py``."""
    kept = json.loads((GOLDEN / "predictions.json").read_text(encoding="utf-8"))
    loaded = MetaBalanceClassifier.load(GOLDEN / "model", device="cpu")
    rows = pd.DataFrame(kept["rows"])
    np.testing.assert_allclose(loaded.predict_proba(rows), kept["probabilities"], rtol=0, atol=1e-6)
    assert loaded.predict(rows).tolist() == kept["labels"]


def test_what_was_changed_after_the_fit_is_not_saved_as_if_it_held(binary, tmp_path) -> None:
    net = NeuralClassifier(**QUICK).fit(*binary).set_params(decision="most_probable", prior="balanced")
    with pytest.raises(
        ValueError, match="prior, decision changed since the fit, which predictions do not follow"
    ):
        net.save(tmp_path / "model")
    net.set_params(decision="auto", prior="training").save(tmp_path / "model")
    loaded = NeuralClassifier.load(tmp_path / "model").set_params(prior=0.1)
    with pytest.raises(ValueError, match="prior changed since the fit"):
        loaded.save(tmp_path / "model")
