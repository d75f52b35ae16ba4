import json

import numpy as np
import pytest
import torch
from imblearn.over_sampling import RandomOverSampler
from sklearn.exceptions import NotFittedError
from torch import nn

from metabalance import MetaBalanceClassifier, MetaWeightNetClassifier, NeuralClassifier
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
    assert sorted(file.name for file in (tmp_path / "model").iterdir()) == [
        "model.json",
        "weights.safetensors",
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
    assert set(description["parameters_not_saved"]) == {"sampler", "class_weight"}
    loaded = NeuralClassifier.load(tmp_path, device="cpu")
    assert (loaded.sampler, loaded.class_weight, loaded.hidden_sizes) == ("natural", None, [6, 5])
    np.testing.assert_array_equal(loaded.predict_proba(X), net.predict_proba(X))


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


UNCALIBRATED = {"scale": 1.0, "shift": [0.0, 0.0, 0.0]}


def edit(folder, **changes) -> None:
    file = folder / "model.json"
    description = json.loads(file.read_text())
    file.write_text(json.dumps({k: v for k, v in {**description, **changes}.items() if v is not ...}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "model.json").write_text("{"), "damaged: not valid JSON"),
        (lambda f: (f / "model.json").write_text("[1]"), "does not describe a metabalance model"),
        (lambda f: edit(f, format_version=99), "format version 99, this metabalance reads version 6"),
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
        (lambda f: edit(f, calibrations={"meta": {"scale": "x", "shift": [0, 0]}}), "damaged: ValueError"),
        (lambda f: edit(f, encoder="text"), "damaged"),
        (lambda f: (f / "model.json").write_text("[" * 100_000), "damaged: not valid JSON"),
        (lambda f: (f / "weights.safetensors").write_bytes(b"123"), "missing or damaged"),
        (lambda f: (f / "weights.safetensors").unlink(), "missing or damaged"),
    ],
    ids=range(19),
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
