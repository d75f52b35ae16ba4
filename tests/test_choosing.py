"""How the benchmarks choose between configurations."""

import pandas as pd
import pytest
from benchmarks.choosing import (
    METRICS,
    by_table,
    choose,
    complete,
    hindsight_table,
    left_out_table,
    mean_ranks,
    normalised,
    paired_table,
)


def folds_of(scores: dict[str, dict[str, float]]) -> pd.DataFrame:
    """Two folds for each table and method, whose mean is the score, in all metrics alike."""
    rows = [
        {"table": table, "method": method, "split": split, "fit s": 1.0}
        | dict.fromkeys(METRICS, score + (0.01 if split else -0.01))
        for table, methods in scores.items()
        for method, score in methods.items()
        for split in (0, 1)
    ]
    return pd.DataFrame(rows)


FOLDS = folds_of(
    {
        "one": {"a": 0.9, "b": 0.8, "c": 0.6},
        "two": {"a": 0.7, "b": 0.6, "c": 0.5},
        "three": {"a": 0.5, "b": 0.9, "c": 0.7},
    }
)


def test_ranks_and_scores_by_hand() -> None:
    means = by_table(FOLDS)
    assert mean_ranks(means).to_dict() == pytest.approx({"a": 5 / 3, "b": 5 / 3, "c": 8 / 3})
    expected = {"a": 2 / 3, "b": (2 / 3 + 1 / 2 + 1) / 3, "c": (0 + 0 + 1 / 2) / 3}
    assert normalised(means).to_dict() == pytest.approx(expected)


def test_each_table_is_judged_by_what_the_others_choose() -> None:
    found = left_out_table(FOLDS, ["a", "b", "c"])
    assert found["chosen on the others"].to_dict() == {"one": "b", "two": "b", "three": "a", "mean": ""}
    assert found["its rank here"].to_dict() == {"one": 2, "two": 2, "three": 3, "mean": pytest.approx(7 / 3)}
    assert found["best here"].to_dict() == {"one": "a", "two": "a", "three": "b", "mean": ""}


def test_ties_go_to_what_is_preferred() -> None:
    ranks = pd.Series({"a": 2.0, "b": 2.09, "c": 2.2})
    assert choose(ranks, ["c", "b", "a"]) == "b"
    assert choose(ranks, ["c", "a", "b"]) == "a"


def test_hindsight_takes_the_best_of_each_table() -> None:
    gains = hindsight_table(FOLDS, ["a", "b"], "a")
    assert gains["roc_auc"].to_dict() == pytest.approx({"one": 0, "two": 0, "three": 0.4, "mean": 0.4 / 3})


def test_methods_that_lack_a_fold_are_not_ranked() -> None:
    lacking = FOLDS.drop(FOLDS.index[(FOLDS["method"] == "b") & (FOLDS["split"] == 1)][0])
    assert set(complete(lacking)["method"]) == {"a", "c"}
    pd.testing.assert_frame_equal(complete(FOLDS), FOLDS)


def test_differences_are_paired_by_table() -> None:
    found = paired_table(FOLDS, "a", ["b", "absent"])
    assert list(found.index) == ["a − b"]
    # 0.1, 0.1 and −0.4: mean −1/15, standard deviation 0.5/√3, t of two degrees of freedom 4.3027.
    assert found.loc["a − b", "roc_auc"] == f"-0.0667 ± {4.302653 * 0.5 / 3:.4f} (2 of 3)"
