"""Groups in the place of classes: their codes, exact balance in the batches of a fit, and bad ones."""

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from metabalance import MetaBalanceClassifier, MSMetaBalanceClassifier, NeuralClassifier
from metabalance.estimators.groups import encode_groups, named_groups
from metabalance.nn import MLP, CrossEntropy
from tests.estimators.conftest import QUICK


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2)), min_size=2, max_size=30))
def test_codes_are_one_for_each_combination(pairs) -> None:
    if len(set(pairs)) < 2:
        return
    names, codes = encode_groups("g", pd.DataFrame(pairs), len(pairs))
    assert names == [f"{a}, {b}" for a, b in sorted(set(pairs))]
    assert [sorted(set(pairs)).index(pair) for pair in pairs] == codes.tolist()


@pytest.mark.parametrize(
    ("groups", "names"),
    [
        ([True, False, True], ["False", "True"]),
        (np.array([3, -1, 3]), ["-1", "3"]),
        (pd.Series(["x", "a", "x"], index=[7, 8, 9]), ["a", "x"]),
        (pd.Categorical(["low", "high", "low"], categories=["low", "high"]), ["low", "high"]),
        (["x", 1, "x"], ["x", "1"]),
        (torch.tensor([1, 0, 1]), ["0", "1"]),
    ],
    ids=["bool", "int", "series", "categories", "mixed", "tensor"],
)
def test_groups_of_any_kind(groups, names) -> None:
    found, codes = encode_groups("g", groups, 3)
    assert found == names
    assert codes[0] == codes[2] != codes[1]
    assert named_groups("g", groups, 3).tolist() == [names[code] for code in codes]


@pytest.fixture(scope="module")
def table():
    """A rare group, a rare class, and the group among the columns."""
    rng = np.random.default_rng(0)
    group = (rng.random(600) < 0.1).astype(int)
    X = np.column_stack([rng.normal(size=(600, 3)), group])
    y = (X[:, 0] + 0.5 * rng.normal(size=600) > 1.2).astype(int)
    return X, y, np.where(group, "f", "m")


@pytest.mark.parametrize("by", ["group", "pair"])
@pytest.mark.parametrize("module", [None, MLP])
@pytest.mark.parametrize("query", ["under", "over"])
def test_batches_of_a_fit_are_exactly_balanced(table, by, module, query) -> None:
    X, y, group = table
    own = {} if module is None else {"module": module}
    model = MetaBalanceClassifier(**QUICK, query_sampler=query, query_batch_size=64, **own)
    prepared = model.prepare(X, y, group if by == "group" else np.column_stack([group, y]))
    assert (prepared.holdouts is None) == (module is not None)
    net = model.build_module(prepared.train.x[:2], 2, None, None)
    rule = model._make_rule(net, CrossEntropy(), prepared.train, prepared.stream_options, None)
    seen = [rule.draw()[1] for _ in range(10)]
    x = torch.cat([z.flatten(0, 1) for z, _ in seen])
    labels = torch.cat([t.flatten(0, 1) for _, t in seen])
    labels = labels if labels.ndim == 1 else labels[:, 0]
    if query == "under":  # exact in a pass
        whole = len(x) // rule.stream.query.pass_size * rule.stream.query.pass_size
        assert whole
        x, labels = x[:whole], labels[:whole]
    female = x[:, 3] == x[:, 3].max()
    if by == "group":
        assert female.sum() * 2 == len(x)
    else:
        cells = [((female == a) & (labels == b)).sum().item() for a in (0, 1) for b in (0, 1)]
        assert cells == [len(x) // 4] * 4


@pytest.mark.parametrize("module", [None, MLP])
def test_rows_are_held_out_evenly_from_each_group(table, module) -> None:
    X, y, group = table
    model = NeuralClassifier(**QUICK, **({} if module is None else {"module": module}))
    prepared = model.prepare(X, y, group)
    codes = encode_groups("g", group, 600)[1]
    if prepared.valid is not None:
        parts = [np.bincount(part.balance_by + 2 * part.codes) for part in (prepared.train, prepared.valid)]
        share = parts[1] / (parts[0] + parts[1])
        assert np.all(np.abs(share - 0.2) * (parts[0] + parts[1]) <= 1)
        together = prepared.on_all_rows().train
        assert (np.bincount(together.balance_by) == np.bincount(codes)).all()
    else:
        held = prepared.holdouts.held[prepared.holdouts.group]
        for cell in range(4):
            rows = codes + 2 * y == cell
            assert np.all(np.abs(held[rows].sum(axis=0) - rows.sum() / 5) <= 1)


def test_balance_by_the_labels_is_the_default(table) -> None:
    X, y, _ = table
    options = QUICK | {"early_stopping": False, "sampler": "under"}
    plain, by_label = (NeuralClassifier(**options).fit(X, y, groups) for groups in (None, y))
    np.testing.assert_array_equal(plain.predict_proba(X), by_label.predict_proba(X))


def test_the_rarer_group_is_learned_better_where_groups_differ() -> None:
    """Labels that go with another column in each group: who is rare is learned when drawn more often."""
    rng = np.random.default_rng(0)
    group = (rng.random(3000) < 0.03).astype(int)
    X = np.column_stack([rng.normal(size=(3000, 4)), group])
    y = (np.where(group, -X[:, 1], X[:, 0]) > 0).astype(int)
    new = np.column_stack([rng.normal(size=(2000, 4)), np.ones(2000)])
    options = QUICK | {"sampler": "over", "max_epochs": 4, "lr": 0.01}
    scores = [
        NeuralClassifier(**options).fit(X, y, groups).score(new, -new[:, 1] > 0) for groups in (None, group)
    ]
    assert scores[1] > scores[0] + 0.05


def test_groups_are_routed_as_metadata(table) -> None:
    X, y, group = table
    with sklearn.config_context(enable_metadata_routing=True):
        net = NeuralClassifier(**QUICK, sampler="over").set_fit_request(balance_by=True)
        found = cross_validate(
            make_pipeline(StandardScaler(), net),
            X,
            y,
            params={"balance_by": group},
            cv=2,
            return_estimator=True,
            return_indices=True,
        )
    train = found["indices"]["train"][0]
    own = StandardScaler().fit(X[train])
    direct = NeuralClassifier(**QUICK, sampler="over").fit(own.transform(X[train]), y[train], group[train])
    np.testing.assert_array_equal(
        found["estimator"][0].predict_proba(X), direct.predict_proba(own.transform(X))
    )


def test_a_search_balances_by_groups_and_leaves_made_up_rows_out(table) -> None:
    X, y, group = table
    search = MSMetaBalanceClassifier(
        MetaBalanceClassifier(**QUICK),
        support_samplers=["natural"],
        query_samplers=["under", "smote"],
        cv=2,
        halving=None,
        random_state=0,
    )
    with pytest.warns(UserWarning, match="smote is left out of the search: smote makes rows for class ids y"):
        search.fit(X, y, balance_by=group)
    assert search.best_params_["query_sampler"] == "under"
    direct = MetaBalanceClassifier(**QUICK).fit(X, y, balance_by=group)
    np.testing.assert_array_equal(search.predict_proba(X), direct.predict_proba(X))


def categories_without_rows(n: int) -> pd.Categorical:
    return pd.Categorical(["m"] * (n - 5) + ["f"] * 5, categories=["f", "m", "x"])


@pytest.mark.parametrize(
    ("options", "groups", "message"),
    [
        (
            {},
            lambda n: ["a"] * (n - 1),
            "must have a group for each of the 400 rows of X, got 399",
        ),
        (
            {},
            lambda n: [None] + ["a", "b"] * (n // 2 - 1) + ["a"],
            r"missing \(NaN\) in 1 of 400 rows, the",
        ),
        ({}, lambda n: np.where(np.arange(n) > 2, 1.0, np.nan), r"missing \(NaN\) in 3 of 400 rows"),
        ({}, lambda n: np.zeros(n), "balance_by needs at least two groups, every row is of '0.0'"),
        ({}, lambda n: np.arange(n) / 2, "balance_by holds fractions, such as .*0.5.*: cut the numbers into"),
        ({}, categories_without_rows, "group 'x' of balance_by has no rows, and cannot be drawn from"),
        ({}, lambda n: np.zeros((n, 2, 2)), "balance_by must be one group for each row, or a few columns"),
        ({}, lambda n: np.zeros((n, 0)), "balance_by must have a group for each of the 400 rows"),
        ({"sampler": "smote"}, lambda n: np.arange(n) % 2, "balance_by goes with natural, over and under"),
    ],
    ids=range(9),
)
def test_bad_groups(binary, options, groups, message) -> None:
    X, y = binary
    with pytest.raises(ValueError, match=message):
        NeuralClassifier(**QUICK, **options).fit(X, y, balance_by=groups(len(X)))


def test_groups_of_the_same_name_and_things_that_name_none() -> None:
    with pytest.raises(ValueError, match="two groups of balance_by are both called 'a, b, c': rename one"):
        encode_groups("balance_by", [["a, b", "c"], ["a", "b, c"]], 2)
    with pytest.raises(TypeError, match=r"balance_by holds \['a'\], which names no group"):
        encode_groups("balance_by", pd.Series([["a"], ["b"]]), 2)
    with pytest.raises(ValueError, match=r"balance_by holds fractions, such as 0\.5, which"):
        encode_groups("balance_by", np.array([0.5, 1.0], dtype=object), 2)


def test_a_group_of_which_nothing_is_left_to_train_on(binary) -> None:
    X = binary[0][:30]
    y, groups = np.repeat([0, 1], [28, 2]), np.array(["a"] * 28 + ["b", "c"])
    net = NeuralClassifier(**QUICK, module=MLP)
    with pytest.raises(ValueError, match=r"group '[bc]' of balance_by has no row left to train on"):
        net.fit(X, y, balance_by=groups)
    net.set_params(early_stopping=False, calibration=None).fit(X, y, balance_by=groups)
