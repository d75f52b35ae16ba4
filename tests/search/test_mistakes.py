"""What a search does with wrong parameters, samplers of one name, a second fit, unwritable places."""

import numpy as np
import pytest
from imblearn.over_sampling import SMOTE
from sklearn.exceptions import NotFittedError

from tests.search.conftest import quick_search


def test_a_search_leaves_nothing_of_an_earlier_one(binary, tmp_path) -> None:
    X, y = binary
    search = quick_search().fit(X, np.where(y == 1, "fraud", "ok"))
    search.set_params(param_grid={"lr": [1e30]})
    with pytest.raises(ValueError, match="could be trained"):
        search.fit(X, y)
    for use in (search.predict, lambda rows: search.to_html(tmp_path / "search.html")):
        with pytest.raises(NotFittedError):
            use(X)
    search.set_params(param_grid=None, refit=False).fit(X[:, :3], y)
    assert not hasattr(search, "classes_")
    search.set_params(refit=True)
    with pytest.raises(ValueError, match="made with refit=False"):
        search.predict(X[:, :3])


class Alike:
    def __repr__(self):
        return "Alike()"

    def fit_resample(self, X, y):
        return X, y


def test_different_samplers_of_the_same_name_are_refused(binary) -> None:
    with pytest.raises(ValueError, match=r"two samplers are both called Alike\(\)"):
        quick_search(support_samplers=[Alike()], query_samplers=[Alike()]).fit(*binary)
    same = Alike()
    quick_search(support_samplers=[same], query_samplers=[same], refit=False).fit(*binary)
    quick_search(support_samplers=[SMOTE()], query_samplers=[SMOTE()], refit=False).fit(*binary)


def test_results_that_cannot_be_written_are_an_error_and_the_old_ones_stay(binary, tmp_path) -> None:
    search = quick_search(refit=False).fit(*binary)
    (tmp_path / "file").write_text("old")
    with pytest.raises(ValueError, match="choose a path you can write to"):
        search.to_json(tmp_path / "file" / "search.json")
    assert (tmp_path / "file").read_text() == "old"
    with pytest.raises(ValueError, match="cannot be a folder"):
        quick_search(memory=str(tmp_path / "file")).fit(*binary)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"estimator": 3.5}, TypeError, "estimator must be a MetaBalanceClassifier or None"),
        ({"query_samplers": ["smot"]}, ValueError, "did you mean 'smote'"),
        ({"support_samplers": []}, ValueError, "support_samplers is empty"),
        ({"scoring": "roc"}, ValueError, "no scikit-learn scorer"),
        ({"halving": 1}, ValueError, "halving must be None or a whole number of at least 2"),
        ({"param_grid": {"beta": [-1.0]}}, ValueError, "beta must be at least 0"),
        ({"cv": 1}, ValueError, "cv=1"),
        ({"cv": 400}, ValueError, "at most the 4. rows of the rarest class '1'"),
        (
            {"cv": [(np.arange(200), np.arange(200, 201))]},
            ValueError,
            "test part of split 0 of cv has no row",
        ),
    ],
    ids=str,
)
def test_wrong_parameters_are_named(binary, options, error, message) -> None:
    with pytest.raises(error, match=message):
        quick_search().set_params(**options).fit(*binary)
