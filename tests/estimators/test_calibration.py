import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss

from metabalance import MetaBalanceClassifier, NeuralClassifier
from metabalance.estimators.calibration import MOST_ROWS, Calibration, refinement
from metabalance.estimators.losses import decision_aim
from tests.estimators.conftest import QUICK


def drawn(n: int, logits_of_prior: list[float], sharpness: float = 1.0):
    """Rows whose true class probabilities are known, and what a network says that is too sure of itself."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(n, len(logits_of_prior))) + np.array(logits_of_prior)
    true = softmax(logits, axis=1)
    codes = (rng.random((n, 1)) > true.cumsum(axis=1)).sum(axis=1).clip(max=len(logits_of_prior) - 1)
    return true, softmax(sharpness * logits, axis=1), codes


def test_what_was_sharpened_is_found_out() -> None:
    true, said, codes = drawn(20_000, [0.0, -2.0, -1.0], sharpness=3.0)
    calibration = Calibration.fit(said, codes, np.bincount(codes).astype(float))
    assert calibration.scale == pytest.approx(1 / 3, rel=0.05)
    assert np.abs(calibration(said) - true).max() < 0.04


def test_balanced_is_bayes_rule_for_equal_frequencies() -> None:
    true, said, codes = drawn(50_000, [0.0, -3.0])
    expected = true / np.bincount(codes)
    expected /= expected.sum(axis=1, keepdims=True)
    found = Calibration.fit(said, codes, np.ones(2))(said)
    assert np.abs(found - expected).max() < 0.05
    # The order of the rows is that of before.
    assert (np.argsort(found[:, 1]) == np.argsort(said[:, 1])).all()


@pytest.mark.parametrize("prior", ["balanced", "training"])
def test_the_fit_is_where_the_loss_is_least(prior) -> None:
    _, said, codes = drawn(500, [0.0, -1.0, -2.0], sharpness=2.0)
    weights = np.ones(3) / 3 if prior == "balanced" else np.bincount(codes) / 500
    found = Calibration.fit(said, codes, 7 * weights)
    of_rows = (weights / np.bincount(codes))[codes]

    def loss(calibration: Calibration) -> float:
        stiffness = 3 * weights / np.bincount(codes)
        penalty = stiffness @ np.square(calibration.shift) + stiffness.max() * np.log(calibration.scale) ** 2
        return log_loss(codes, calibration(said), sample_weight=of_rows, normalize=False) + penalty / 2

    rng = np.random.default_rng(1)
    for _ in range(200):
        step = 0.05 * rng.normal(size=4)
        other = Calibration(found.scale * np.exp(step[0]), tuple(np.array(found.shift) + step[1:]))
        assert loss(found) <= loss(other) + 1e-9


def test_few_rows_move_little() -> None:
    said = np.array([[0.9, 0.1]] * 50 + [[0.2, 0.8]])
    codes = np.array([0] * 50 + [1])
    found = Calibration.fit(said, codes, np.ones(2))
    assert 0.5 < found.scale < 2.5
    assert np.abs(found.shift).max() < 1.0


def test_state_goes_and_comes() -> None:
    calibration = Calibration(0.5, (0.1, -0.25))
    assert Calibration.from_state(calibration.to_state()) == calibration
    assert calibration.suits(2)
    assert not calibration.suits(3)
    assert not Calibration(0.0, (0.0, 0.0)).suits(2)
    assert not Calibration(1.0, (0.0, float("nan"))).suits(2)


def test_adapted_predictions_have_a_calibration_of_their_own(binary, tmp_path) -> None:
    X, y = binary
    net = MetaBalanceClassifier(inner_lr=0.5, **QUICK).fit(X, y)
    assert net.calibrations_["meta"] != net.calibrations_["adapted"]
    as_if = MetaBalanceClassifier(inner_lr=0.5, calibration=None, **QUICK).fit(X, y)
    for mode in ("meta", "adapted"):
        net.set_params(predict_with=mode)
        as_if.set_params(predict_with=mode)
        expected = net.calibrations_[mode](as_if.predict_proba(X))
        np.testing.assert_allclose(net.predict_proba(X), expected, rtol=1e-6, atol=1e-9)
    net.save(tmp_path)
    assert MetaBalanceClassifier.load(tmp_path).calibrations_ == net.calibrations_


def test_training_frequencies_are_those_of_all_rows(monkeypatch) -> None:
    # Of three rare rows one is held out: among held-out rows they are more frequent than they are.
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [300, 3])
    seen = []
    fit = Calibration.fit

    def remember(probabilities, codes, prior, scaled=True):
        seen.append((np.bincount(codes).tolist(), prior.tolist()))
        return fit(probabilities, codes, prior, scaled)

    monkeypatch.setattr("metabalance.estimators.outputs.Calibration.fit", remember)
    options = {**QUICK, "n_members": 1, "scoring": "roc_auc", "decision": "most_probable"}
    NeuralClassifier(**options).fit(rng.normal(size=(303, 2)), y)
    assert seen == [([60, 1], [300.0, 3.0])]


def test_nothing_is_held_out_without_early_stopping(binary) -> None:
    assert NeuralClassifier(early_stopping=False, **QUICK).fit(*binary).calibrations_ == {"meta": None}


def test_refinement_does_not_mind_how_sure_a_network_is_nor_of_which_prior_it_speaks() -> None:
    _, said, codes = drawn(20_000, [0.0, -2.0])
    sharpened = said**3 * np.array([0.2, 0.8])
    sharpened /= sharpened.sum(axis=1, keepdims=True)
    assert refinement(sharpened, codes) == pytest.approx(refinement(said, codes), abs=1e-3)
    _, knows_less, _ = drawn(20_000, [0.0, -2.0], sharpness=0.0)
    assert refinement(knows_less, codes) < refinement(said, codes) - 0.05


def test_refinement_weighs_classes_by_the_root_of_their_size() -> None:
    codes = np.repeat([0, 1], [900, 100])
    said = np.tile([0.9, 0.1], (1000, 1))
    found = refinement(said, codes)
    # Nothing is known of the rows, so that the calibrated probabilities are the frequencies.
    assert found == pytest.approx((30 * np.log(0.9) + 10 * np.log(0.1)) / 40, abs=2e-3)


def test_class_weights_of_the_users_own_decide(binary) -> None:
    X, y = binary

    def predicted(**options) -> float:
        return float(NeuralClassifier(**{**QUICK, "max_epochs": 10, **options}).fit(X, y).predict(X).mean())

    assert predicted(class_weight={0: 1000.0, 1: 0.001}) == 0.0
    assert predicted(class_weight={0: 0.001, 1: 1000.0}) == 1.0
    assert predicted(class_weight={0: 1.0, 1: 0.0}) == 0.0


def test_balanced_weights_aim_at_equal_frequencies_as_no_weights_do() -> None:
    for class_weight in ("balanced", None):
        aim = decision_aim(class_weight, np.array(["a", "b", "c"]), np.array([70, 20, 10]))
        np.testing.assert_allclose(aim / aim.sum(), 1 / 3)
    aim = decision_aim({"a": 1.0, "b": 1.0, "c": 2.0}, np.array(["a", "b", "c"]), np.array([70, 20, 10]))
    np.testing.assert_allclose(aim / aim.sum(), np.array([7, 2, 2]) / 11)


def test_without_a_scale_only_shifts_are_fitted() -> None:
    _, said, codes = drawn(5000, [0.0, -2.0], sharpness=2.0)
    found = Calibration.fit(said, codes, np.bincount(codes).astype(float), scaled=False)
    assert found.scale == 1.0
    assert found(said).mean(axis=0) == pytest.approx(np.bincount(codes) / 5000, abs=1e-3)


def test_of_a_large_class_every_so_many_rows_are_fitted_to() -> None:
    rng = np.random.default_rng(0)
    codes = np.repeat([0, 1], [3 * MOST_ROWS, 500])
    logits = rng.normal(size=len(codes)) + 2 * codes
    probabilities = np.stack([1 / (1 + np.exp(logits)), 1 / (1 + np.exp(-logits))], axis=1)
    prior = np.ones(2)
    kept = np.r_[np.arange(0, 3 * MOST_ROWS, 3), np.arange(3 * MOST_ROWS, len(codes))]
    found = Calibration.fit(probabilities, codes, prior)
    assert found == Calibration.fit(probabilities[kept], codes[kept], prior)
    # What was left out changes next to nothing.
    others = np.r_[np.arange(1, 3 * MOST_ROWS, 3), np.arange(3 * MOST_ROWS, len(codes))]
    other = Calibration.fit(probabilities[others], codes[others], prior)
    assert np.abs(found(probabilities) - other(probabilities)).max() < 0.01
