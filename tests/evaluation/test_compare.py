import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import ShuffleSplit, StratifiedKFold
from sklearn.svm import LinearSVC

import metabalance as mb
from metabalance import NeuralClassifier

QUICK = {"cv": 2, "max_epochs": 2}
SMALL = {"n_members": 2, "hidden_sizes": (8,)}


@pytest.fixture(scope="module")
def data():
    return make_classification(300, 5, weights=[0.85], random_state=0)


class Constant(ClassifierMixin, BaseEstimator):
    """Predicts what it is told to, and refuses when it is told so."""

    def __init__(self, probability=0.5, error=None):
        self.probability = probability
        self.error = error

    def fit(self, X, y):
        if self.error is not None:
            raise self.error
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return np.column_stack([np.full(len(X), 1 - self.probability), np.full(len(X), self.probability)])

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def test_metrics_are_those_of_the_same_folds_done_by_hand(data) -> None:
    X, y = data
    comparison = mb.compare(X, y, methods=[("lr", LogisticRegression())], cv=3, random_state=5)
    folds = StratifiedKFold(3, shuffle=True, random_state=5).split(X, y)
    expected = [
        roc_auc_score(y[test], LogisticRegression().fit(X[train], y[train]).predict_proba(X[test])[:, 1])
        for train, test in folds
    ]
    assert [r.metrics["roc_auc"] for r in comparison.results] == pytest.approx(expected, abs=1e-12)
    assert comparison.frame.loc["lr", "roc_auc"] == pytest.approx(np.mean(expected))


def test_all_methods_see_the_same_folds_and_networks_the_same_budget(data) -> None:
    X, y = data
    methods = ["naive", "over", "meta-weight-net", "metabalance:natural/under", "logistic-regression"]
    network = {**SMALL, "early_stopping": False}
    comparison = mb.compare(X, y, methods=methods, n_seeds=2, network=network, **QUICK)
    assert [m.name for m in comparison.methods] == [*methods[:4], "no-adaptation:natural/under", methods[4]]
    assert len(comparison.results) == 6 * 2 * 2
    for split in range(2):
        truths = [r.y_true.tolist() for r in comparison.results if r.split == split]
        assert all(truth == truths[0] for truth in truths)
    drawn = {r.rows_drawn for r in comparison.results if r.rows_drawn is not None}
    assert max(drawn) - min(drawn) <= 4 * 64  # less than one step
    assert [r.rows_drawn for r in comparison.results if r.method == "logistic-regression"] == [None] * 4
    assert "epochs: 2 at most" in comparison.settings["budget"]
    assert comparison.settings["early_stopping"].startswith("No early stopping")


def test_the_rarer_class_is_the_positive_one(data) -> None:
    X, y = data
    comparison = mb.compare(X, np.where(y == 1, "a rare", "z common"), methods=["naive"], **QUICK)
    assert comparison.classes == ("z common", "a rare")
    assert dict(comparison.class_counts) == {"z common": int((y == 0).sum()), "a rare": int((y == 1).sum())}
    share = np.mean([r.y_true.mean() for r in comparison.results])
    assert share == pytest.approx(y.mean(), abs=0.01)


def test_same_seed_same_result_in_one_process_or_two(data) -> None:
    X, y = data
    options = {"methods": ["naive", "metabalance"], "network": SMALL, **QUICK}
    first = mb.compare(X, y, **options)
    second = mb.compare(X, y, n_jobs=2, **options)
    other = mb.compare(X, y, random_state=1, **options)
    for one, two in zip(first.results, second.results, strict=True):
        np.testing.assert_array_equal(one.proba, two.proba)
    assert not np.array_equal(first.results[0].y_true, other.results[0].y_true)


def test_seeds_differ_from_each_other(data) -> None:
    X, y = data
    one, two = mb.compare(X, y, methods=["naive"], n_seeds=2, **QUICK).results[:2]
    assert (one.split, one.seed, two.split, two.seed) == (0, 0, 0, 1)
    assert not np.array_equal(one.proba, two.proba)


def test_a_method_that_cannot_run_is_left_out_with_its_reason(data) -> None:
    X, y = data
    frame = pd.DataFrame(X).rename(columns=str).assign(city=np.where(X[:, 0] > 0, "a", "b"))
    comparison = mb.compare(frame, y, methods=["naive", "smote"], **QUICK)
    assert list(comparison.frame.index) == ["naive"]
    assert "categor" in comparison.skipped["smote"]
    failing = [("bad", Constant(error=FloatingPointError("it diverged"))), ("good", Constant())]
    assert mb.compare(X, y, methods=failing, **QUICK).skipped == {"bad": "it diverged"}


def test_a_failure_without_words_is_a_failure(data) -> None:
    X, y = data
    methods = [("mute", Constant(error=ValueError())), ("good", Constant())]
    assert mb.compare(X, y, methods=methods, **QUICK).skipped == {"mute": "ValueError"}


def test_prior_correction_is_that_of_the_naive_networks_probabilities(data) -> None:
    X, y = data
    labels = np.where(y == 1, "a rare", "z common")  # the classifier's columns are in the other order
    comparison = mb.compare(X, labels, methods=["naive", "prior-corrected"], **QUICK)
    for split in range(2):
        naive, corrected = (r for r in comparison.results if r.split == split)
        counts = np.bincount(next(r.y_true for r in comparison.results if r.split == 1 - split))
        expected = mb.correct_prior(naive.proba, counts)  # of two folds, each trains on the other's test part
        np.testing.assert_allclose(corrected.proba, expected, rtol=1e-4, atol=1e-7)
        assert corrected.metrics["roc_auc"] == naive.metrics["roc_auc"]
        assert (corrected.proba[:, 1] > naive.proba[:, 1]).all()


def test_prior_correction_where_a_class_is_missing_from_a_training_part() -> None:
    X, y = make_classification(150, 5, n_informative=4, n_redundant=0, n_classes=3, random_state=0)
    train = np.flatnonzero((y < 2) & (np.arange(150) < 100))
    (result,) = mb.compare(
        X, y, methods=["prior-corrected"], cv=[(train, np.arange(100, 150))], max_epochs=2
    ).results
    assert (result.proba[:, int(np.argmin(result.proba.sum(axis=0)))] == 0).all()
    np.testing.assert_allclose(result.proba.sum(axis=1), 1, rtol=1e-6)


def test_errors_that_are_not_the_datas_are_raised(data) -> None:
    X, y = data
    with pytest.raises(ZeroDivisionError):
        mb.compare(X, y, methods=[("bug", Constant(error=ZeroDivisionError()))], **QUICK)
    with pytest.raises(ValueError, match="no method can run on these data; bad: nothing fits"):
        mb.compare(X, y, methods=[("bad", Constant(error=ValueError("nothing fits")))], **QUICK)


def test_a_search_chooses_inside_each_training_part(data) -> None:
    X, y = data
    net = mb.MetaBalanceClassifier(max_epochs=1, support_batch_size=512, query_batch_size=512)
    search = mb.MSMetaBalanceClassifier(
        net, support_samplers=["natural"], query_samplers=["under", "over"], cv=2
    )
    comparison = mb.compare(X, y, methods=[("searched", search)], **QUICK)
    folds = StratifiedKFold(2, shuffle=True, random_state=0)
    for fold, (train, test) in zip(comparison.results, folds.split(X, y), strict=True):
        seed = int(np.random.SeedSequence([0, fold.split, 0]).generate_state(1)[0] % 2**31)
        alone = clone(search).set_params(random_state=seed).fit(X[train], y[train])
        np.testing.assert_array_equal(fold.proba, alone.predict_proba(X[test]).astype(np.float32))
        assert fold.rows_drawn == alone.rows_drawn_ == 5 * 4096
        pair = "/".join((alone.best_params_["support_sampler"], alone.best_params_["query_sampler"]))
        assert pair in comparison.settings["chosen by searched"]
    (method,) = comparison.methods
    assert method.family == "metabalance"


def test_warnings_are_collected_not_printed(data) -> None:
    X, y = data
    rare = np.concatenate([np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:8]])
    comparison = mb.compare(X[rare], y[rare], methods=["smote"], **QUICK)
    (warning,) = comparison.settings["warnings"]
    assert warning.startswith("smote: class '1' has 3 rows")
    assert warning.endswith("(and 1 more like it)")


def test_splitters_and_ready_made_splits(data) -> None:
    X, y = data
    splitter = ShuffleSplit(3, test_size=40, random_state=0)
    comparison = mb.compare(X, y, methods=["logistic-regression"], cv=splitter)
    assert [len(r.y_true) for r in comparison.results] == [40, 40, 40]
    train, test = np.arange(200), np.arange(200, 300)
    assert mb.compare(X, y, methods=["logistic-regression"], cv=[(train, test)]).n_splits == 1


def test_a_class_that_is_missing_from_a_training_part() -> None:
    X, y = make_classification(120, 5, n_informative=4, n_redundant=0, n_classes=3, random_state=0)
    train = np.flatnonzero((y < 2) & (np.arange(120) < 80))
    test = np.setdiff1d(np.arange(120), train)
    (result,) = mb.compare(X, y, methods=[("lr", LogisticRegression())], cv=[(train, test)]).results
    missing = int(np.argmin(result.proba.sum(axis=0)))
    assert (result.proba[:, missing] == 0).all()
    assert result.proba.shape == (len(test), 3)


def test_methods_that_differ_after_the_fit_only_share_it(data) -> None:
    X, y = data
    names = ["naive", "prior-corrected", "hist-gradient-boosting", "hist-gradient-boosting:balanced"]
    comparison = mb.compare(X, y, methods=names, **QUICK)
    seconds = {name: [r.fit_seconds for r in comparison.results if r.method == name] for name in names}
    assert seconds["naive"] == seconds["prior-corrected"]
    assert seconds["hist-gradient-boosting"] != seconds["hist-gradient-boosting:balanced"]
    proba = {name: [r.proba for r in comparison.results if r.method == name] for name in names}
    assert not np.array_equal(proba["naive"][0], proba["prior-corrected"][0])


def test_networks_of_ones_own_take_the_seed_where_they_have_none(data) -> None:
    X, y = data
    options = {"cv": 2, "n_seeds": 2, "methods": [("own", NeuralClassifier(max_epochs=1))]}
    first, second = mb.compare(X, y, **options), mb.compare(X, y, **options)
    for one, two in zip(first.results, second.results, strict=True):
        np.testing.assert_array_equal(one.proba, two.proba)
    assert not np.array_equal(first.results[0].proba, first.results[1].proba)
    fixed = {**options, "methods": [("own", NeuralClassifier(max_epochs=1, random_state=3))]}
    one, two = mb.compare(X, y, **fixed).results[:2]
    np.testing.assert_array_equal(one.proba, two.proba)


def test_threads_are_left_as_they_were(data) -> None:
    X, y = data
    before = torch.get_num_threads()
    mb.compare(X, y, methods=["naive"], **QUICK)
    assert torch.get_num_threads() == before


def test_progress_bar_goes_to_standard_error(data, capsys) -> None:
    X, y = data
    mb.compare(X, y, methods=["logistic-regression"], cv=2, verbose=1)
    shown = capsys.readouterr()
    assert "comparing" in shown.err
    assert shown.out == ""


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"cv": 1}, ValueError, "cv=1: the number of folds must be at least 2"),
        ({"cv": 200}, ValueError, "at most the .* rows of the rarest class '1'"),
        ({"cv": 3.5}, TypeError, "cv must be a number of folds, a splitter or"),
        ({"cv": []}, ValueError, "cv has no splits"),
        ({"cv": "5"}, TypeError, "cv must be a number of folds, a splitter or"),
        ({"cv": StratifiedKFold}, TypeError, "cv must be a number of folds, a splitter or"),
        ({"cv": [1, 2]}, TypeError, r"split 0 of cv must be a \(train, test\) pair, got 1"),
        ({"cv": [(range(40), range(30, 60))]}, ValueError, "trains and tests on the same 10 rows, row 30"),
        ({"cv": [(range(40), [-1])]}, ValueError, "names rows from -1 to -1, but there are 300"),
        ({"cv": [(range(40), [300])]}, ValueError, "names rows from 300 to 300, but there are 300"),
        ({"cv": [(range(40), [])]}, ValueError, "needs row numbers, at least one in each part"),
        ({"n_seeds": 0}, ValueError, "n_seeds must be at least 1, got 0"),
        ({"random_state": None}, TypeError, "random_state must be a whole number, got None"),
        ({"network": ["naive"]}, TypeError, "network must be a dict of options"),
        ({"network": {"max_epochs": 3}}, ValueError, "network holds 'max_epochs', which is an argument"),
        ({"methods": [("svc", LinearSVC())]}, TypeError, "svc: .* LinearSVC has no predict_proba"),
        ({"methods": []}, ValueError, "at least one method"),
        ({"methods": "naive"}, ValueError, "methods must be a list"),
        ({"methods": ["naive", "naive"]}, ValueError, "listed more than once: naive"),
        ({"methods": ["nope"]}, ValueError, "there is no method 'nope'"),
        ({"network": {"width": 3}, "methods": ["naive"]}, TypeError, "has no parameter 'width'"),
        ({"scoring": "nope", "methods": ["naive", "lightgbm"]}, ValueError, "no scikit-learn scorer"),
        ({"max_epochs": 0, "methods": ["naive"]}, ValueError, "max_epochs must be at least 1"),
    ],
    ids=str,
)
def test_wrong_arguments(data, options, error, message) -> None:
    X, y = data
    with pytest.raises(error, match=message):
        mb.compare(X, y, **options)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        mb.compare(X, y[:-1])


def test_a_comparison_shows_itself_in_short(data) -> None:
    X, y = data
    methods = ["logistic-regression", ("bad", Constant(error=ValueError("no luck")))]
    shown = repr(mb.compare(X, y, methods=methods, cv=2, dataset="mine"))
    assert shown.startswith("mine: 2 splits × 1 seeds\n")
    assert "logistic-regression" in shown
    assert shown.endswith("left out: bad: no luck")
    assert len(shown) < 1000


def test_what_networks_said_before_calibration_is_kept(data, tmp_path) -> None:
    X, y = data
    methods = ["over", "naive", "prior-corrected", "logistic-regression", "tuned"]
    options = {"cv": 2, "max_epochs": 2, "network": {"n_members": 2, "hidden_sizes": (8,)}}
    comparison = mb.compare(X, y, methods=methods, **options)
    restored = mb.Comparison.from_json(comparison.to_json(tmp_path / "results.json"))
    for one, other in zip(comparison.results, restored.results, strict=True):
        assert one.uncalibrated == other.uncalibrated
        assert (one.uncalibrated is not None) == (one.method in ("over", "naive", "tuned"))
    raw = mb.compare(
        X, y, methods=["over"], **{**options, "network": {**options["network"], "calibration": None}}
    )
    over = [result for result in comparison.results if result.method == "over"]
    for said, calibrated in zip(raw.results, over, strict=True):
        assert said.uncalibrated is None
        assert calibrated.uncalibrated.error == pytest.approx(said.metrics["ece"], abs=1e-6)
        assert calibrated.uncalibrated.brier == pytest.approx(said.metrics["brier"], abs=1e-6)
        assert calibrated.metrics["brier"] != calibrated.uncalibrated.brier
