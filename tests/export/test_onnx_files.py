"""Exported files, run by ONNX Runtime, against the classifiers they are of."""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from sklearn.datasets import load_digits, make_classification
from torch import Tensor, nn

from metabalance import (
    Costs,
    MetaBalanceClassifier,
    MetaWeightNetClassifier,
    MSMetaBalanceClassifier,
    NeuralClassifier,
)

QUICK = {"max_epochs": 2, "n_members": 2, "hidden_sizes": (16,), "random_state": 0, "device": "cpu"}


def table(n: int = 300) -> tuple[pd.DataFrame, pd.Series]:
    """Numbers far from 0, missing values, booleans, texts, many codes, a column that says nothing."""
    rng = np.random.default_rng(0)
    risk = rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "time of day": 1e9 + 1e5 * risk,
            "amount": np.where(rng.random(n) < 0.1, np.nan, 100 * np.exp(risk)),
            "member": rng.random(n) < 0.5,
            "city": rng.choice(np.array(["Bern", "Rome", "Zürich", None], dtype=object), n),
            "zip": rng.integers(1000, 1040, n).astype(str),
            "always": 3.0,
        }
    )
    return frame, pd.Series(np.where(risk + 0.3 * rng.normal(size=n) > 1, "fraud", "fine"))


def given_as(session: onnxruntime.InferenceSession, frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """The columns as the documentation of `export_onnx` says it."""
    given = {}
    for each in session.get_inputs():
        column = frame[each.name]
        if each.type == "tensor(string)":
            given[each.name] = column.fillna("").to_numpy(dtype=object)[:, None]
        else:
            given[each.name] = column.to_numpy(dtype=np.float64)[:, None]
    return given


def check(path: Path, given: dict[str, np.ndarray], classifier, X) -> None:
    """Probabilities are alike to 1e-5 and labels the same, of many rows, one and none."""
    session = onnxruntime.InferenceSession(path)
    label, probabilities = session.run(["label", "probabilities"], given)
    expected = classifier.predict_proba(X)
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(label, classifier.predict(X))
    for n in (0, 1):
        few = session.run(None, {name: values[:n] for name, values in given.items()})
        assert few[0].tolist() == label[:n].tolist()
        np.testing.assert_allclose(few[1], expected[:n], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("estimator", "options"),
    [
        (NeuralClassifier, {}),
        (MetaBalanceClassifier, {"predict_with": "adapted"}),
        (MetaWeightNetClassifier, {"calibration": None}),
        (NeuralClassifier, {"numerical_embedding": "periodic", "calibration": "isotonic"}),
        (NeuralClassifier, {"prior": 0.01, "decision": Costs(1, 50)}),
    ],
    ids=["plain", "adapted", "uncalibrated", "isotonic", "costs"],
)
def test_a_data_frame(estimator, options, tmp_path) -> None:
    X, y = table()
    classifier = estimator(**{**QUICK, **options}).fit(X, y)
    assert classifier.export_onnx(tmp_path / "model.onnx") == tmp_path / "model.onnx"
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert [each.name for each in session.get_inputs()] == list(X.columns[:-1])  # "always" is not used
    later = X[::-1].assign(city="Ulm")  # a category never seen
    check(tmp_path / "model.onnx", given_as(session, later), classifier, later)


@pytest.mark.parametrize("labels", [[0, 1, 2], [False, True], [0.0, 2.0], ["a", "b", "c", "ü"], [10, -3]])
def test_an_array_of_numbers_and_labels_of_every_kind(labels, tmp_path) -> None:
    X, codes = make_classification(
        300, 5, n_informative=4, n_redundant=0, n_classes=len(labels), n_clusters_per_class=1, random_state=0
    )
    X[::7, 2] = np.nan
    classifier = NeuralClassifier(**QUICK).fit(X, np.array(sorted(labels))[codes])
    classifier.export_onnx(tmp_path / "model.onnx")
    check(tmp_path / "model.onnx", {"X": X}, classifier, X)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "uint64", "float32", "Int64", "boolean", "category"])
def test_labels_of_every_type(dtype, tmp_path) -> None:
    X, codes = make_classification(200, 4, weights=[0.8], random_state=0)
    high = {"uint64": 2**63 + 5, "boolean": 1}.get(dtype, 7)
    y = pd.Series(np.where(codes == 1, np.uint64(high), np.uint64(0))).astype(dtype)
    classifier = NeuralClassifier(**QUICK).fit(X, y)
    classifier.export_onnx(tmp_path / "model.onnx")
    check(tmp_path / "model.onnx", {"X": X}, classifier, X)


@pytest.mark.parametrize("dtype", [">f4", ">i4", "longdouble", "bool"])
def test_images_of_every_type(dtype, tmp_path) -> None:
    images = np.random.default_rng(0).integers(2, size=(60, 1, 8, 8)).astype(dtype)
    classifier = NeuralClassifier(max_epochs=1, random_state=0, device="cpu").fit(images, np.arange(60) % 3)
    classifier.export_onnx(tmp_path / "model.onnx")
    native = images.astype(np.float64 if dtype == "longdouble" else images.dtype.newbyteorder("="))
    check(tmp_path / "model.onnx", {"X": native}, classifier, images)


def test_an_array_that_holds_texts(tmp_path) -> None:
    frame, y = table()
    X = frame[["amount", "city"]].to_numpy(dtype=object)
    classifier = NeuralClassifier(**QUICK).fit(X, y)
    classifier.export_onnx(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    given = given_as(session, frame[["amount", "city"]].set_axis(["column_0", "column_1"], axis=1))
    check(tmp_path / "model.onnx", given, classifier, X)


def test_images_at_adapted_parameters_and_their_statistics(tmp_path) -> None:
    digits = load_digits()
    rows = np.flatnonzero(digits.target < 3)[:200]
    images, y = digits.images[rows, None].astype(np.uint8), digits.target[rows]
    classifier = MetaBalanceClassifier(max_epochs=1, random_state=0, device="cpu").fit(images, y)
    assert classifier.adapted_parameters_ is not None
    classifier.export_onnx(tmp_path / "model.onnx")
    check(tmp_path / "model.onnx", {"X": images}, classifier, images)


class Own(nn.Module):
    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        self.code = nn.BatchNorm1d(n_inputs)  # a name that torch's exporter has a use for
        self.linear = nn.Linear(n_inputs, n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.code(x).relu())


class Branching(Own):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(-x if float(x.sum()) > 0 else x)


def test_a_network_of_ones_own(tmp_path) -> None:
    X, y = make_classification(200, 4, weights=[0.8], random_state=0)
    classifier = NeuralClassifier(module=Own, max_epochs=1, random_state=0, device="cpu").fit(X, y)
    modes = [part.training for part in classifier.module_.modules()]
    classifier.export_onnx(tmp_path / "model.onnx")
    assert [part.training for part in classifier.module_.modules()] == modes
    check(tmp_path / "model.onnx", {"X": X}, classifier, X)
    model = onnx.load(tmp_path / "model.onnx")
    assert (model.producer_name, model.opset_import[0].version) == ("metabalance", 18)


class Counting(Own):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.reshape(len(x), 2, -1).flatten(1))


@pytest.mark.parametrize(
    ("module", "reason"), [(Branching, "data-dependent"), (Counting, r"for 3 rows only.*len\(x\)")]
)
def test_a_network_that_cannot_be_exported_is_said_to_be_one(module, reason, tmp_path) -> None:
    X, y = make_classification(200, 4, weights=[0.8], random_state=0)
    classifier = NeuralClassifier(module=module, max_epochs=1, random_state=0, device="cpu").fit(X, y)
    with pytest.raises(ValueError, match=rf"cannot be exported to ONNX: .*, but .*{reason}"):
        classifier.export_onnx(tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_the_best_of_a_search(tmp_path) -> None:
    X, y = make_classification(300, 4, weights=[0.8], random_state=0)
    search = MSMetaBalanceClassifier(
        MetaBalanceClassifier(**QUICK), support_samplers=["natural"], query_samplers=["over"], random_state=0
    ).fit(X, y)
    search.export_onnx(tmp_path / "model.onnx")
    check(tmp_path / "model.onnx", {"X": X}, search, X)


def test_what_stands_in_the_way_is_named(tmp_path, monkeypatch) -> None:
    X, y = table(120)
    for name in ("label", ""):
        named = NeuralClassifier(**QUICK).fit(X.rename(columns={"amount": name}), y)
        with pytest.raises(ValueError, match=f"a column is named '{name}', which an input"):
            named.export_onnx(tmp_path / "model.onnx")
    ambiguous = NeuralClassifier(**QUICK).fit(X.assign(city=X["city"].replace("Rome", "")), y)
    with pytest.raises(ValueError, match="column 'city' holds missing values and empty texts"):
        ambiguous.export_onnx(tmp_path / "model.onnx")
    classifier = NeuralClassifier(**QUICK).fit(X[["amount"]], y)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="cannot write"):
        classifier.export_onnx(tmp_path / "file" / "model.onnx")
    with pytest.warns(UserWarning, match="no column of X holds anything"):
        blind = NeuralClassifier(**QUICK).fit(X[["always"]], y)
    with pytest.raises(ValueError, match="uses no column of the table"):
        blind.export_onnx(tmp_path / "model.onnx")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    monkeypatch.delitem(sys.modules, "metabalance.export.onnx_files", raising=False)
    with pytest.raises(ImportError, match=r"needs onnxscript, .*pip install 'metabalance\[onnx\]'"):
        classifier.export_onnx(tmp_path / "model.onnx")


def test_names_that_columns_have_already(tmp_path) -> None:
    X, y = table()
    names = ["metabalance/numbers", "numbers", "rows", "X", "classes", "always"]
    X = X.set_axis(names, axis=1)
    classifier = NeuralClassifier(**QUICK).fit(X, y)
    classifier.export_onnx(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    check(tmp_path / "model.onnx", given_as(session, X), classifier, X)
