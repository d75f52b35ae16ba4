"""A search that is killed does the trials that are missing, and goes on in the middle of the last fit."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_classification
from skorch.callbacks import Callback

from metabalance import Checkpoint, MetaBalanceClassifier, MSMetaBalanceClassifier
from metabalance.search import rounds
from metabalance.search.trials import fit_and_score
from metabalance.training import Saver


class Killed(BaseException):
    """Ends the process in the middle of a search."""


@pytest.fixture(scope="module")
def data():
    return make_classification(200, 5, weights=[0.8], random_state=0)


def make_search(**changed) -> MSMetaBalanceClassifier:
    options = {
        "support_samplers": ["natural", "smote"],
        "query_samplers": ["under", "over"],
        "cv": 2,
        "halving": 2,
        "random_state": 0,
    }
    network = MetaBalanceClassifier(n_members=2, hidden_sizes=(8,), max_epochs=4)
    return MSMetaBalanceClassifier(network, **{**options, **changed})


@pytest.fixture
def trials(monkeypatch):
    """The number of trials that are done; ``killed_at`` ends the process at one of them."""

    class Trials:
        done = 0
        killed_at = -1

    counts = Trials()

    def counted(*piece):
        if counts.done == counts.killed_at:
            raise Killed
        counts.done += 1
        return fit_and_score(*piece)

    monkeypatch.setattr(rounds, "fit_and_score", counted)
    return counts


def check_same(one, other) -> None:
    assert one.best_params_ == other.best_params_
    assert one.rows_drawn_ == other.rows_drawn_
    for name, values in one.cv_results_.items():
        if not name.endswith("_time"):
            np.testing.assert_array_equal(values, other.cv_results_[name])
    expected, found = (each.best_estimator_.module_.state_dict() for each in (one, other))
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_goes_on(data, trials, tmp_path) -> None:
    whole = make_search().fit(*data)
    total = trials.done
    for killed_at in (1, 9):  # in the first round of eight trials, and after it
        folder = tmp_path / str(killed_at)
        trials.done, trials.killed_at = 0, killed_at
        with pytest.raises(Killed):
            make_search().fit(*data, checkpoint=folder)
        trials.done, trials.killed_at = 0, -1
        check_same(whole, make_search().fit(*data, checkpoint=folder, resume=True))
        assert trials.done == total - killed_at


def test_goes_on_in_the_last_fit(data, trials, tmp_path, monkeypatch) -> None:
    whole = make_search().fit(*data)
    made = []

    def counted(self, loop) -> None:
        made.append(loop)
        if len(made) == 50:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Saver, "after_update", counted)
        with pytest.raises(Killed):
            make_search().fit(*data, checkpoint=Checkpoint(tmp_path, every_updates=1))
    trials.done = 0
    resumed = make_search().fit(*data, checkpoint=tmp_path, resume=True)
    assert trials.done == 0
    check_same(whole, resumed)


def test_what_only_shows_may_change(data, tmp_path) -> None:
    small = {"support_samplers": ["natural"], "query_samplers": ["under"], "refit": False}
    make_search(**small).fit(*data, checkpoint=tmp_path)
    again = make_search(**small, n_jobs=2)
    again.estimator.set_params(verbose=1)
    again.fit(*data, checkpoint=tmp_path, resume=True)
    again.estimator.set_params(hidden_sizes=(4,))
    with pytest.raises(ValueError, match="with other estimator__hidden_sizes"):
        again.fit(*data, checkpoint=tmp_path, resume=True)


def test_another_search_is_refused(data, tmp_path) -> None:
    small = {"support_samplers": ["natural"], "query_samplers": ["under"], "refit": False}
    make_search(**small).fit(*data, checkpoint=tmp_path)
    X, y = data
    for search, rows, message in (
        (make_search(**small, scoring="f1"), X, "with other .*scoring"),
        (make_search(**{**small, "query_samplers": ["over"]}), X, "with other query_samplers"),
        (make_search(**small), 2 * X, "with other data"),
    ):
        with pytest.raises(ValueError, match=message):
            search.fit(rows, y, checkpoint=tmp_path, resume=True)
    with pytest.raises(ValueError, match="go on from it with resume=True"):
        make_search(**small).fit(*data, checkpoint=tmp_path)


def test_what_cannot_be_gone_on_with_is_refused(data, tmp_path) -> None:
    with pytest.raises(ValueError, match="set random_state to a whole number"):
        make_search(random_state=None).fit(*data, checkpoint=tmp_path)
    search = make_search()
    search.estimator.callbacks = [Callback()]
    with pytest.raises(ValueError, match="does not go with callbacks"):
        search.fit(*data, checkpoint=tmp_path)
