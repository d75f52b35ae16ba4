import pytest
from imblearn.over_sampling import SMOTE

from metabalance.search.candidates import check_grid, check_samplers, describe

KNOWN = {"inner_lr": 0.1, "beta": 0.5, "max_epochs": 50}


def test_the_grid_is_every_combination() -> None:
    assert check_grid(None, KNOWN) == [{}]
    grid = check_grid({"inner_lr": [0.1, 1.0], "beta": [0.0]}, KNOWN)
    assert grid == [{"beta": 0.0, "inner_lr": 0.1}, {"beta": 0.0, "inner_lr": 1.0}]


def test_arguments_of_the_network_and_the_optimizer_need_not_be_set_before() -> None:
    grid = {"module__width": [8, 16], "optimizer__eps": [1e-6]}
    assert [each["module__width"] for each in check_grid(grid, KNOWN)] == [8, 16]


@pytest.mark.parametrize(
    ("grid", "error", "message"),
    [
        ([{"beta": [1]}], TypeError, "must map parameters to lists"),
        ({"max_epochs": [1, 2]}, ValueError, "max_epochs, which the search sets itself"),
        ({"query_sampler": ["over"]}, ValueError, "query_sampler, which the search sets itself"),
        ({"gamma": [1]}, ValueError, "'gamma', which is no parameter .* start with module__ or optimizer__"),
        ({"loss__gamma": [1]}, ValueError, "'loss__gamma', which is no parameter"),
        ({1: [1]}, ValueError, "1, which is no parameter"),
        ({"beta": []}, ValueError, "non-empty"),
        ({"beta": 1}, TypeError, "list or a numpy array"),
    ],
    ids=str,
)
def test_grids_that_cannot_be_used(grid, error, message) -> None:
    with pytest.raises(error, match=message):
        check_grid(grid, KNOWN)


@pytest.mark.parametrize(
    ("samplers", "error", "message"),
    [
        ("smote", TypeError, "must be a list of strategies, got 'smote'"),
        ([], ValueError, "is empty"),
        (["smot"], ValueError, "did you mean 'smote'"),
        ([SMOTE], TypeError, "got the class SMOTE"),
        (["over", "under", "over"], ValueError, "lists over more than once"),
        ([SMOTE(), SMOTE()], ValueError, r"lists SMOTE\(\) more than once"),
    ],
    ids=str,
)
def test_samplers_that_cannot_be_used(samplers, error, message) -> None:
    with pytest.raises(error, match=message):
        check_samplers("query_samplers", samplers)


def test_sampler_objects_are_told_apart_by_their_options() -> None:
    check_samplers("query_samplers", [SMOTE(), SMOTE(k_neighbors=3)])
    params = {"support_sampler": SMOTE(k_neighbors=3), "query_sampler": "over"}
    assert describe(params) == "SMOTE(k_neighbors=3)/over"
