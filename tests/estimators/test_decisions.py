"""Decisions between two classes, against counting by hand, and balanced ones against Bayes' rule."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from metabalance import AlertsAtMost, Costs, PrecisionAtLeast, RecallAtLeast, correct_prior
from metabalance.estimators.decisions import check_decision, log_weights

ROWS = st.lists(
    st.tuples(st.sampled_from([k / 20 for k in range(21)]), st.booleans()), min_size=2, max_size=30
)
SHARES = st.sampled_from([0.01, 0.1, 0.3, 0.5, 0.9, 1.0])


def predicts(decision, probability, positive, share=None):
    """Which rows are predicted to be positive: class 1."""
    proba = np.stack([1 - probability, probability], axis=1)
    codes = positive.astype(int)
    share = positive.mean() if share is None else share
    prior = np.array([1 - share, share])
    weights = log_weights(decision, proba, codes, prior, np.ones(2), positive=1)
    logs = np.log(np.maximum(proba, 1e-300)) + weights
    return logs.argmax(axis=1) == 1


def both_classes(rows):
    probability = np.array([p for p, _ in rows])
    positive = np.array([is_positive for _, is_positive in rows])
    assume(0 < positive.sum() < len(rows))
    return probability, positive


@given(ROWS, SHARES)
def test_recall_is_reached_by_the_fewest_alerts(rows, recall) -> None:
    probability, positive = both_classes(rows)
    predicted = predicts(RecallAtLeast(recall), probability, positive)
    assert predicted[positive].mean() >= recall - 1e-9
    fewest = min(
        (probability >= value).sum()
        for value in probability
        if (probability[positive] >= value).mean() >= recall - 1e-9
    )
    assert predicted.sum() == fewest


@given(ROWS, SHARES, st.sampled_from([0.01, 0.2, 0.5]))
def test_precision_is_kept_by_the_most_alerts(rows, precision, share) -> None:
    probability, positive = both_classes(rows)

    def reached(chosen) -> float:
        right, wrong = share * chosen[positive].mean(), (1 - share) * chosen[~positive].mean()
        return right / (right + wrong)

    good = [v for v in probability if reached(probability >= v) >= precision - 1e-9]
    assume(good)
    predicted = predicts(PrecisionAtLeast(precision), probability, positive, share)
    assert reached(predicted) >= precision - 1e-9
    assert predicted.sum() == (probability >= min(good)).sum()


@given(ROWS, st.integers(1, 20), st.sampled_from([0.01, 0.2, 0.5]))
def test_alerts_are_as_many_as_may_be(rows, alerts, share) -> None:
    probability, positive = both_classes(rows)

    def raised(chosen) -> float:
        return share * chosen[positive].mean() + (1 - share) * chosen[~positive].mean()

    predicted = predicts(AlertsAtMost(alerts, rows=20), probability, positive, share)
    assert raised(predicted) <= alerts / 20 + 1e-9
    more = [
        raised(probability >= v) for v in probability if raised(probability >= v) > raised(predicted) + 1e-9
    ]
    assert all(each > alerts / 20 for each in more)


@pytest.mark.parametrize(("false_positive", "false_negative"), [(1, 1), (1, 50), (3, 0.5)])
def test_costs_are_least_where_probabilities_are_true(false_positive, false_negative) -> None:
    probability = np.linspace(0.001, 0.999, 997)
    positive = np.arange(997) % 5 == 0
    predicted = predicts(Costs(false_positive, false_negative), probability, positive)
    assert (predicted == (probability * false_negative > (1 - probability) * false_positive)).all()


def test_a_precision_out_of_reach_is_told() -> None:
    probability, positive = np.array([0.9, 0.5, 0.1]), np.array([False, True, False])
    with pytest.warns(UserWarning, match=r"a precision of 0.9 is not reached .* 0.5, is taken"):
        predicted = predicts(PrecisionAtLeast(0.9), probability, positive)
    assert predicted.tolist() == [True, True, False]


def test_balanced_and_weighted_decisions_are_bayes_rule() -> None:
    rng = np.random.default_rng(0)
    proba = rng.dirichlet([9.0, 0.8, 0.2], size=500)
    codes = np.arange(500) % 3
    prior, aim = np.array([900.0, 80.0, 20.0]), np.array([5.0, 1.0, 1.0])
    for decision, wanted in (("balanced", np.ones(3)), ("auto", aim)):
        weights = log_weights(decision, proba, codes, prior, aim, positive=2)
        chosen = (np.log(proba) + weights).argmax(axis=1)
        assert (chosen == correct_prior(proba, prior, wanted).argmax(axis=1)).all()
    assert log_weights("most_probable", proba, codes, prior, aim, positive=2).tolist() == [0, 0, 0]


def test_of_classes_of_one_size_the_most_probable_one_is_predicted() -> None:
    proba = np.random.default_rng(0).dirichlet([1.0, 1.0, 1.0], size=30)
    weights = log_weights("balanced", proba, np.arange(30) % 3, np.full(3, 10.0), np.ones(3), positive=0)
    assert weights.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: Costs(0, 1), ValueError),
        (lambda: Costs(1, "much"), TypeError),
        (lambda: RecallAtLeast(0), ValueError),
        (lambda: RecallAtLeast(1.1), ValueError),
        (lambda: PrecisionAtLeast(float("nan")), ValueError),
        (lambda: AlertsAtMost(0, rows=10), ValueError),
        (lambda: AlertsAtMost(11, rows=10), ValueError),
        (lambda: AlertsAtMost(1, rows=2.5), TypeError),
        (lambda: check_decision("best"), ValueError),
        (lambda: check_decision(0.5), TypeError),
        (lambda: check_decision(Costs), TypeError),
    ],
)
def test_what_is_no_decision_is_refused(make, error) -> None:
    with pytest.raises(error):
        make()


def test_more_classes_have_no_threshold() -> None:
    proba = np.full((3, 3), 1 / 3)
    with pytest.raises(ValueError, match="is between two classes, got 3"):
        log_weights(RecallAtLeast(0.5), proba, np.arange(3), np.ones(3), np.ones(3), positive=2)
