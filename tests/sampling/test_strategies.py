import numpy as np
import pytest
from imblearn.over_sampling import RandomOverSampler
from imblearn.under_sampling import TomekLinks

from metabalance.sampling import STRATEGIES, resolve_strategy

NAMES = (
    "natural over under smote svmsmote enn cluster_centroids borderline_smote adasyn nearmiss allknn smoteenn"
)


def test_all_twelve_are_listed_in_the_documented_order():
    assert list(STRATEGIES) == NAMES.split()


def test_the_list_is_read_only():
    with pytest.raises(TypeError):
        STRATEGIES["mine"] = STRATEGIES["over"]  # type: ignore[index]


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_describes_itself_in_one_line(name):
    strategy = STRATEGIES[name]
    assert strategy.name == name
    assert 0 < len(strategy.summary) < 90
    assert "\n" not in strategy.summary
    assert strategy.reference
    assert strategy.needs_numeric_2d == (strategy.kind != "index")
    assert (strategy.build is None) == (strategy.kind == "index")


def test_which_strategies_promise_balance():
    balanced = {name for name, strategy in STRATEGIES.items() if strategy.balanced}
    assert balanced == {"over", "under", "smote", "borderline_smote", "cluster_centroids", "nearmiss"}


@pytest.mark.parametrize("name", STRATEGIES)
def test_neighbour_defaults_are_those_of_imbalanced_learn(name):
    strategy = STRATEGIES[name]
    if name == "smoteenn":
        theirs = {"k_neighbors": 5, "n_neighbors": 3}  # of its SMOTE and its ENN
    elif strategy.build is None:
        theirs = {}
    else:
        parameters = strategy.build().get_params()
        theirs = {key: parameters[key] for key in parameters if key[1:] == "_neighbors"}
    assert {n.parameter: n.default for n in strategy.neighbours} == theirs


def test_unknown_name_suggests_the_closest_and_lists_all():
    with pytest.raises(
        ValueError, match=r"'Smoteen', did you mean 'smoteenn'\? \(known: natural, over, under, "
    ):
        resolve_strategy("Smoteen")


def test_a_name_like_no_other_gets_the_list_only():
    with pytest.raises(ValueError, match=r"unknown sampling strategy 'xyzzy' \(known: natural"):
        resolve_strategy("xyzzy")


@pytest.mark.parametrize("spec", [None, 3, np.zeros(2)])
def test_objects_without_fit_resample_are_refused(spec):
    with pytest.raises(
        TypeError, match=r"a strategy name or an object with fit_resample, got .*known names: nat"
    ):
        resolve_strategy(spec)


def test_a_class_in_place_of_an_object_is_refused():
    with pytest.raises(TypeError, match=r"got the class TomekLinks: pass TomekLinks\(\)"):
        resolve_strategy(TomekLinks)  # type: ignore[arg-type]


def test_the_users_sampler_is_cloned():
    mine = RandomOverSampler(shrinkage=0.5)
    strategy = resolve_strategy(mine)
    assert (strategy.name, strategy.kind, strategy.needs_numeric_2d) == ("RandomOverSampler", "custom", False)
    made = strategy.build()
    assert made is not mine
    assert made.shrinkage == 0.5
