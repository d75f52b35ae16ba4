import warnings

import numpy as np
import pytest
from imblearn.combine import SMOTEENN
from imblearn.over_sampling import ADASYN, SMOTE, SMOTENC, SVMSMOTE, BorderlineSMOTE, RandomOverSampler
from imblearn.under_sampling import (
    AllKNN,
    ClusterCentroids,
    EditedNearestNeighbours,
    NearMiss,
    RandomUnderSampler,
)

from metabalance.sampling import STRATEGIES, resample

THEIRS = {
    "smote": SMOTE(random_state=3),
    "svmsmote": SVMSMOTE(random_state=3),
    "enn": EditedNearestNeighbours(),
    "cluster_centroids": ClusterCentroids(random_state=3),
    "borderline_smote": BorderlineSMOTE(random_state=3),
    "adasyn": ADASYN(random_state=3),
    "nearmiss": NearMiss(),
    "allknn": AllKNN(),
    "smoteenn": SMOTEENN(random_state=3),
}
TABLE = [name for name, strategy in STRATEGIES.items() if strategy.needs_numeric_2d]
GENERATING = [name for name, strategy in STRATEGIES.items() if strategy.kind == "generating"]
SELECTING = [name for name, strategy in STRATEGIES.items() if strategy.kind == "selecting"]


@pytest.mark.parametrize("labels", [(0, 1), (7, -3), (5, 9, 2)])
@pytest.mark.parametrize("name", TABLE)
def test_the_rows_are_those_of_imbalanced_learn(table, name, labels):
    X, y = table(*(80, 30, 24)[: len(labels)], labels=labels, distance=1.2)
    X_new, y_new = resample(X, y, name, random_state=3)
    X_theirs, y_theirs = THEIRS[name].fit_resample(X, y)
    np.testing.assert_array_equal(X_new, X_theirs)
    np.testing.assert_array_equal(y_new, y_theirs)
    counts = np.unique(y_new, return_counts=True)[1]
    assert len(counts) == len(labels)
    assert not STRATEGIES[name].balanced or len(set(counts)) == 1


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("name", TABLE)
def test_the_dtype_is_kept_and_the_input_is_not_changed(table, name, dtype):
    X, y = table(80, 30)
    X = X.astype(dtype)
    X_before, y_before = X.copy(), y.copy()
    X_new, y_new = resample(X, y, name, random_state=0)
    assert X_new.dtype == dtype
    assert y_new.dtype == np.int64
    np.testing.assert_array_equal(X, X_before)
    np.testing.assert_array_equal(y, y_before)


@pytest.mark.parametrize("name", SELECTING)
def test_selecting_strategies_keep_real_rows_only(table, name):
    X, y = table(80, 30)
    X_new, y_new = resample(X, y, name)
    rows = {(*row, label) for row, label in zip(X.tolist(), y.tolist(), strict=True)}
    assert {(*row, label) for row, label in zip(X_new.tolist(), y_new.tolist(), strict=True)} < rows


@pytest.mark.parametrize("name", SELECTING)
def test_selecting_strategies_take_integers_and_categorical_columns(table, name):
    X, y = table(80, 30)
    X_new, _ = resample((X * 10).astype(np.int16), y, name, categorical=np.array([True, False, False]))
    assert X_new.dtype == np.int16


@pytest.mark.parametrize("name", ["smote", "cluster_centroids", "adasyn"])
def test_the_seed_decides(table, name):
    X, y = table(80, 30)
    first, again, other = (resample(X, y, name, random_state=seed)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_already_balanced_data_pass_through_smote(table):
    X, y = table(3, 3)
    X_new, y_new = resample(X, y, "smote")
    np.testing.assert_array_equal(X_new, X)
    np.testing.assert_array_equal(y_new, y)


@pytest.mark.parametrize(
    ("name", "k"),
    [("smote", 3), ("svmsmote", 3), ("borderline_smote", 3), ("adasyn", 3), ("smoteenn", 3)],
)
def test_few_rows_of_a_class_clamp_k(table, name, k):
    X, y = table(60, 4, distance=0.5)
    with pytest.warns(
        UserWarning, match=f"class 1 has 4 rows: {name} uses k={k} neighbours instead of 5"
    ) as seen:
        _, y_new = resample(X, y, name, random_state=0)
    assert len(seen) == 1
    assert (y_new == 1).sum() > 4


def test_nearmiss_clamps_k_to_the_smallest_class(table):
    X, y = table(60, 2)
    with pytest.warns(UserWarning, match="class 1 has 2 rows: nearmiss uses k=2 neighbours instead of 3"):
        assert np.bincount(resample(X, y, "nearmiss")[1]).tolist() == [2, 2]


@pytest.mark.parametrize("name", ["enn", "allknn"])
def test_cleaning_clamps_k_to_all_rows(table, name):
    X, y = table(2, 1, distance=-5.0)
    X[1] = X[0] + 0.1
    with (
        pytest.warns(
            UserWarning, match=f"the whole data set has 3 rows: {name} uses k=2 neighbours instead of 3"
        ),
        pytest.raises(ValueError, match=rf"{name} removed every row of class 0 \(2 in all\)"),
    ):
        resample(X, y, name)


def test_border_methods_clamp_m_to_all_rows(table):
    X, y = table(6, 4, distance=0.5)
    with pytest.warns(
        UserWarning, match="the whole data set has 10 rows: borderline_smote uses m=9 neighbours"
    ):
        resample(X, y, "borderline_smote", random_state=0)


def test_smoteenn_clamps_its_cleaning_on_tiny_data(table):
    X, y = table(1, 1)
    with (
        pytest.warns(UserWarning, match="the balanced data set has 2 rows: smoteenn uses k=1 neighbours"),
        pytest.raises(ValueError, match="smoteenn removed every row of class 0"),
    ):
        resample(X, y, "smoteenn")


@pytest.mark.parametrize("name", ["smote", "svmsmote", "borderline_smote", "adasyn", "smoteenn"])
def test_one_row_where_two_are_needed(table, name):
    X, y = table(30, 1)
    with pytest.raises(ValueError, match=f"class 1 has 1 row, but {name} needs at least 2"):
        resample(X, y, name)


def test_one_row_is_enough_for_strategies_that_only_remove(table):
    X, y = table(30, 1)
    for name in ("enn", "allknn", "cluster_centroids"):
        assert (resample(X, y, name, random_state=0)[1] == 1).sum() == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "borderline_smote",
            "leaves class 1 with 12 rows where another has 60: the class has no row at a border",
        ),
        ("adasyn", "cannot resample these 72 rows: a class has no neighbours of other classes"),
    ],
)
def test_well_separated_classes_have_no_border(table, name, message):
    X, y = table(60, 12, distance=50.0)
    with pytest.raises(ValueError, match=f"{name} {message}.*use smote"):
        resample(X, y, name)


def test_adasyn_with_too_few_missing_rows(table):
    X, y = table(60, 59, distance=0.0)
    with pytest.raises(
        ValueError, match=r"adasyn cannot resample these 119 rows.*lacks too few rows to share"
    ):
        resample(X, y, "adasyn")


def test_svmsmote_with_noise_only():
    """Each rare row sits alone among rows of the other class."""
    grid = np.linspace(0, 1, 200)[:, None].repeat(2, axis=1)
    y = np.zeros(200, dtype=int)
    y[[30, 100, 170]] = 1
    with (
        pytest.warns(UserWarning, match="class 1 has 3 rows"),
        pytest.raises(ValueError, match=r"svmsmote cannot .* support vectors of a class lie among") as caught,
    ):
        resample(grid, y, "svmsmote", random_state=0)
    assert "considered as noise" in str(caught.value.__cause__)


def test_allknn_running_out_of_neighbours():
    """Its first round leaves two rows, its second looks for two neighbours."""
    with (
        pytest.warns(UserWarning, match="the whole data set has 3 rows"),
        pytest.raises(ValueError, match="allknn cannot resample these 3 rows: too few rows are left after"),
    ):
        resample(np.array([[0.0], [0.4], [10.0]]), np.array([1, 0, 0]), "allknn")


@pytest.mark.parametrize("name", ["enn", "allknn"])
def test_a_class_removed_altogether_is_named(name):
    """Class 5 sits row by row among class 0; class 9, the smallest, is far away and safe."""
    position = np.concatenate([np.arange(60.0), np.arange(5.0, 60.0, 6.0) + 0.5, 1000 + np.arange(8.0)])
    y = np.repeat([0, 5, 9], [60, 10, 8])
    with pytest.raises(ValueError, match=rf"{name} removed every row of class 5 \(10 in all\): use"):
        resample(position[:, None], y, name)


@pytest.mark.parametrize("name", TABLE)
def test_images_are_refused(name):
    with pytest.raises(ValueError, match=rf"{name} works on tables.*X has shape \(4, 1, 2, 2\): use natural"):
        resample(np.zeros((4, 1, 2, 2)), np.array([0, 0, 1, 1]), name)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", TABLE)
def test_missing_values_are_refused(table, name, bad):
    X, y = table(20, 10)
    X[3, 2] = bad
    with pytest.raises(ValueError, match=f"{name} .*X holds NaN or infinity in column 2: impute"):
        resample(X, y, name)


@pytest.mark.parametrize("name", TABLE)
def test_texts_are_refused(name):
    with pytest.raises(TypeError, match=f"{name} measures distances, but X has dtype object: encode it"):
        resample(np.array([["a"], ["b"]], dtype=object), np.array([0, 1]), name)


@pytest.mark.parametrize("name", GENERATING)
def test_generating_between_categories_is_refused(table, name):
    X, y = table(20, 10)
    with pytest.raises(
        ValueError, match=rf"{name} makes rows between .* column 0, 2 .*: use natural.*SMOTENC, or drop"
    ):
        resample(X, y, name, categorical=np.array([True, False, True]))


@pytest.mark.parametrize("name", GENERATING)
def test_generating_integers_is_refused(table, name):
    X, y = table(20, 10)
    with pytest.raises(
        TypeError, match=rf"{name} makes rows .* dtype int64 cannot hold: pass X.astype\('float32'\)"
    ):
        resample(X.astype(int), y, name)


def test_generating_where_no_column_is_categorical(table):
    X, y = table(20, 10)
    assert len(resample(X, y, "smote", categorical=np.zeros(3, dtype=bool))[0]) == 40


def test_many_columns_are_not_all_listed(table):
    with pytest.raises(ValueError, match="column 0, 1, 2, 3, 4 and 3 more"):
        resample(np.zeros((4, 8)), np.array([0, 0, 1, 1]), "smote", categorical=np.ones(8, dtype=bool))


@pytest.mark.parametrize("mask", [np.array([True]), np.array([0, 1, 1])])
def test_a_categorical_mask_of_another_shape_or_dtype(table, mask):
    X, y = table(20, 10)
    with pytest.raises(ValueError, match=r"categorical must hold one bool per column, shape \(3,\), got"):
        resample(X, y, "smote", categorical=mask)


@pytest.mark.parametrize("name", ["natural", "over", "under"])
def test_index_strategies_have_no_table(table, name):
    with pytest.raises(ValueError, match=f"{name} draws rows as it goes.*use BatchStream"):
        resample(*table(20, 10), name)


def test_repeated_rows_are_no_reason_to_warn():
    X = np.repeat([[0.0, 1.0], [5.0, 5.0]], [50, 10], axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, y_new = resample(X, np.repeat([0, 1], [50, 10]), "cluster_centroids", random_state=0)
    assert np.bincount(y_new).tolist() == [10, 10]


def test_the_users_sampler_gets_the_seed_where_it_has_none(table):
    X, y = table(80, 30)
    mine = SMOTE(k_neighbors=2)
    X_new, _ = resample(X, y, mine, random_state=3)
    np.testing.assert_array_equal(X_new, SMOTE(k_neighbors=2, random_state=3).fit_resample(X, y)[0])
    assert mine.random_state is None


def test_the_users_sampler_keeps_its_own_seed(table):
    X, y = table(80, 30)
    mine = SMOTEENN(smote=SMOTE(random_state=8))
    X_new, _ = resample(X, y, mine, random_state=3)
    np.testing.assert_array_equal(X_new, mine.fit_resample(X, y)[0])


def test_the_users_sampler_may_handle_categories(table):
    X, y = table(80, 30)
    X[:, 0] = X[:, 0] > 1
    marked = np.array([True, False, False])
    X_new, y_new = resample(X, y, SMOTENC(categorical_features=[0]), random_state=0, categorical=marked)
    assert np.bincount(y_new).tolist() == [80, 80]
    assert set(np.unique(X_new[:, 0])) == {0.0, 1.0}


class HalfOfEach:
    """A sampler that knows nothing of scikit-learn."""

    def fit_resample(self, X, y):
        return X[::2], y[::2]


def test_any_object_with_fit_resample_will_do(table):
    X, y = table(10, 6)
    X_new, y_new = resample(X, y, HalfOfEach())
    np.testing.assert_array_equal(X_new, X[::2])
    assert np.bincount(y_new).tolist() == [5, 3]


def test_the_users_sampler_must_keep_every_class(table):
    X, y = table(10, 6)
    with pytest.raises(ValueError, match="RandomUnderSampler removed every row of class 1"):
        resample(X, y, RandomUnderSampler(sampling_strategy={0: 5, 1: 0}))


def test_the_users_sampler_may_take_any_table():
    X, y = np.array([["a", None], ["b", "c"], ["d", "e"]], dtype=object), np.array([0, 0, 1])
    X_new, _ = resample(X, y, RandomOverSampler(), random_state=0)
    assert X_new.dtype == object
    assert X_new.shape == (4, 2)


def test_messages_name_the_classes_as_the_user_does(table):
    X, y = table(40, 4)
    with pytest.warns(UserWarning, match="class 'fraud' has 4 rows: smote uses k=3"):
        resample(X, y, "smote", random_state=0, class_names=["fine", "fraud"])
    X, y = table(40, 1)
    with pytest.raises(ValueError, match="class 'fraud' has 1 row"):
        resample(X, y, "smote", random_state=0, class_names=["fine", "fraud"])


class Failing:
    def __init__(self, error):
        self.error = error

    def fit_resample(self, X, y):
        raise self.error


@pytest.mark.parametrize(
    "error",
    [ValueError("no rows"), RuntimeError("no rows"), KeyError("no rows"), ZeroDivisionError("no rows")],
)
def test_errors_of_the_users_sampler_name_it(table, error):
    with pytest.raises(
        ValueError,
        match=rf"Failing cannot resample these 16 rows \({type(error).__name__}: .*no rows.*\): use natural",
    ) as caught:
        resample(*table(10, 6), Failing(error))
    assert isinstance(caught.value.__cause__, type(error))


def test_ctrl_c_in_the_users_sampler_is_no_error_of_it(table):
    with pytest.raises(KeyboardInterrupt):
        resample(*table(10, 6), Failing(KeyboardInterrupt()))


def test_imbalanced_learns_own_runtime_errors_are_as_those_of_the_names(table):
    with pytest.raises(ValueError, match=r"ADASYN cannot resample these 72 rows \(\w+Error: .*: use natural"):
        resample(*table(60, 12, distance=50.0), ADASYN())
