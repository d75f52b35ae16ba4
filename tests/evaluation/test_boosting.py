import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier

from metabalance.evaluation.boosting import (
    MAX_CATEGORIES,
    EarlyStoppedLightGBM,
    FramedClassifier,
    TreeFrame,
    TunedLightGBM,
    tuned_settings,
)


def test_gaps_stay_and_categories_are_such_by_whatever_name() -> None:
    train = pd.DataFrame(
        {"a,b": [1.0, np.nan, 3.0], "city": ["Bern", "Rome", None], "old": [True, False, True]}
    )
    frame = TreeFrame().fit(train)
    later = pd.DataFrame({"a,b": [np.nan, 2.0], "city": ["Rome", "Oslo"], "old": [False, True]})
    found = frame.transform(later)
    assert list(found.columns) == ["c0", "c1", "c2"]
    np.testing.assert_array_equal(found["c0"], [np.nan, 2.0])
    assert list(found["c1"].cat.categories) == [0, 1]
    assert found["c1"].tolist() == [1, np.nan]  # what was never seen is a gap
    np.testing.assert_array_equal(frame.transform(train)["c1"], [0, 1, np.nan])
    assert found["c2"].tolist() == [0.0, 1.0]


def test_rare_categories_of_many_share_one() -> None:
    counts = np.r_[np.full(MAX_CATEGORIES - 1, 3), np.ones(20, dtype=int)]
    names = np.repeat([f"k{number:03d}" for number in range(len(counts))], counts).astype(object)
    names[:3] = "other"  # is a name as good as any
    frame = TreeFrame().fit(pd.DataFrame({"k": names}))
    found = frame.transform(pd.DataFrame({"k": ["k001", names[-1], "unseen", "other"]}))["c0"]
    assert len(found.cat.categories) == MAX_CATEGORIES
    assert found.tolist() == [0, MAX_CATEGORIES - 1, MAX_CATEGORIES - 1, MAX_CATEGORIES - 2]


def test_text_among_numbers_is_named() -> None:
    frame = TreeFrame().fit(pd.DataFrame({"a": [1.0, 2.0]}))
    with pytest.raises(ValueError, match=r"a held numbers in fit, but now holds 'x' \(row 1\)"):
        frame.transform(pd.DataFrame({"a": [1.0, "x"]}))


@pytest.mark.parametrize("balanced", [False, True])
def test_the_number_of_trees_is_chosen_on_held_out_rows_and_all_rows_are_used(balanced) -> None:
    X, y = make_classification(600, 6, n_informative=3, flip_y=0.2, weights=[0.8], random_state=0)
    settings = {"learning_rate": 0.1, "num_leaves": 15, "verbose": -1, "n_jobs": 1, "random_state": 0}
    stopped = EarlyStoppedLightGBM(LGBMClassifier(n_estimators=2000, **settings), balanced).fit(X, y)
    assert 1 <= stopped.n_trees_ < 300
    weights = np.where(y == 1, len(y) / (2 * (y == 1).sum()), len(y) / (2 * (y == 0).sum()))
    by_hand = LGBMClassifier(n_estimators=stopped.n_trees_, **settings)
    by_hand.fit(X, y, sample_weight=weights if balanced else None)
    np.testing.assert_allclose(stopped.predict_proba(X), by_hand.predict_proba(X), rtol=1e-6)
    assert (stopped.predict(X) == stopped.predict_proba(X).argmax(axis=1)).all()


def test_labels_of_any_kind() -> None:
    X, y = make_classification(200, 4, random_state=0)
    names = np.array(["ok", "fraud"])[y]
    classifier = LGBMClassifier(n_estimators=50, verbose=-1, n_jobs=1, random_state=0)
    stopped = EarlyStoppedLightGBM(classifier).fit(X, names)
    assert stopped.classes_.tolist() == ["fraud", "ok"]
    assert (stopped.predict(X) == names).mean() > 0.9


def test_a_column_without_a_value_is_left_out() -> None:
    train = pd.DataFrame({"a": np.arange(40.0), "gone": [None] * 40, "nan": np.full(40, np.nan)})
    y = np.arange(40) % 2
    for rival in (
        FramedClassifier(HistGradientBoostingClassifier()),
        FramedClassifier(LGBMClassifier(verbose=-1)),
    ):
        rival.fit(train, y)
        filled = train.assign(gone="there", nan=1.0)
        np.testing.assert_array_equal(rival.predict_proba(filled), rival.predict_proba(train))


def test_the_tuned_one_is_the_best_draw_by_cross_validation() -> None:
    X, y = make_classification(300, 6, n_informative=3, flip_y=0.1, weights=[0.8], random_state=0)
    names = np.array(["ok", "fraud"])[y]
    classifier = LGBMClassifier(n_estimators=200, verbose=-1, n_jobs=1, random_state=0)
    tuned = TunedLightGBM(classifier, n_draws=3).fit(X, names)
    assert len(tuned.classifier_.cv_results_["mean_test_score"]) == 3
    chosen = EarlyStoppedLightGBM(classifier).set_params(**tuned.classifier_.best_params_).fit(X, names)
    np.testing.assert_array_equal(tuned.predict_proba(X), chosen.predict_proba(X))
    assert set(tuned.predict(X)) == set(tuned.classes_) == {"fraud", "ok"}


def test_two_rows_of_a_class_are_too_few_to_tune_by() -> None:
    X, y = np.arange(40.0).reshape(20, 2), np.repeat([0, 1], [18, 2])
    tuned = TunedLightGBM(LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1, random_state=0)).fit(X, y)
    assert isinstance(tuned.classifier_, EarlyStoppedLightGBM)


def test_settings_that_small_tables_can_use() -> None:
    X, y = make_classification(
        90, 4, n_informative=3, n_redundant=0, weights=[0.8], class_sep=2, random_state=0
    )
    tuned = TunedLightGBM(LGBMClassifier(n_estimators=200, verbose=-1, n_jobs=1, random_state=0)).fit(X, y)
    assert len(np.unique(tuned.predict_proba(X)[:, 1])) > 2  # its trees do split
    for n_rows in (2, 10, 41, 42, 90, 700, 10_000):
        choice = tuned_settings(n_rows)["classifier__min_child_samples"]
        drawn = choice.rvs(size=50, random_state=0)
        assert drawn.min() >= 1
        assert drawn.max() <= max(1, min(100, n_rows // 7))


def test_what_a_column_holds_is_a_matter_of_all_rows_in_every_fold() -> None:
    X = pd.DataFrame({"a": np.arange(120) % 7}, dtype=object)
    X.loc[3, "a"] = "unknown"  # without it, the column would be one of numbers
    y = (np.arange(120) % 4 == 0).astype(int)
    tuned = TunedLightGBM(LGBMClassifier(n_estimators=20, verbose=-1, n_jobs=1, random_state=0), n_draws=2)
    assert np.isfinite(tuned.fit(X, y).classifier_.cv_results_["mean_test_score"]).all()
