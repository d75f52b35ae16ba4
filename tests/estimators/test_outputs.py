"""Probabilities at a stated prior, and what is predicted from them."""

import json

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.datasets import make_classification
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import balanced_accuracy_score, precision_score, recall_score, roc_auc_score

from metabalance import (
    AlertsAtMost,
    Costs,
    MetaBalanceClassifier,
    NeuralClassifier,
    PrecisionAtLeast,
    RecallAtLeast,
    correct_prior,
)
from metabalance.estimators.isotonic import IsotonicCalibration
from metabalance.estimators.outputs import Output, check_output_parameters
from metabalance.estimators.priors import check_prior, frequencies
from tests.estimators.conftest import QUICK

TEN_EPOCHS = {**QUICK, "max_epochs": 10}


@pytest.fixture(scope="module")
def table():
    X, y = make_classification(
        3000, 6, n_informative=4, weights=[0.9], flip_y=0.02, class_sep=0.7, random_state=3
    )
    return X[:1500], y[:1500], X[1500:], y[1500:]


def calibration_error(y, risk) -> float:
    bins = np.minimum((risk * 15).astype(int), 14)
    gaps = np.bincount(bins, y - risk, minlength=15)
    return float(np.abs(gaps).sum() / len(y))


@pytest.mark.parametrize("calibration", ["temperature", "prior", "isotonic"])
def test_risks_can_be_taken_at_their_word(calibration, table) -> None:
    X, y, X_test, y_test = table
    options = {**TEN_EPOCHS, "sampler": "over"}
    risk = NeuralClassifier(**options, calibration=calibration).fit(X, y).predict_proba(X_test)[:, 1]
    said = NeuralClassifier(**options, calibration=None).fit(X, y).predict_proba(X_test)[:, 1]
    assert risk.mean() == pytest.approx(y_test.mean(), abs=0.02)
    assert calibration_error(y_test, risk) < 0.04  # of 1,500 true ones about 0.02 comes by chance
    assert calibration_error(y_test, said) > 0.1
    tolerance = 0.01 if calibration == "isotonic" else 1e-12
    assert roc_auc_score(y_test, risk) == pytest.approx(roc_auc_score(y_test, said), abs=tolerance)


def test_the_default_predicts_for_balanced_accuracy(table) -> None:
    X, y, X_test, y_test = table
    net = MetaBalanceClassifier(**TEN_EPOCHS).fit(X, y)
    risk, predicted = net.predict_proba(X_test)[:, 1], net.predict(X_test)
    threshold = net.calibrations_["meta"].threshold
    assert (predicted == (risk > threshold)).all()
    assert threshold < 0.3
    balanced = balanced_accuracy_score(y_test, predicted)
    best = max(balanced_accuracy_score(y_test, risk > each) for each in np.linspace(0, 1, 101))
    assert balanced > best - 0.03
    assert balanced > balanced_accuracy_score(y_test, risk > 0.5) + 0.03
    sure = MetaBalanceClassifier(**TEN_EPOCHS, decision="most_probable").fit(X, y)
    assert (sure.predict(X_test) == (risk > 0.5)).all()
    assert (net.decide(net.predict_proba(X_test)) == predicted).all()


@pytest.mark.parametrize("prior", ["balanced", 0.3, {0: 7, 1: 3}])
def test_another_prior_is_bayes_rule_and_leaves_balanced_decisions(prior, table) -> None:
    X, y, X_test, _ = table
    as_in_training = NeuralClassifier(**TEN_EPOCHS).fit(X, y)
    moved = NeuralClassifier(**TEN_EPOCHS, prior=prior).fit(X, y)
    target = [1, 1] if prior == "balanced" else [0.7, 0.3]
    expected = correct_prior(as_in_training.predict_proba(X_test), np.bincount(y), target)
    np.testing.assert_allclose(moved.predict_proba(X_test), expected, atol=1e-9)
    assert (moved.predict(X_test) == as_in_training.predict(X_test)).mean() > 0.99


def test_operating_points_hold_on_new_rows(table) -> None:
    X, y, X_test, y_test = table
    at = {
        decision: MetaBalanceClassifier(**TEN_EPOCHS, decision=decision).fit(X, y).predict(X_test)
        for decision in (
            RecallAtLeast(0.9),
            PrecisionAtLeast(0.7),
            AlertsAtMost(5, rows=100),
            Costs(1, 1),
            Costs(1, 20),
        )
    }
    assert recall_score(y_test, at[RecallAtLeast(0.9)]) == pytest.approx(0.9, abs=0.07)
    assert precision_score(y_test, at[PrecisionAtLeast(0.7)]) == pytest.approx(0.7, abs=0.12)
    assert at[AlertsAtMost(5, rows=100)].mean() == pytest.approx(0.05, abs=0.02)
    costs = {d: (p * (1 - y_test)).sum() + 20 * ((1 - p) * y_test).sum() for d, p in at.items()}
    assert costs[Costs(1, 20)] == min(costs.values())


def test_the_rarer_class_is_the_positive_one_whatever_its_label(table) -> None:
    X, y, X_test, y_test = table
    labels = np.array(["usual", "fraud"])  # the rarer one comes first
    net = NeuralClassifier(**TEN_EPOCHS, decision=RecallAtLeast(0.9), prior=0.3).fit(X, labels[y])
    assert (net.predict(X_test) == "fraud")[y_test == 1].mean() > 0.8
    as_in_training = NeuralClassifier(**TEN_EPOCHS).fit(X, labels[y]).predict_proba(X_test)
    expected = correct_prior(as_in_training, [np.mean(y == 1), np.mean(y == 0)], [0.3, 0.7])
    np.testing.assert_allclose(net.predict_proba(X_test), expected, atol=1e-9)
    assert net.calibrations_["meta"].threshold > 0.5  # of "usual"


def test_three_classes(three_classes) -> None:
    X, y = three_classes
    for calibration in ("temperature", "isotonic"):
        net = NeuralClassifier(**QUICK, calibration=calibration).fit(X, y)
        proba = net.predict_proba(X)
        np.testing.assert_allclose(proba.sum(axis=1), 1)
        np.testing.assert_allclose(proba.mean(axis=0), np.bincount(y) / len(y), atol=0.05)
        assert net.calibrations_["meta"].threshold is None
        predicted = np.bincount(net.predict(X), minlength=3)
        most_probable = np.bincount(proba.argmax(axis=1), minlength=3)
        assert predicted[0] < most_probable[0]  # of the most frequent class
    with pytest.raises(ValueError, match="is between two classes, got 3"):
        NeuralClassifier(**QUICK, decision=Costs(1, 2)).fit(X, y)
    with pytest.raises(ValueError, match="share of the rarer of two classes, got 3"):
        NeuralClassifier(**QUICK, prior=0.1).fit(X, y)


def test_isotonic_regression_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    said = softmax(rng.normal(size=(400, 2)), axis=1)
    codes = (rng.random(400) < said[:, 1] ** 2).astype(int)

    ours = IsotonicCalibration.fit(said, codes, np.bincount(codes).astype(float))
    theirs = IsotonicRegression(out_of_bounds="clip").fit(said[:, 1], codes)
    np.testing.assert_allclose(ours(said)[:, 1], theirs.predict(said[:, 1]), atol=1e-12)


@pytest.mark.parametrize("calibration", ["temperature", "isotonic"])
def test_state_goes_and_comes(calibration, table, tmp_path) -> None:
    X, y, X_test, _ = table
    net = NeuralClassifier(**QUICK, calibration=calibration, prior=0.02, decision=RecallAtLeast(0.8)).fit(
        X, y
    )
    output = net.calibrations_["meta"]
    assert Output.from_state(json.loads(json.dumps(output.to_state()))) == output
    assert output.suits(2)
    assert not output.suits(3)
    net.save(tmp_path)
    loaded = NeuralClassifier.load(tmp_path, device="cpu")
    np.testing.assert_array_equal(loaded.predict_proba(X_test), net.predict_proba(X_test))
    np.testing.assert_array_equal(loaded.predict(X_test), net.predict(X_test))


@pytest.mark.parametrize(
    "damage",
    [
        {"ratio": [1.0]},
        {"ratio": [1.0, -1.0]},
        {"log_weights": [0.0, float("nan")]},
        {"calibration": {"inputs": [[0.5, 0.1]], "outputs": [[0.0, 1.0]]}},
        {"calibration": {"inputs": [[0.1, 0.5]], "outputs": [[0.9, 0.1]]}},
        {"calibration": {"inputs": [[0.1]], "outputs": [[0.9, 0.1]]}},
        {"calibration": {"inputs": [[]], "outputs": [[]]}},
        {"calibration": {"inputs": [], "outputs": []}},
        {"calibration": {"inputs": [[0.1]], "outputs": [[1.5]]}},
    ],
)
def test_damage_is_seen(damage) -> None:
    whole = {
        "kind": "isotonic",
        "calibration": {"inputs": [[0.1, 0.5]], "outputs": [[0.0, 1.0]]},
        "ratio": [1.0, 1.0],
        "log_weights": [0.0, 1.0],
    }
    assert Output.from_state(whole).suits(2)
    assert not Output.from_state({**whole, **damage}).suits(2)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        (("platt", "training", "auto", True), ValueError, "calibration must be one of"),
        (("auto", "natural", "auto", True), ValueError, "prior must be"),
        (("auto", 1.0, "auto", True), ValueError, "prior must be below 1"),
        (("auto", [0.5, 0.5], "auto", True), TypeError, "prior must be 'training', 'balanced', the share"),
        (("auto", {"a": 0}, "auto", True), ValueError, "prior of 'a' must be above 0"),
        (("auto", "training", "best", True), ValueError, "decision must be one of"),
        (
            ("isotonic", "training", "auto", False),
            ValueError,
            "calibration='isotonic' needs .*early_stopping=False",
        ),
        (("auto", 0.1, "auto", False), ValueError, "prior=0.1 needs"),
        ((None, "training", "balanced", True), ValueError, "decision='balanced' needs .*calibration=None"),
        ((None, "balanced", "auto", True), ValueError, "prior='balanced' needs"),
    ],
)
def test_what_cannot_be_is_refused(parameters, error, message) -> None:
    with pytest.raises(error, match=message):
        check_output_parameters(*parameters)


def test_what_needs_no_held_out_rows_is_not() -> None:
    for decision in ("auto", "most_probable"):
        check_output_parameters(None, "training", decision, True)
        check_output_parameters("auto", "training", decision, False)


def test_priors_by_label() -> None:
    classes, counts = np.array(["a", "b"]), np.array([10.0, 90.0])
    assert frequencies("training", classes, counts).tolist() == [10, 90]
    assert frequencies("balanced", classes, counts).tolist() == [1, 1]
    assert frequencies(0.02, classes, counts).tolist() == [0.02, 0.98]
    assert frequencies({"b": 3, "a": 1}, classes, counts).tolist() == [1, 3]
    with pytest.raises(ValueError, match="prior must name every class"):
        frequencies({"a": 1}, classes, counts)
    check_prior({"a": 1, "b": 2.5})


def test_of_two_classes_of_one_size_the_second_is_the_positive_one() -> None:
    classes, counts = np.array([0, 1]), np.array([10.0, 10.0])
    assert frequencies(0.02, classes, counts).tolist() == [0.98, 0.02]
    X, y = make_classification(200, 4, weights=[0.5], flip_y=0, random_state=0)
    assert np.bincount(y).tolist() == [100, 100]
    eager = NeuralClassifier(**QUICK, decision=Costs(false_positive=1, false_negative=50)).fit(X, y)
    assert eager.calibrations_["meta"].threshold == pytest.approx(1 / 51)
    assert (eager.predict(X) == 1).mean() > 0.5


def test_only_probabilities_of_these_classes_are_calibrated_and_decided(binary) -> None:
    net = NeuralClassifier(**QUICK).fit(*binary)
    proba = net.predict_proba(binary[0][:5])
    for wrong in (proba[:, 1:], proba[:, 1], np.full((2, 2), np.nan), np.ones((2, 3))):
        for method in (net.decide, net.calibrate):
            with pytest.raises(ValueError, match=r"numbers of shape \(n_rows, 2\), .*got shape"):
                method(wrong)
    assert net.decide(proba[:0]).shape == (0,)
