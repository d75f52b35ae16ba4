"""Metrics by group against those of the group's rows alone, and groups in a comparison."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metabalance import Comparison, compare
from metabalance.evaluation.by_group import group_frame, score_groups
from metabalance.evaluation.comparison import FoldResult
from metabalance.evaluation.metrics import METRICS, score_predictions


@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abc")), min_size=1, max_size=30),
    st.integers(0, 99),
)
def test_groups_are_scored_as_if_alone(rows, seed) -> None:
    codes, groups = (np.array(part) for part in zip(*rows, strict=True))
    proba = np.random.default_rng(seed).dirichlet([1, 1, 1], len(codes))
    names = ["c", "a", "b"]
    found = score_groups(codes, proba, [names.index(group) for group in groups], names)
    assert list(found) == [name for name in names if name in groups]
    for group, metrics in found.items():
        np.testing.assert_equal(metrics, score_predictions(codes[groups == group], proba[groups == group]))


def fold(method: str, split: int, seed: int, **values: float) -> FoldResult:
    by_group = {group: dict.fromkeys(METRICS, value) for group, value in values.items()}
    return FoldResult(method, split, seed, {}, {}, 0, 0, None, np.array([]), np.array([]), (), by_group)


def test_gaps_are_between_means_and_their_errors_paired_by_split() -> None:
    frame = group_frame(
        [
            fold("a", 0, 0, f=0.5, m=0.6),
            fold("a", 0, 1, f=0.7, m=0.8),  # a second seed of the same split
            fold("a", 1, 0, f=0.9, m=0.8),
            fold("a", 2, 0, f=0.3, m=0.6),
        ],
        "ece",
    )
    f, m = np.array([0.6, 0.9, 0.3]), np.array([0.7, 0.8, 0.6])
    row = frame.loc["a"]
    assert list(frame.columns.get_level_values(0).unique()) == ["mean", "se", "gap"]
    assert row["mean", "f"] == pytest.approx(f.mean())
    assert row["se", "m"] == pytest.approx(m.std(ddof=1) / np.sqrt(3))
    assert row["gap", "mean"] == pytest.approx(0.1)
    assert row["gap", "se"] == pytest.approx((m - f).std(ddof=1) / np.sqrt(3))


def test_a_gap_is_between_the_means_that_are_shown_whatever_a_split_lacks() -> None:
    frame = group_frame([fold("a", 0, 0, f=0.2, m=0.5), fold("a", 1, 0, f=1.0)], "ece")
    assert frame.loc["a", ("gap", "mean")] == pytest.approx(0.1)
    assert np.isnan(frame.loc["a", ("gap", "se")])
    apart = group_frame([fold("a", 0, 0, f=0.2), fold("a", 1, 0, m=0.5)], "ece")
    assert apart.loc["a", ("gap", "mean")] == pytest.approx(0.3)
    nothing = group_frame([fold("a", 0, 0, f=np.nan, m=np.nan)], "ece")
    assert nothing["gap"].isna().all(axis=None)


def test_groups_may_be_called_anything() -> None:
    frame = group_frame([fold("a", 0, 0, gap=0.2, mean=0.5, b_se=0.1, b=0.3)], "ece")
    assert frame["mean"].loc["a"].to_dict() == {"gap": 0.2, "mean": 0.5, "b_se": 0.1, "b": 0.3}
    assert frame.loc["a", ("gap", "mean")] == pytest.approx(0.4)


@pytest.fixture(scope="module")
def unlike():
    """Two groups whose labels go with different columns, one of them rare."""
    rng = np.random.default_rng(0)
    group = np.where(rng.random(1200) < 0.08, "f", "m")
    X = pd.DataFrame(rng.normal(size=(1200, 3)), columns=list("abc")).assign(sex=group)
    return X, (np.where(group == "f", -X.b, X.a) > 0.5).astype(int), group


@pytest.fixture(scope="module")
def compared(unlike):
    X, y, group = unlike
    options = {"cv": 2, "max_epochs": 4, "network": {"n_members": 2, "hidden_sizes": (16,), "lr": 0.01}}
    methods = ["over", "smote", "logistic-regression"]
    plain = compare(X, y, methods=methods, report_by=group, **options)
    return plain, compare(X, y, methods=methods, report_by=group, balance_by=group, **options)


def test_networks_of_a_comparison_balance_the_groups(compared) -> None:
    plain, balanced = compared
    assert (
        balanced.group_frame()["mean"].loc["over", "f"] > plain.group_frame()["mean"].loc["over", "f"] + 0.03
    )
    assert "balance_by goes with natural, over and under" in balanced.skipped["smote"]
    assert balanced.settings["groups balanced in the place of classes"].startswith("f (")
    assert "groups balanced in the place of classes" not in plain.settings
    rival = ["logistic-regression"]
    pd.testing.assert_frame_equal(plain.group_frame().loc[rival], balanced.group_frame().loc[rival])


def test_groups_are_kept_in_the_file_and_old_files_have_none(compared, tmp_path) -> None:
    file = compared[0].to_json(tmp_path / "r.json")
    read = Comparison.from_json(file)
    pd.testing.assert_frame_equal(read.group_frame("roc_auc"), compared[0].group_frame("roc_auc"))
    old = json.loads(file.read_text())
    for result in old["results"]:
        del result["by_group"]
    file.write_text(json.dumps(old))
    assert not Comparison.from_json(file).has_groups


def test_errors(compared, unlike) -> None:
    X, y, group = unlike
    with pytest.raises(ValueError, match=r"metric must be one of roc_auc, .*, got 'auc'"):
        compared[0].group_frame("auc")
    without = compare(X, y, methods=["logistic-regression"], cv=2)
    assert not without.has_groups
    with pytest.raises(ValueError, match="there are no groups in this comparison: give compare report_by="):
        without.group_frame()
    for name in ("report_by", "balance_by"):
        with pytest.raises(ValueError, match=f"{name} must have a group for each of the 1200 rows"):
            compare(X, y, methods=["logistic-regression"], cv=2, **{name: group[:7]})
