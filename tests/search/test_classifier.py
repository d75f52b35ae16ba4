"""The search from end to end: what it chooses, what it computes once, and what it does with mistakes."""

import json
import tempfile
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold
from skorch.callbacks import Callback

from metabalance import MetaBalanceClassifier, MSMetaBalanceClassifier
from tests.search.conftest import quick_net, quick_search


class Counting(BaseEstimator):
    """A sampler that writes a line for every use and repeats the rare rows."""

    def __init__(self, log, times=2):
        self.log = log
        self.times = times

    def fit_resample(self, X, y):
        with open(self.log, "a") as file:
            file.write(f"{self.times}\n")
        rows = np.concatenate([np.arange(len(y)), *[np.flatnonzero(y == 1)] * self.times])
        return X[rows], y[rows]


class Unpicklable(BaseEstimator):
    def fit_resample(self, X, y):
        return X, y

    def __getstate__(self):
        raise TypeError("no state")


class CtrlC(Callback):
    def on_batch_begin(self, net, **kwargs):
        raise KeyboardInterrupt


class DivergesLate(Callback):
    """Lets no network train for more epochs than these."""

    def __init__(self, epochs):
        self.epochs = epochs

    def on_train_begin(self, net, **kwargs):
        if net.max_epochs > self.epochs:
            raise FloatingPointError("diverged")


class NotingSeeds(MetaBalanceClassifier):
    """A network that notes the seed of every fit."""

    seeds: ClassVar[list] = []

    def fit(self, X, y):
        self.seeds.append(self.random_state)
        return super().fit(X, y)


class Sized(torch.nn.Module):
    """A network with an argument of its own."""

    def __init__(self, n_inputs, n_outputs, width):
        super().__init__()
        self.hidden = torch.nn.Linear(n_inputs, width)
        self.output = torch.nn.Linear(width, n_outputs)

    def forward(self, x):
        return self.output(self.hidden(x).relu())


@pytest.mark.parametrize("scoring", [None, "average_precision"])
def test_scores_are_those_of_a_cross_validation_by_hand(binary, scoring) -> None:
    X, y = binary
    labels = np.where(y == 1, "a rare one", "usual")  # sorts first, yet is the positive class
    splits = list(StratifiedKFold(3, shuffle=True, random_state=5).split(X, y))
    net = quick_net(max_epochs=2, random_state=3)
    pairs = [("natural", "smote"), ("natural", "enn"), ("smote", "smote"), ("smote", "enn")]
    search = quick_search(
        net,
        support_samplers=["natural", "smote"],
        query_samplers=["smote", "enn"],
        cv=splits,
        scoring=scoring,
        halving=None,
    ).fit(X, labels)
    metric = roc_auc_score if scoring is None else average_precision_score
    expected = np.array(
        [
            [
                metric(
                    y[test],
                    clone(net)
                    .set_params(support_sampler=support, query_sampler=query, scoring=scoring)
                    .fit(X[train], labels[train])
                    .predict_proba(X[test])[:, 0],
                )
                for train, test in splits
            ]
            for support, query in pairs
        ]
    )
    results = search.cv_results_
    assert [(p["support_sampler"], p["query_sampler"]) for p in results["params"]] == pairs
    np.testing.assert_allclose([results[f"split{k}_test_score"] for k in range(3)], expected.T, rtol=1e-12)
    best = expected.mean(axis=1).argmax()
    assert search.best_params_ == dict(zip(("support_sampler", "query_sampler"), pairs[best], strict=True))
    assert search.best_score_ == pytest.approx(expected[best].mean(), rel=1e-12)
    direct = clone(net).set_params(**search.best_params_, scoring=scoring).fit(X, labels)
    np.testing.assert_array_equal(search.predict_proba(X), direct.predict_proba(X))
    np.testing.assert_array_equal(search.predict(X), direct.predict(X))


def test_a_folds_rows_are_resampled_once_however_many_candidates_use_them(binary, tmp_path) -> None:
    samplers = [Counting(str(tmp_path / "log")), Counting(str(tmp_path / "log"), times=3)]
    search = quick_search(
        support_samplers=[*samplers, "natural"],
        query_samplers=[*samplers, "over"],
        param_grid={"beta": [0.0, 1.0]},
        cv=3,
        refit=False,
    ).fit(*binary)
    assert len(search.standings_) == 18
    lines = (tmp_path / "log").read_text().split()
    assert {times: lines.count(times) for times in lines} == {"2": 3, "3": 3}


def test_a_memory_of_ones_own_serves_the_next_search(binary, tmp_path) -> None:
    sampler = Counting(str(tmp_path / "log"))
    for beta in (0.0, 1.0):
        search = quick_search(
            query_samplers=[sampler],
            param_grid={"beta": [beta]},
            memory=str(tmp_path / "memory"),
            refit=False,
        )
        search.fit(*binary)
    assert (tmp_path / "log").read_text().split() == ["2", "2"]


def test_resampled_rows_leave_nothing_behind(binary, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    quick_search(query_samplers=["smote"]).fit(*binary)
    assert list(tmp_path.iterdir()) == []


def test_the_best_of_a_round_go_on_with_more_epochs(binary) -> None:
    search = quick_search(
        quick_net(max_epochs=10, early_stopping=False),
        support_samplers=["natural", "over"],
        query_samplers=["natural", "under", "over"],
        halving=2,
    ).fit(*binary)
    results = search.cv_results_
    assert search.rounds_ == [(6, 3), (3, 5), (2, 10)]
    assert results["n_resources"].tolist() == [3] * 6 + [5] * 3 + [10] * 2
    assert results["iter"].tolist() == [0] * 6 + [1] * 3 + [2] * 2
    for before, after in ((slice(0, 6), slice(6, 9)), (slice(6, 9), slice(9, 11))):
        best = np.argsort(-results["mean_test_score"][before], kind="stable")[: after.stop - after.start]
        assert [results["params"][before][place] for place in best] == results["params"][after]
    assert search.best_index_ == 9 + results["mean_test_score"][9:].argmax()
    assert len(search.history_) == 10
    # An epoch is one update of 4 × (512 + 512) rows; every candidate has two fits, and one is fitted again.
    assert search.rows_drawn_ == (2 * results["n_resources"].sum() + 10) * 4096


def test_after_a_tie_the_first_of_the_standings_is_the_winner(binary) -> None:
    scores = iter([0.6, 0.6, 0.7, 0.7, 0.8, 0.8, 0.9, 0.9])  # of four candidates on two folds
    search = quick_search(
        quick_net(max_epochs=4, early_stopping=False),
        support_samplers=["natural", "over"],
        halving=2,
        scoring=lambda *about: next(scores, 0.5),  # the last round cannot tell the two left apart
    ).fit(*binary)
    assert search.rounds_ == [(4, 2), (2, 4)]
    assert search.best_params_ == {"support_sampler": "over", "query_sampler": "over"}
    assert search.standings_.loc[0, ["support", "query"]].tolist() == ["over", "over"]


def test_the_seed_decides_and_the_number_of_jobs_does_not(binary) -> None:
    alone, same, other, parallel = (
        quick_search(query_samplers=["smote", "over"], random_state=seed, n_jobs=n_jobs).fit(*binary)
        for seed, n_jobs in ((0, None), (0, None), (1, None), (0, 2))
    )
    for again in (same, parallel):
        np.testing.assert_array_equal(
            alone.cv_results_["split0_test_score"], again.cv_results_["split0_test_score"]
        )
        np.testing.assert_array_equal(alone.predict_proba(binary[0]), again.predict_proba(binary[0]))
    assert (alone.cv_results_["mean_test_score"] != other.cv_results_["mean_test_score"]).all()


def test_fits_of_a_fold_share_a_seed_and_those_of_others_have_their_own(binary, monkeypatch) -> None:
    monkeypatch.setattr(NotingSeeds, "seeds", [])
    net = NotingSeeds(**quick_net().get_params())
    quick_search(net, cv=3).fit(*binary)
    *folds, refit = NotingSeeds.seeds
    assert folds[:3] == folds[3:]  # of two candidates
    assert len({*folds, refit}) == 4
    NotingSeeds.seeds.clear()
    quick_search(net.set_params(random_state=3), cv=3).fit(*binary)
    assert NotingSeeds.seeds == [3] * 7


def test_strategies_that_cannot_work_are_left_out_with_the_reason(binary) -> None:
    X, y = binary
    table = pd.DataFrame(X).add_prefix("x").assign(city=np.where(X[:, 0] > 0, "Bern", "Rome"))
    with pytest.warns(
        UserWarning, match="smote is left out of the search: smote makes rows between"
    ) as caught:
        search = quick_search(query_samplers=["smote", "over", "enn"]).fit(table, y)
    assert len(caught) == 1
    assert set(search.left_out_) == {"smote"}
    assert set(search.standings_["query"]) == {"over", "enn"}
    assert search.feature_names_in_.tolist() == list(table.columns)
    with (
        pytest.warns(UserWarning, match="smote is left out"),
        pytest.raises(ValueError, match="none of the query_samplers can work on these data; smote: "),
    ):
        quick_search(query_samplers=["smote"]).fit(table, y)


def test_a_sampler_that_cannot_be_pickled_is_left_out(binary) -> None:
    with pytest.warns(UserWarning, match="Unpicklable.. is left out of the search: "):
        search = quick_search(query_samplers=[Unpicklable(), "over"]).fit(*binary)
    assert search.best_params_["query_sampler"] == "over"


def test_candidates_that_fail_are_out(binary) -> None:
    with pytest.warns(
        UserWarning, match=r"a candidate failed .* \(and 1 more\); natural/under, inner_lr=1e\+30"
    ):
        search = quick_search(param_grid={"inner_lr": [1e30, 0.1]}).fit(*binary)
    assert search.best_params_["inner_lr"] == 0.1
    assert search.standings_["failure"].ne("").tolist() == [False, False, True, True]
    with pytest.raises(ValueError, match="no candidate of the search could be trained; natural/under"):
        quick_search(quick_net(inner_lr=1e30)).fit(*binary)


@pytest.mark.parametrize(("epochs", "decides"), [(6, 1), (3, 0)])
def test_where_a_later_round_fails_altogether_the_one_before_it_decides(binary, epochs, decides) -> None:
    net = quick_net(max_epochs=12, early_stopping=False, callbacks=[DivergesLate(epochs)])
    search = quick_search(net, support_samplers=["natural", "over"], halving=2)
    expected = (
        rf"in round {decides + 2} of 3 every candidate failed; \w+/\w+: diverged; the best of round "
        rf"{decides + 1} is taken, with its {epochs} epochs"
    )
    with pytest.warns(UserWarning, match=expected) as caught:
        search.fit(*binary)
    assert len(caught) == 1
    assert search.rounds_ == [(4, 3), (2, 6), (1, 12)]
    results, best = search.cv_results_, search.best_index_
    assert results["iter"].max() == decides + 1
    assert (results["iter"][best], results["rank_test_score"][best]) == (decides, 1)
    assert search.best_score_ == np.nanmax(results["mean_test_score"][results["iter"] == decides])
    assert np.isnan(results["mean_test_score"][results["iter"] == decides + 1]).all()
    standings = search.standings_
    assert standings.loc[0, ["support", "query"]].tolist() == list(search.best_params_.values())
    assert standings["finished"].tolist() == (standings["epochs"] == epochs).tolist()
    assert len(search.history_) == epochs


def test_arguments_of_the_network_and_the_optimizer_can_be_searched(binary) -> None:
    grid = {"module__width": [3, 5], "optimizer__eps": [1e-6]}
    search = quick_search(quick_net(module=Sized), query_samplers=["over"], param_grid=grid).fit(*binary)
    assert search.standings_["module__width"].sort_values().tolist() == [3, 5]
    assert search.best_estimator_.module_.hidden.out_features == search.best_params_["module__width"]
    assert search.best_estimator_.get_params()["optimizer__eps"] == 1e-6


def test_warnings_of_the_fits_come_once_of_a_kind(binary) -> None:
    X, y = binary
    few = np.concatenate([np.flatnonzero(y == 0), np.flatnonzero(y == 1)[:9]])
    with pytest.warns(UserWarning, match="smote uses") as caught:
        quick_search(query_samplers=["smote"], cv=3, refit=False).fit(X[few], y[few])
    assert len(caught) == 1
    assert "more like it" in str(caught[0].message)


def test_early_stopping_follows_the_searchs_score_unless_it_has_its_own(binary) -> None:
    search = quick_search(scoring="f1").fit(*binary)
    assert search.best_estimator_.scoring == "f1"
    search = quick_search(quick_net(scoring="accuracy"), scoring="f1").fit(*binary)
    assert search.best_estimator_.scoring == "accuracy"
    assert quick_net().scoring is None


def test_ctrl_c_ends_the_search(binary) -> None:
    with pytest.raises(KeyboardInterrupt):
        quick_search(quick_net(callbacks=[CtrlC()])).fit(*binary)


def test_saved_models_are_the_best_estimators_with_the_results(binary, tmp_path) -> None:
    X, y = binary
    search = quick_search().fit(X, y)
    search.save(tmp_path / "model")
    loaded = MetaBalanceClassifier.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(X), search.predict_proba(X))
    results = json.loads((tmp_path / "model" / "search.json").read_text())
    assert results["best_params"] == search.best_params_
    assert results["cv_results"]["mean_test_score"] == search.cv_results_["mean_test_score"].tolist()


def test_without_refit_there_is_nothing_to_predict_with(binary) -> None:
    search = quick_search(refit=False).fit(*binary)
    assert search.best_params_["support_sampler"] == "natural"
    with pytest.raises(ValueError, match="refit=False"):
        search.predict(binary[0])
    with pytest.raises(ValueError, match="refit=False"):
        search.score(*binary)


@pytest.mark.parametrize(
    ("scoring", "metric"), [(None, roc_auc_score), ("average_precision", average_precision_score)]
)
def test_its_score_is_the_scoring_of_the_search(binary, scoring, metric) -> None:
    X, y = binary
    labels = np.where(y == 1, "a rare one", "usual")
    search = quick_search(scoring=scoring).fit(X, labels)
    # More rare rows than others: the positive class is still the one that was rarer in fit.
    rows = np.concatenate([np.flatnonzero(y == 1), np.flatnonzero(y == 0)[:20]])
    expected = metric(y[rows], search.predict_proba(X[rows])[:, 0])
    assert search.score(X[rows], labels[rows]) == pytest.approx(expected, rel=1e-12)
    assert search.score(X[rows], labels[rows].tolist()) == pytest.approx(expected, rel=1e-12)


def test_its_score_may_be_of_labels_and_of_many_classes(binary) -> None:
    X, y = binary
    labels = np.where(X[:, 0] > 0, y, 2)
    search = quick_search(scoring="balanced_accuracy").fit(X, labels)
    assert search.score(X, labels) == balanced_accuracy_score(labels, search.predict(X))
    search = quick_search().fit(X, labels)
    expected = roc_auc_score(labels, search.predict_proba(X), multi_class="ovr")
    assert search.score(X, labels) == pytest.approx(expected, rel=1e-12)


def test_rows_that_cannot_be_scored(binary) -> None:
    X, y = binary
    search = quick_search().fit(X, y)
    with pytest.raises(ValueError, match="the label 2, which was not there in fit; known are 0, 1"):
        search.score(X[:3], [0, 1, 2])
    with pytest.raises(ValueError, match="needs rows of both classes, got 3 of one and 0 of the other"):
        search.score(X[:3], [0, 0, 0])
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[3, 2\]"):
        search.score(X[:3], [0, 1])


def test_defaults_are_the_papers_strategies() -> None:
    search = MSMetaBalanceClassifier()
    assert len(search.support_samplers) == len(search.query_samplers) == 7
    search.check_parameters()
