import json
import math

import numpy as np
from sklearn.model_selection import GridSearchCV
from sklearn.tree import DecisionTreeClassifier

from metabalance.search.results import Entry, as_cv_results, as_json, as_standings
from metabalance.search.trials import Trial


def entry(candidate: int, iteration: int, *scores: float, failure: str | None = None, **more) -> Entry:
    params = {"support_sampler": "natural", "query_sampler": f"s{candidate}", **more}
    trials = tuple(Trial(score, 1.0 + score, 0.5, 100) for score in scores)
    return Entry(candidate, params, iteration, 5 * 3**iteration, trials, failure)


ENTRIES = [
    entry(0, 0, 0.90, 0.92),
    entry(1, 0, 0.80, 0.70),
    entry(2, 0, 0.60, failure="diverged", inner_lr=9.0),
    entry(3, 0, 0.99, 0.99),
    entry(0, 1, 0.85, 0.85),
    entry(3, 1, failure="diverged"),
]


def test_the_columns_are_those_of_scikit_learn() -> None:
    grid = GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2]}, cv=2)
    grid.fit(np.arange(8.0).reshape(-1, 1), [0, 1] * 4)
    expected = {name for name in grid.cv_results_ if not name.startswith("param_")}
    results = as_cv_results(ENTRIES, 2)
    names = {name for name in results if not name.startswith("param_")}
    assert names == expected | {"iter", "n_resources"}
    assert {len(column) for column in results.values()} == {len(ENTRIES)}


def test_scores_are_those_of_the_folds_and_failures_have_none() -> None:
    results = as_cv_results(ENTRIES, 2)
    np.testing.assert_array_equal(results["split1_test_score"], [0.92, 0.7, np.nan, 0.99, 0.85, np.nan])
    np.testing.assert_allclose(results["mean_test_score"], [0.91, 0.75, np.nan, 0.99, 0.85, np.nan])
    np.testing.assert_allclose(results["std_test_score"], [0.01, 0.05, np.nan, 0.0, 0.0, np.nan], atol=1e-15)
    np.testing.assert_allclose(results["mean_fit_time"][:3], [1.91, 1.75, 1.6])
    assert results["param_inner_lr"].mask.tolist() == [True, True, False, True, True, True]
    assert results["n_resources"].tolist() == [5, 5, 5, 5, 15, 15]


def test_later_rounds_rank_first_and_candidates_that_ever_failed_last() -> None:
    # Candidate 3 was the best of the first round, but fails with more epochs.
    assert as_cv_results(ENTRIES, 2)["rank_test_score"].tolist() == [2, 3, 4, 4, 1, 4]


def test_equal_scores_share_a_rank() -> None:
    entries = [entry(0, 0, 0.5), entry(1, 0, 0.7), entry(2, 0, 0.7), entry(3, 0, 0.4)]
    assert as_cv_results(entries, 1)["rank_test_score"].tolist() == [3, 1, 1, 4]


def test_standings_show_each_candidates_last_round() -> None:
    table = as_standings(ENTRIES)
    assert table["query"].tolist() == ["s0", "s1", "s2", "s3"]
    assert table["epochs"].tolist() == [15, 5, 5, 15]
    assert table["finished"].tolist() == [True, False, False, False]
    assert table["failure"].tolist() == ["", "", "diverged", "diverged"]
    # 0.8 and 0.7: standard deviation 0.1 / √2, over √2 folds.
    np.testing.assert_allclose(table["error"], [0.0, 0.05, np.nan, np.nan])
    assert math.isnan(as_standings([entry(0, 0, 0.5)])["error"].item())


def test_of_equals_the_first_entry_wins_in_both_tables() -> None:
    # The first round has put candidate 2 before candidate 0; the last one cannot tell them apart.
    first = [entry(0, 0, 0.8), entry(1, 0, 0.1), entry(2, 0, 0.9)]
    entries = [*first, entry(2, 1, 0.5), entry(0, 1, 0.5)]
    assert as_cv_results(entries, 1)["rank_test_score"].argmin() == 3
    assert as_standings(entries)["query"].tolist() == ["s2", "s0", "s1"]


def test_a_round_in_which_every_candidate_failed_counts_for_nothing() -> None:
    first = [entry(0, 0, 0.7), entry(1, 0, failure="diverged"), entry(2, 0, 0.8), entry(3, 0, 0.9)]
    second = [entry(3, 1, failure="diverged"), entry(2, 1, 0.75)]
    third = [entry(2, 2, failure="diverged")]
    assert as_cv_results(first + second[:1], 1)["rank_test_score"].tolist() == [3, 4, 2, 1, 4]
    table = as_standings(first + second[:1])
    assert table["query"].tolist() == ["s3", "s2", "s0", "s1"]
    assert table["score"].tolist()[:3] == [0.9, 0.8, 0.7]
    assert table["epochs"].tolist() == [5] * 4
    assert table["finished"].tolist() == [True, True, True, False]
    # Candidate 3 failed in a round that counts, since candidate 2 has a score there, and stays out.
    assert as_cv_results(first + second + third, 1)["rank_test_score"].tolist() == [3, 4, 2, 4, 4, 1, 4]
    table = as_standings(first + second + third)
    assert table["query"].tolist() == ["s2", "s0", "s1", "s3"]
    assert table["finished"].tolist() == [True, False, False, False]


def test_json_is_strict() -> None:
    results = {"cv": as_cv_results(ENTRIES, 2), "object": print, "infinite": math.inf, "no": None}
    read = json.loads(as_json(results), parse_constant=lambda name: 1 / 0)
    assert read["cv"]["mean_test_score"][2] is None
    assert read["cv"]["param_inner_lr"] == [None, None, 9.0, None, None, None]
    assert read["object"] == "<built-in function print>"
    assert (read["infinite"], read["no"]) == (None, None)
