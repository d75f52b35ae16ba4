"""A comparison that is killed does the fits that are missing, and no others."""

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

import metabalance as mb
from metabalance.evaluation import fold_fits
from metabalance.evaluation.comparison import fold_to_json

OPTIONS = {
    "methods": ["naive", "prior-corrected", "logistic-regression", ("mine", LogisticRegression(C=0.1))],
    "cv": 2,
    "max_epochs": 2,
    "network": {"n_members": 2, "hidden_sizes": (8,)},
}  # six fits: the first two methods share one


class Killed(BaseException):
    """Ends the process in the middle of a comparison."""


@pytest.fixture(scope="module")
def data():
    X, y = make_classification(200, 5, weights=[0.8], random_state=0)
    return X, np.where(y == 1, "rare", "usual"), np.arange(200) % 3


@pytest.fixture
def fits(monkeypatch):
    """The fits that are done, in order; ``killed_at`` ends the process at one of them."""

    class Fits(list):
        killed_at = -1

    done, fit = Fits(), fold_fits._fit_and_score

    def counted(task, *rest):
        if len(done) == done.killed_at:
            raise Killed
        done.append(task.name)
        return fit(task, *rest)

    monkeypatch.setattr(fold_fits, "_fit_and_score", counted)
    return done


def without_seconds(comparison):
    results = [fold_to_json(result) for result in comparison.results]
    for result in results:
        del result["fit_seconds"], result["predict_seconds"]
        for epoch in result["history"]:
            epoch.pop("dur", None)
    return repr(results)  # NaN is not NaN, but prints alike


@pytest.mark.parametrize("killed_at", range(6))
def test_goes_on(killed_at, data, fits, tmp_path) -> None:
    X, y, groups = data
    grouped = {"report_by": groups}
    whole = mb.compare(X, y, **OPTIONS, **grouped)
    names, fits.killed_at = list(fits), killed_at
    fits.clear()
    with pytest.raises(Killed):
        mb.compare(X, y, **OPTIONS, **grouped, checkpoint=tmp_path)
    assert fits == names[:killed_at]
    fits.killed_at = -1
    fits.clear()
    resumed = mb.compare(X, y, **OPTIONS, **grouped, checkpoint=tmp_path, resume=True)
    assert fits == names[killed_at:]
    assert without_seconds(resumed) == without_seconds(whole)
    told = resumed.settings.pop("resumed", None)
    assert told == (f"{killed_at} of 6 fits are those of an earlier run" if killed_at else None)
    assert resumed.settings == whole.settings


def test_more_methods_may_join(data, fits, tmp_path) -> None:
    X, y, _ = data
    options = {"cv": 2, "checkpoint": tmp_path}
    mb.compare(X, y, methods=["logistic-regression"], **options)
    fits.clear()
    mb.compare(X, y, methods=["logistic-regression:balanced", "logistic-regression"], **options, resume=True)
    assert len(fits) == 2
    assert all("balanced" in name for name in fits)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"random_state": 1}, "with other folds, random_state"),
        ({"cv": 3}, "with other folds"),
        ({"max_epochs": 3}, r"with other max_epochs \(max_epochs was '2', now '3'\)"),
        ({"network": {"n_members": 2, "hidden_sizes": (4,)}}, "with other hidden_sizes"),
        ({"balance_by": np.arange(200) % 2}, "with other data"),
        ({"methods": [("mine", LogisticRegression(C=1.0))]}, "with other classifiers of your own"),
        ({"methods": [("mine", DecisionTreeClassifier())]}, "with other classifiers of your own"),
    ],
)
def test_another_run_is_refused(changed, message, data, tmp_path_factory, kept_run) -> None:
    X, y, _ = data
    with pytest.raises(ValueError, match=message):
        mb.compare(X, y, **{**KEPT, **changed}, checkpoint=kept_run, resume=True)


KEPT = {**OPTIONS, "methods": [("mine", LogisticRegression(C=0.1))]}


@pytest.fixture(scope="module")
def kept_run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept") / "run"
    X, y, _ = data
    mb.compare(X, y, **KEPT, checkpoint=folder)
    return folder


def test_other_rows_and_a_folder_in_the_way_are_refused(data, kept_run) -> None:
    X, y, _ = data
    with pytest.raises(ValueError, match="with other data"):
        mb.compare(2 * X, y, **KEPT, checkpoint=kept_run, resume=True)
    with pytest.raises(ValueError, match=r"there is a checkpoint in .* go on from it with resume=True"):
        mb.compare(X, y, **KEPT, checkpoint=kept_run)
    with pytest.raises(ValueError, match="name its folder with checkpoint="):
        mb.compare(X, y, **KEPT, resume=True)


def test_a_method_that_fails_is_kept_as_such(data, fits, tmp_path) -> None:
    X, y, _ = data
    options = {**OPTIONS, "methods": ["logistic-regression", ("broken", LogisticRegression(C=-1.0))]}
    with_failure = mb.compare(X, y, **options, checkpoint=tmp_path)
    fits.clear()
    resumed = mb.compare(X, y, **options, checkpoint=tmp_path, resume=True)
    assert not fits
    assert resumed.skipped == with_failure.skipped
    assert "broken" in resumed.skipped
