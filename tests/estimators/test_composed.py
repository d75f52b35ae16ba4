"""The estimators inside scikit-learn's own: pipelines, calibration, thresholds; side effects left behind."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import TunedThresholdClassifierCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from metabalance import MetaBalanceClassifier, MetaWeightNetClassifier, NeuralClassifier
from tests.estimators.conftest import QUICK

EACH = pytest.mark.parametrize(
    "estimator", [NeuralClassifier, MetaBalanceClassifier, MetaWeightNetClassifier]
)


@EACH
def test_in_a_pipeline_that_hands_on_data_frames(estimator, binary) -> None:
    X, y = binary
    frame = pd.DataFrame(X, columns=list("abcdef"))
    scaled = ColumnTransformer([("scaled", StandardScaler(), ["a", "b", "c"])], remainder="passthrough")
    pipeline = make_pipeline(scaled, estimator(**QUICK)).set_output(transform="pandas").fit(frame, y)
    assert pipeline[-1].feature_names_in_[0] == "scaled__a"
    assert pipeline.predict_proba(frame).shape == (400, 2)
    scores = cross_validate(pipeline, frame, y, cv=2, scoring=["roc_auc", "balanced_accuracy"])
    assert np.isfinite(scores["test_roc_auc"]).all()


@EACH
def test_inside_calibration_and_threshold_tuning(estimator, binary) -> None:
    X, y = binary
    calibrated = CalibratedClassifierCV(estimator(**QUICK), cv=2).fit(X, y)
    assert calibrated.predict_proba(X)[:, 1].mean() == pytest.approx(y.mean(), abs=0.05)
    tuned = TunedThresholdClassifierCV(estimator(**QUICK), scoring="balanced_accuracy", cv=2).fit(X, y)
    assert 0 <= tuned.best_threshold_ <= 1
    predicted = tuned.predict(X)
    assert (predicted == (tuned.estimator_.predict_proba(X)[:, 1] >= tuned.best_threshold_)).all()
    assert balanced_accuracy_score(y, predicted) > 0.5


@EACH
def test_copies_predict_the_same(estimator, binary) -> None:
    X, y = binary
    net = estimator(**QUICK).fit(X, y)
    copied = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(copied.predict_proba(X), net.predict_proba(X))
    np.testing.assert_array_equal(clone(net).fit(X, y).predict_proba(X), net.predict_proba(X))


def of_the_process():
    """What a fit might leave changed."""
    kind, numbers, *rest = np.random.get_state()  # noqa: NPY002 - the global generator is what is looked at
    torch_numbers = torch.get_rng_state().tolist()
    settings = (torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled())
    return kind, numbers.tolist(), rest, torch_numbers, settings


@EACH
def test_nothing_global_is_left_behind(estimator, binary) -> None:
    X, y = binary
    before = of_the_process()
    estimator(**QUICK).fit(X, y).predict(X)
    assert of_the_process() == before


@EACH
def test_the_number_of_threads_changes_rounding_only(estimator) -> None:
    """With a network that is large enough to use them: smaller ones run on one, whatever their number."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [200, 40])
    X = rng.normal(size=(240, 60)) + y[:, None]
    module = nn.Sequential(nn.Linear(60, 600), nn.ReLU(), nn.Linear(600, 400), nn.ReLU(), nn.Linear(400, 2))
    options = {"max_epochs": 1, "random_state": 0, "device": "cpu", "module": module, "lr": 1e-4}
    threads = torch.get_num_threads()
    found = []
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            found.append(estimator(**options).fit(X, y).predict_proba(X))
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-4)
