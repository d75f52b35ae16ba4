import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from metabalance import correct_prior
from metabalance.evaluation import predict_at_recall


def posterior(densities: np.ndarray, prior: list[float]) -> np.ndarray:
    joint = densities * np.asarray(prior)
    return joint / joint.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("trained", "target"), [([0.9, 0.1], [0.5, 0.5]), ([0.7, 0.2, 0.1], [0.1, 0.3, 0.6])], ids=str
)
def test_it_gives_the_posterior_of_the_target_prior(trained, target) -> None:
    # Three or two Gaussians whose densities are known: Bayes' rule under either prior.
    x = np.linspace(-3, 5, 50)[:, None]
    densities = np.exp(-((x - np.arange(len(trained))) ** 2) / 2)
    found = correct_prior(posterior(densities, trained), trained, target)
    np.testing.assert_allclose(found, posterior(densities, target), rtol=1e-12)


def test_balanced_by_default_and_counts_will_do() -> None:
    proba = np.random.default_rng(0).dirichlet([1, 1, 1], 20)
    by_hand = proba / [700, 200, 100]
    by_hand /= by_hand.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(correct_prior(proba, [700, 200, 100]), by_hand, rtol=1e-12)
    np.testing.assert_allclose(correct_prior(proba, [7, 2, 1]), by_hand, rtol=1e-12)
    there_and_back = correct_prior(correct_prior(proba, [7, 2, 1]), np.ones(3), [7, 2, 1])
    np.testing.assert_allclose(there_and_back, proba, rtol=1e-12)


def test_for_two_classes_the_ranking_stays() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(200) % 2
    risk = 1 / (1 + np.exp(-rng.normal(y - 3)))
    proba = np.stack([1 - risk, risk], axis=1)
    corrected = correct_prior(proba, [95, 5])
    assert roc_auc_score(y, corrected[:, 1]) == roc_auc_score(y, risk)
    assert (corrected[:, 1] > risk).all()


def test_a_class_of_no_target_frequency_gets_nothing() -> None:
    found = correct_prior([[0.2, 0.3, 0.5]], [1, 1, 1], [1, 1, 0])
    np.testing.assert_allclose(found, [[0.4, 0.6, 0.0]])
    assert correct_prior(np.empty((0, 2)), [1, 1]).shape == (0, 2)


def test_extreme_numbers_come_out_finite() -> None:
    found = correct_prior([[0.9, 0.1]], [1e308, 1e308], [1.7e308, 1.7e308])
    np.testing.assert_allclose(found, [[0.9, 0.1]])
    rare = correct_prior([[1.0, 1e-300], [1e-300, 1.0]], [1.0, 1e-99], [1e-99, 1.0])
    np.testing.assert_allclose(rare, [[1.0, 1e-102], [0.0, 1.0]], atol=1e-100)
    rounded = np.float32([[1.0000001, 0.0]])
    np.testing.assert_allclose(correct_prior(rounded, [9, 1]), [[1.0, 0.0]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.5, 0.5], [1, 1]), r"of shape \(n, K\), got shape \(2,\)"),
        (([[1.5, -0.5]], [1, 1]), "got shape .* with values from -0.5 to 1.5"),
        (([[np.nan, 0.5]], [1, 1]), "proba must be probabilities between 0 and 1 .* values from nan"),
        (([[1e308, 1e308]], [1, 1]), "got shape .* with values from 1e\\+308"),
        (
            ([[0.5, 0.5]], [1e-310, 1]),
            r"training_prior must give no class a share below .*, got \[1e-310, 1.0",
        ),
        (([[0.5, 0.5]], [1, 1], [1, 1e-310]), "target_prior must give no class a share below"),
        (([[0.5, 0.5]], [np.inf, 1]), "training_prior must be finite"),
        (([[0.5, 0.5]], [1, 1, 1]), r"training_prior must have one number for each of the 2 columns"),
        (([[0.5, 0.5]], [1, 0]), "training_prior must be above 0 for every class"),
        (([[0.5, 0.5]], [1, 1], [0, 0]), "target_prior must be finite, at least 0 and not all 0"),
        (([[0.5, 0.5]], [1, 1], [-1, 2]), "target_prior must be finite, at least 0 and not all 0"),
        (([[0.5, 0.5], [1.0, 0.0]], [1, 1], [0, 1]), "row 1 of proba, .* no class left"),
    ],
    ids=range(12),
)
def test_wrong_arguments(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        correct_prior(*arguments)


@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.sampled_from([2, 3, 10]))
def test_the_class_has_the_recall_asked_for(seed, recall, n_classes):
    rng = np.random.default_rng(seed)
    codes = np.append(np.zeros(20, int), rng.integers(n_classes, size=40))
    proba = rng.dirichlet(np.full(n_classes, 0.5), len(codes))
    found = predict_at_recall(proba, codes, recall, label=0)
    of_class = codes == 0
    achieved = (found[of_class] == 0).mean()
    assert 0 <= achieved - recall + 1e-5 < 1 / of_class.sum() + 2e-5
    # A factor on one column cannot change the order of the others.
    rest = found != 0
    assert (found[rest] == 1 + proba[rest, 1:].argmax(axis=1)).all()


def test_for_two_classes_it_is_a_threshold():
    rng = np.random.default_rng(0)
    y = (np.arange(200) < 20).astype(int)
    risk = rng.uniform(size=200)
    found = predict_at_recall(np.stack([1 - risk, risk], axis=1), y, 0.9)  # of class 0, the frequent one
    threshold = np.sort(risk[y == 0])[161]  # the 162 of 180 with the lowest risk are below or at it
    np.testing.assert_array_equal(found, risk > threshold)


def test_ties_are_found_together_and_certainty_is_no_trouble():
    proba = [[0.5, 0.5], [0.5, 0.5], [1.0, 0.0], [0.0, 1.0]]
    assert predict_at_recall(proba, [0, 0, 0, 1], 0.4).tolist() == [0, 0, 0, 1]
    assert predict_at_recall([[1.0, 1e-320], [0.5, 0.5]], [0, 1], 1.0).tolist() == [0, 1]
    assert predict_at_recall(proba, [0, 0, 0, 1], 0.0).tolist() == [1, 1, 1, 1]
    assert predict_at_recall(proba, [0, 0, 0, 1], 1 / 3).tolist() == [1, 1, 0, 1]
    assert predict_at_recall(proba, [0, 0, 0, 1], 1.0, label=1).tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[0.5], [0.5]], [0, 0], 0.5), "at least two classes, got 1"),
        (
            ([[0.5, 0.5]], [0, 1], 0.5),
            r"each of the 1 rows of proba, got shape \(2,\) with values such as",
        ),
        (([[0.5, 0.5]], [2], 0.5), r"a code from 0 to 1 .* with values such as .*2"),
        (([[0.5, 0.5]], [0.5], 0.5), r"a code from 0 to 1"),
        (([[0.5, 0.5]], [0], 1.5), "recall must be between 0 and 1, got 1.5"),
        (([[0.5, 0.5]], [0], np.nan), "recall must be between 0 and 1, got nan"),
        (([[1.5, 0.5]], [0], 0.5), "proba must be probabilities"),
        ((np.empty((0, 2)), [], 0.5), "no row of y_true is of class 0"),
        (([[0.5, 0.5], [0.0, 0.0]], [0, 1], 0.5), "row 1 of proba gives no class any probability"),
        (([[0.5, 0.5]], ["a"], 0.5), "a code from 0 to 1 .* such as .*'a'"),
    ],
    ids=range(10),
)
def test_recalls_that_cannot_be_had(arguments, message):
    with pytest.raises(ValueError, match=message):
        predict_at_recall(*arguments)


def test_a_label_without_rows():
    with pytest.raises(ValueError, match="no row of y_true is of class 1, so it has no recall"):
        predict_at_recall([[0.5, 0.5]], [0], 0.5, label=1)
