"""What all estimators do with tables, labels, validation and parameters."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import make_scorer, matthews_corrcoef, roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from torch import nn

from metabalance import MetaBalanceClassifier, MetaWeightNetClassifier, NeuralClassifier
from tests.estimators.conftest import QUICK

EACH = pytest.mark.parametrize(
    "estimator", [NeuralClassifier, MetaBalanceClassifier, MetaWeightNetClassifier]
)


@EACH
def test_mixed_tables_with_missing_values_and_new_categories(estimator, mixed_table) -> None:
    X, y = mixed_table
    net = estimator(**{**QUICK, "max_epochs": 10}).fit(X, y)
    assert net.classes_.tolist() == ["fine", "fraud"]
    assert net.feature_names_in_.tolist() == list(X.columns)
    assert roc_auc_score(y == "fraud", net.predict_proba(X)[:, 1]) > 0.8
    new = X.iloc[:3].copy()
    new["city"] = ["Paris", None, "Bern"]
    new["amount"] = np.nan
    assert set(net.predict(new)) <= {"fine", "fraud"}
    shuffled = X[list(X.columns[::-1])]
    np.testing.assert_array_equal(net.predict_proba(shuffled), net.predict_proba(X))


@EACH
@pytest.mark.parametrize(
    "labels", [["b", "a"], [7, 3], [True, False], [2.0, 5.0], np.array(["x", "y"], dtype=object)], ids=str
)
def test_labels_of_any_kind(estimator, binary, labels) -> None:
    X, y = binary
    names = np.asarray(labels)[y]
    net = estimator(**QUICK).fit(X, names)
    assert net.classes_.tolist() == sorted(set(names.tolist()))
    predicted = net.predict(X)
    assert predicted.dtype == names.dtype
    codes = np.searchsorted(net.classes_, names)
    same = estimator(**QUICK).fit(X, codes)
    np.testing.assert_array_equal(net.predict_proba(X), same.predict_proba(X))


@EACH
def test_many_classes(estimator, three_classes) -> None:
    X, y = three_classes
    net = estimator(**{**QUICK, "max_epochs": 10}, decision="most_probable").fit(X, y)
    proba = net.predict_proba(X)
    assert proba.shape == (400, 3)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert (net.predict(X) == net.classes_[proba.argmax(axis=1)]).all()
    assert roc_auc_score(y, proba, multi_class="ovr") > 0.7


@EACH
def test_images_with_a_convolutional_module(estimator) -> None:
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [90, 30])
    X = rng.normal(size=(120, 1, 6, 6)) + 2 * y[:, None, None, None] * np.eye(6)
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))
    net = estimator(module=module, **{**QUICK, "max_epochs": 6}).fit(X, y)
    assert roc_auc_score(y, net.predict_proba(X)[:, 1]) > 0.9
    with pytest.raises(ValueError, match=r"default networks take tables .* and images .*pass module="):
        estimator(**QUICK).fit(X[:, 0], y)


@EACH
def test_nothing_of_the_held_out_rows_leaks_into_the_encoding(estimator) -> None:
    """Train on rows whose median is 0; whatever is held out would move it if it were looked at."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 2)), np.repeat([0, 1], [150, 50])
    probe = estimator(**{**QUICK, "n_members": 1}).fit(X, y)
    # The split depends on the labels and the seed only, so the same rows are held out again ...
    seen = _rows_that_are_trained_on(estimator, X, y)
    poisoned = X.copy()
    poisoned[~seen] += 1e6
    again = estimator(**{**QUICK, "n_members": 1}).fit(poisoned, y)
    # ... and however wild they are, scaling and training do not change, except for the epoch that is kept.
    assert probe.encoder_.to_state() == again.encoder_.to_state()
    assert [e["train_loss"] for e in probe.history_] == [e["train_loss"] for e in again.history_]


@pytest.mark.parametrize("estimator", [NeuralClassifier, MetaBalanceClassifier])
def test_a_member_never_sees_the_rows_that_it_holds_out(estimator) -> None:
    rng = np.random.default_rng(0)
    # True or false, so that the encoding depends on no row.
    X, y = pd.DataFrame(rng.random((200, 5)) < 0.5), np.repeat([0, 1], [150, 50])
    X.columns = list("abcde")
    options = {**QUICK, "n_members": 5, "dropout": 0.0, "max_epochs": 1}
    net = estimator(**options)
    holdouts = net.prepare(X, y).holdouts
    held = holdouts.held[holdouts.group]
    assert held.sum(axis=1).tolist() == [1] * 200
    before = net.fit(X, y).module_.state_dict()
    changed = X.copy()
    changed[held[:, 2]] = ~changed[held[:, 2]]
    after = estimator(**options).fit(changed, y).module_.state_dict()
    differences = {
        name: (after[name] - parameter).abs() for name, parameter in before.items() if "members" in name
    }
    assert max(difference[2].max() for difference in differences.values()) < 1e-6
    assert max(difference[1].max() for difference in differences.values()) > 1e-2


class Remember:
    """A sampler that changes nothing and keeps what it was shown."""

    def __init__(self, seen: list) -> None:
        self.seen = seen

    def fit_resample(self, X, y):
        self.seen.append(np.array(X))
        return X, y

    def __sklearn_clone__(self) -> "Remember":
        return self


def _rows_that_are_trained_on(estimator, X, y) -> np.ndarray:
    """Find the training rows from outside: those that a sampler gets to see."""
    seen: list[np.ndarray] = []
    name = "query_sampler" if estimator is MetaBalanceClassifier else "sampler"
    net = estimator(**{**QUICK, name: Remember(seen)}).fit(X, y)
    shown = {tuple(row) for row in np.concatenate(seen).tolist()}
    return np.array([tuple(row) in shown for row in net.encoder_.transform(X).tolist()])


@EACH
def test_resampling_sees_four_fifths_of_every_class(estimator) -> None:
    X, y = np.arange(200.0).reshape(100, 2), np.repeat([0, 1], [80, 20])
    trained_on = _rows_that_are_trained_on(estimator, X, y)
    assert np.bincount(y[trained_on]).tolist() == [64, 16]


@EACH
def test_history_names_what_it_promises(estimator, binary) -> None:
    X, y = binary
    history = estimator(**QUICK).fit(X, y).history_
    promised = {"epoch", "train_loss", "valid_loss", "valid_score"} | {
        f"{part}_{which}_recall" for part in ("train", "valid") for which in ("majority", "minority")
    }
    assert [epoch["epoch"] for epoch in history] == [1, 2]
    assert all(promised <= set(epoch) for epoch in history)
    without = estimator(**{**QUICK, "early_stopping": False}).fit(X, y).history_
    assert "train_minority_recall" in without[0]
    assert "valid_score" not in without[0]


@EACH
@pytest.mark.parametrize("scoring", ["average_precision", "f1", make_scorer(matthews_corrcoef)], ids=str)
def test_scoring_follows_the_scorer(estimator, binary, scoring) -> None:
    X, y = binary
    net = estimator(scoring=scoring, **QUICK).fit(X, np.array(["no", "yes"])[y])
    assert all(-1 <= epoch["valid_score"] <= 1 for epoch in net.history_)
    by_auc = estimator(**QUICK).fit(X, y)
    assert [e["valid_score"] for e in net.history_] != [e["valid_score"] for e in by_auc.history_]


@EACH
def test_scikit_learn_tools_work(estimator, binary) -> None:
    X, y = binary
    scores = cross_val_score(make_pipeline(MinMaxScaler(), estimator(**QUICK)), X, y, cv=2, scoring="roc_auc")
    assert (scores > 0.5).all()
    search = GridSearchCV(estimator(**QUICK), {"hidden_sizes": [(4,), (16,)]}, cv=2, scoring="roc_auc")
    assert search.fit(X, y).best_params_["hidden_sizes"] in [(4,), (16,)]


@EACH
def test_clone_get_and_set_params_with_free_parameters(estimator) -> None:
    net = estimator(module__activation="x", optimizer__eps=1e-3, lr=0.5)
    twin = clone(net)
    assert twin.get_params() == net.get_params()
    assert twin.get_params()["optimizer__eps"] == 1e-3
    twin.set_params(optimizer__eps=1.0, lr=0.1)
    assert (twin.get_params()["optimizer__eps"], twin.lr) == (1.0, 0.1)
    assert net.get_params()["optimizer__eps"] == 1e-3


@EACH
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"learning_rate": 1}, TypeError, "has no parameter 'learning_rate'"),
        ({"lr": 0}, ValueError, "lr must be above 0 and finite, got 0"),
        ({"lr": "fast"}, TypeError, "lr must be a number, got 'fast'"),
        ({"weight_decay": -1}, ValueError, "weight_decay must be at least 0"),
        ({"max_epochs": 0}, ValueError, "max_epochs must be at least 1, got 0"),
        ({"max_epochs": 1.5}, TypeError, "max_epochs must be a whole number"),
        ({"validation_fraction": 1.0}, ValueError, "validation_fraction must be below 1"),
        ({"early_stopping": 0}, ValueError, "early_stopping must be at least 1"),
        ({"lr_schedule": "step"}, ValueError, "lr_schedule must be one of 'constant', 'cosine'"),
        (
            {"loss": "hinge"},
            ValueError,
            "loss must be one of cross_entropy, focal, .* or a function, got 'hinge'",
        ),
        ({"loss": nn.CrossEntropyLoss(), "class_weight": "balanced"}, ValueError, "goes with a named loss"),
        (
            {"class_weight": "even"},
            ValueError,
            "class_weight must be 'balanced', 'effective_number', a dict of label to weight or None",
        ),
        (
            {"class_weight": np.array([1.0, 2.0])},
            TypeError,
            r"class_weight must be .*, got array\(\[1., 2.\]\)",
        ),
        (
            {"class_weight": pd.Series([1, 2])},
            TypeError,
            "class_weight must be .*, a dict of label to weight",
        ),
        ({"class_weight": {0: "a"}}, ValueError, "class_weight={0: 'a'} cannot be used: could not convert"),
        ({"class_weight": [1, 2]}, TypeError, r"class_weight must be .*, got \[1, 2\]"),
        ({"optimizer": "lion"}, ValueError, "optimizer must be .* got 'lion'"),
        ({"optimizer": 3}, TypeError, "optimizer must be a name or a subclass"),
        ({"module": nn.ReLU}, ValueError, r"must return logits of shape \(batch, 2\) or \(batch, 1\)"),
        ({"module": "resnet"}, TypeError, "module must be a torch.nn.Module class or instance"),
        ({"module": nn.AdaptiveAvgPool1d(2)}, ValueError, "Pool1d has no parameter that requires a gradient"),
        (
            {"module": nn.Linear(6, 2).requires_grad_(False)},
            ValueError,
            "Linear has no parameter that requires a gradient: call requires_grad_",
        ),
        ({"module": nn.Linear(6, 2), "module__bias": True}, ValueError, "pass the module's class"),
        ({"scoring": "auc"}, ValueError, "scoring='auc' is no scikit-learn scorer; did you mean 'roc_auc'"),
        ({"device": "gpu"}, ValueError, "device must be"),
        ({"hidden_sizes": (0,)}, ValueError, "layer widths"),
    ],
    ids=str,
)
def test_wrong_parameters_are_named(estimator, binary, options, error, message) -> None:
    X, y = binary
    with pytest.raises(error, match=message):
        estimator(**{**QUICK, **options}).fit(X, y)


@EACH
@pytest.mark.parametrize(
    ("X", "y", "error", "message"),
    [
        (np.ones((4, 2)), None, ValueError, "requires y to be passed"),
        (np.ones((4, 2)), [0, 1, 0], ValueError, "inconsistent numbers of samples"),
        (np.ones((4, 2)), [1, 1, 1, 1], ValueError, "at least 2 classes, got 1 class"),
        (np.ones((4, 2)), [0, 1, np.nan, 1], ValueError, "y contains NaN: 1 of 4 labels"),
        (np.ones((4, 2)), ["a", None, "b", "a"], ValueError, "first in row 1"),
        (np.ones((4, 2)), [0.5, 1.25, 2.5, 1.75], ValueError, "continuous"),
        (np.ones((5, 2)), [0, 0, 0, 0, 1], ValueError, "single row"),
        (np.full((4, 2), np.inf), [0, 1, 0, 1], ValueError, "inf"),
        (np.ones((0, 2)), [], ValueError, "empty|0 sample"),
        (sparse.eye(4).tocsr(), [0, 1, 0, 1], TypeError, "toarray"),
        (np.ones(4), [0, 1, 0, 1], ValueError, "Expected 2D array, got 1D array"),
    ],
    ids=range(11),
)
def test_wrong_data_is_named(estimator, X, y, error, message) -> None:
    with pytest.raises(error, match=message):
        estimator(**QUICK).fit(X, y)


@EACH
def test_predict_before_fit(estimator) -> None:
    with pytest.raises(NotFittedError):
        estimator().predict(np.ones((2, 2)))


@EACH
def test_other_columns_at_predict_time(estimator, mixed_table) -> None:
    X, y = mixed_table
    net = estimator(**QUICK).fit(X, y)
    with pytest.raises(ValueError, match="city"):
        net.predict(X.drop(columns="city"))
    assert net.predict_proba(X.iloc[:0]).shape == (0, 2)


def test_generating_samplers_refuse_categories(mixed_table) -> None:
    X, y = mixed_table
    with pytest.raises(ValueError, match=r"smote.*categor"):
        NeuralClassifier(sampler="smote", **QUICK).fit(X, y)


@EACH
@pytest.mark.parametrize("seed", range(6))
def test_one_text_among_numbers_makes_text_whichever_side_it_falls_on(estimator, seed) -> None:
    y = np.repeat([0, 1], [45, 15])
    column = pd.Series(np.arange(60.0), dtype=object)
    column[7] = "unknown"
    frame = pd.DataFrame({"a": column, "b": np.arange(60.0)})
    net = estimator(**{**QUICK, "random_state": seed, "max_epochs": 1, "n_members": 1}).fit(frame, y)
    assert net.encoder_.text_features_ == ["a"]


@EACH
def test_many_categories_are_learned_one_by_one(estimator, tmp_path) -> None:
    rng = np.random.default_rng(0)
    city = rng.integers(100, size=3000)
    y = (rng.random(100) < 0.3)[city].astype(int)
    frame = pd.DataFrame({"city": [f"city {number}" for number in city], "noise": rng.normal(size=3000)})
    options = {**QUICK, "max_epochs": 20, "lr": 0.01}
    net = estimator(**options).fit(frame[:2000], y[:2000])
    assert dict(net.layout_.codes) == {0: 101}
    later = frame[2000:].reset_index(drop=True)
    found = net.predict_proba(later)
    assert roc_auc_score(y[2000:], found[:, 1]) > 0.95
    net.save(tmp_path)
    np.testing.assert_allclose(estimator.load(tmp_path, device="cpu").predict_proba(later), found, rtol=1e-6)
    # A city that was not there in fit is like no city in particular: its code has learned nothing.
    assert (net.module_.categories[0].weight[:, 0] == 0).all()
    unseen = net.predict_proba(later.assign(city="Atlantis"))[:, 1]
    assert found[:, 1].min() < unseen.min()
    assert unseen.max() < found[:, 1].max()
    assert abs(unseen.mean() - found[:, 1].mean()) < 0.2
    # A module of one's own gets the 31 most frequent ones as inputs, and one for all others.
    own = estimator(module=nn.Linear(33, 1), **QUICK).fit(frame[:2000], y[:2000])
    assert own.encoder_.n_outputs_ == 33


@EACH
def test_many_categories_without_meaning_are_seen_through(estimator) -> None:
    # Held-out rows must not leak through what members learn of categories: else training never stops.
    rng = np.random.default_rng(0)
    name = rng.permutation(1500) % 150
    frame = pd.DataFrame({"name": name.astype(str), "noise": rng.normal(size=1500)})
    y = (rng.random(1500) < 0.3).astype(int)
    options = {"scoring": "roc_auc", "lr": 0.01, "max_epochs": 20, "random_state": 0, "device": "cpu"}
    net = estimator(**options).fit(frame, y)
    assert dict(net.layout_.codes)[0] > 140
    assert max(epoch["valid_score"] for epoch in net.history_) < 0.58


@EACH
def test_numbers_beyond_those_of_fit_do_not_decide(estimator) -> None:
    rng = np.random.default_rng(0)
    amount = np.where(rng.random(800) < 0.7, 0.0, rng.lognormal(0, 3, 800))
    frame = pd.DataFrame({"amount": amount, "b": rng.normal(size=800)})
    y = (frame["b"] + rng.normal(size=800) > 1).astype(int).to_numpy()
    net = estimator(**QUICK).fit(frame, y)
    codes = net.module_.code(torch.tensor([[-9.0, 0.0], [9.0, 0.0]]))
    assert ((codes >= 0) & (codes <= 1)).all()
    # A sentinel just below the usual is close to it; unbounded, its code made it a case of its own (by 0.2).
    at = pd.DataFrame({"amount": [-50.0, -1.0, 0.0], "b": 0.0})
    assert np.ptp(net.predict_proba(at)[:, 1]) < 0.12


@EACH
def test_refitting_on_an_array_forgets_the_names(estimator, mixed_table, binary) -> None:
    net = estimator(**QUICK).fit(*mixed_table)
    assert "feature_names_in_" in vars(net)
    net.fit(*binary)
    assert "feature_names_in_" not in vars(net)


@EACH
def test_a_loss_must_be_a_scalar(estimator, binary) -> None:
    with pytest.raises(ValueError, match="scalar"):
        estimator(loss=nn.CrossEntropyLoss(reduction="none"), **QUICK).fit(*binary)
    with pytest.raises(TypeError, match="got the class CrossEntropyLoss"):
        estimator(loss=nn.CrossEntropyLoss, **QUICK).fit(*binary)
    with pytest.raises(ValueError, match="class_weight must be finite"):
        estimator(class_weight={0: -1.0, 1: 2.0}, **QUICK).fit(*binary)


@EACH
def test_a_module_of_the_wrong_width(estimator, binary) -> None:
    with pytest.raises(ValueError, match=r"cannot take its input, float32 of shape \(2, 6\)"):
        estimator(module=nn.Linear(5, 2), **QUICK).fit(*binary)
    with pytest.raises(ValueError, match="module__width was given without module="):
        estimator(module__width=5, **QUICK).fit(*binary)
    with pytest.raises(TypeError, match=r"hidden_sizes must be a sequence such as \(64, 32\), got 64"):
        estimator(**{**QUICK, "hidden_sizes": 64}).fit(*binary)


def test_pandas_labels_with_another_index(binary) -> None:
    X, y = binary
    frame = pd.DataFrame(X, columns=list("abcdef"), index=np.arange(1000, 1400))
    series = pd.Series(y, index=np.arange(7, 407), dtype="category")
    same = NeuralClassifier(**QUICK).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(NeuralClassifier(**QUICK).fit(frame, series).predict_proba(frame), same)


def test_device_is_where_the_module_lives(binary) -> None:
    X, y = binary
    net = NeuralClassifier(**QUICK).fit(X, y)
    assert next(net.module_.parameters()).device == torch.device("cpu")
