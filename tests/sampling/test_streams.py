import io
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from imblearn.under_sampling import TomekLinks
from torch.testing import assert_close

from metabalance.sampling import STRATEGIES, BatchStream, MetaBatchStream, resample

ALL = [*STRATEGIES, TomekLinks()]
BAD_SIZES = [(0, ValueError, "at least 1, got 0"), (1.5, TypeError, "an integer, got 1.5")]


def _draws(stream, times):
    return [stream.draw() for _ in range(times)]


def _rows(batches):
    """Multiset of (row, label) over batches."""
    return Counter(
        (*x, label) for xs, ys in batches for x, label in zip(xs.tolist(), ys.tolist(), strict=True)
    )


@pytest.mark.parametrize("strategy", ALL, ids=str)
def test_a_pass_holds_what_the_strategy_promises(table, strategy):
    X, y = table(80, 30, 24, labels=(3, -1, 8), distance=1.2)
    stream = BatchStream(X, y, strategy=strategy, batch_size=stream_size(X, y, strategy), random_state=3)
    assert len(stream) == 1
    x, labels = stream.draw()
    counts = Counter(labels.tolist())
    if strategy == "natural":
        assert _rows([(x, labels)]) == _rows([(X, y)])
    elif strategy == "under":
        assert counts == {3: 24, -1: 24, 8: 24}
        assert _rows([(x, labels)]) <= _rows([(X, y)])
    elif strategy == "over":
        assert len(labels) == 240
        assert set(_rows([(x, labels)])) <= set(_rows([(X, y)]))
    else:
        assert _rows([(x, labels)]) == _rows([resample(X, y, strategy, random_state=3)])


def stream_size(X, y, strategy):
    return BatchStream(X, y, strategy=strategy, batch_size=1, random_state=3).pass_size


def test_natural_gives_every_row_once_per_pass_though_batches_straddle_passes():
    X, y = np.arange(7)[:, None], np.array([0, 0, 0, 0, 1, 1, 1])
    stream = BatchStream(X, y, batch_size=3, random_state=0)
    rows = torch.cat([x for x, _ in _draws(stream, 14)]).reshape(6, 7)
    assert_close(rows.sort(dim=1).values, torch.arange(7).expand(6, 7))
    assert len({tuple(order) for order in rows.tolist()}) > 1


def test_a_batch_may_take_many_passes():
    X, y = np.arange(5), np.array([0, 0, 0, 1, 1])
    x, _ = BatchStream(X, y, batch_size=50, random_state=0).draw()
    assert x.bincount().tolist() == [10] * 5


def test_labels_stay_with_their_rows():
    y = np.random.default_rng(0).integers(0, 5, size=60) * 11
    for strategy in ("natural", "over", "under"):
        x, labels = BatchStream(y * 2 + 1, y, strategy=strategy, batch_size=200, random_state=0).draw()
        assert_close(x, labels * 2 + 1)


@pytest.mark.parametrize("strategy", ["natural", "over", "under"])
@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "bool", "int64", "float16", "float32", "float64", "complex64"]
)
def test_index_strategies_take_any_shape_and_dtype(strategy, dtype):
    X = np.arange(10 * 12).reshape(10, 1, 4, 3).astype(dtype)
    stream = BatchStream(X, np.repeat([0, 1], [7, 3]), strategy=strategy, batch_size=4, random_state=0)
    x, y = stream.draw(meta_steps=2)
    assert (x.shape, y.shape) == ((2, 4, 1, 4, 3), (2, 4))
    assert x.dtype == torch.from_numpy(X).dtype
    assert y.dtype == torch.int64
    assert set(map(str, x.reshape(8, -1).tolist())) <= set(map(str, X.reshape(10, -1).tolist()))


def test_tensors_lists_read_only_and_foreign_byte_orders_are_the_same_data():
    X, y = np.arange(12.0).reshape(6, 2), np.array([0, 0, 0, 0, 1, 1])
    read_only = X.copy()
    read_only.setflags(write=False)
    expected = BatchStream(X, y, batch_size=4, random_state=0).draw()
    for same in (torch.tensor(X, requires_grad=True), X.tolist(), read_only, X.astype(">f8"), X[::-1][::-1]):
        x, labels = BatchStream(same, torch.tensor(y), batch_size=4, random_state=0).draw()
        assert_close((x, labels), expected)
        assert not x.requires_grad


def test_natural_bfloat16_tensors():
    X = torch.arange(6).to(torch.bfloat16)
    x, _ = BatchStream(X, [0, 0, 0, 0, 1, 1], batch_size=6, random_state=0).draw()
    assert_close(x.sort().values, X)


def test_stacked_draws_are_the_single_draws_in_order(table):
    X, y = table(20, 6)
    one, stacked = (BatchStream(X, y, strategy="under", batch_size=5, random_state=0) for _ in range(2))
    x, labels = stacked.draw(meta_steps=4)
    for step, (x_step, labels_step) in enumerate(_draws(one, 4)):
        assert_close((x[step], labels[step]), (x_step, labels_step))


def test_a_drawn_batch_belongs_to_the_caller(table):
    X, y = table(20, 6)
    before = X.copy()
    x, _ = BatchStream(X, y, batch_size=26, random_state=0).draw()
    x.zero_()
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("strategy", ALL, ids=str)
def test_the_seed_decides(table, strategy):
    X, y = table(80, 30)
    first, again, other = (
        _draws(BatchStream(X, y, strategy=strategy, batch_size=16, random_state=seed), 3)
        for seed in (0, 0, 1)
    )
    assert_close(first, again, rtol=0, atol=0)
    assert _rows(first) != _rows(other)


def test_no_global_random_state_is_touched(table):
    X, y = table(80, 30)
    numpy_before, torch_before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    for strategy in ("under", "smote"):
        BatchStream(X, y, strategy=strategy, batch_size=16).draw()
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002
    assert_close(torch.get_rng_state(), torch_before)


def test_iterating_is_one_pass_from_where_the_stream_stands(table):
    X, y = table(20, 6)
    looped, drawn = (BatchStream(X, y, batch_size=8, random_state=0) for _ in range(2))
    looped.draw()
    drawn.draw()
    batches = list(looped)
    assert len(batches) == len(looped) == 4
    assert_close(batches, _draws(drawn, 4))


def _through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("before", [0, 3, 5, 40])
@pytest.mark.parametrize("strategy", ALL, ids=str)
def test_resuming_goes_on_as_if_never_stopped(table, strategy, before):
    X, y = table(40, 20)
    stream, resumed = (BatchStream(X, y, strategy=strategy, batch_size=8, random_state=0) for _ in range(2))
    _draws(stream, before)
    state = _through_a_file(stream.state_dict())
    expected = _draws(stream, 20)
    resumed.draw()
    resumed.load_state_dict(state)
    assert_close(_draws(resumed, 20), expected, rtol=0, atol=0)
    stream.load_state_dict(state)  # the state was not moved along by the draws
    assert_close(_draws(stream, 20), expected, rtol=0, atol=0)


def test_a_state_of_index_strategies_resumes_streams_of_any_seed(table):
    X, y = table(40, 20)
    stream = BatchStream(X, y, strategy="under", batch_size=8, random_state=0)
    other = BatchStream(X, y, strategy="under", batch_size=8)
    stream.draw()
    other.load_state_dict(stream.state_dict())
    assert_close(_draws(stream, 9), _draws(other, 9))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"strategy": "over"}, "strategy 'smote', but this one has 'over'"),
        ({"batch_size": 9}, "batch_size 8, but this one has 9"),
        ({"random_state": 1}, "pool_checksum .* same data, strategy, sizes and random_state"),
    ],
)
def test_states_of_other_streams_are_refused(table, changed, message):
    X, y = table(40, 20)
    settings = {"strategy": "smote", "batch_size": 8, "random_state": 0}
    state = BatchStream(X, y, **settings).state_dict()
    stream, untouched = (BatchStream(X, y, **settings | changed) for _ in range(2))
    with pytest.raises(ValueError, match=f"the saved stream has {message}"):
        stream.load_state_dict(state)
    assert_close(stream.draw(), untouched.draw())


def test_states_of_other_data_are_refused(table):
    state = BatchStream(*table(40, 20), batch_size=8).state_dict()
    incomplete = {key: value for key, value in state.items() if key != "generator"}
    with pytest.raises(ValueError, match="the saved stream has rows 60, but this one has 61"):
        BatchStream(*table(41, 20), batch_size=8).load_state_dict(state)
    with pytest.raises(ValueError, match="no saved state of such a stream: it lacks generator"):
        BatchStream(*table(40, 20), batch_size=8).load_state_dict(incomplete)


@pytest.mark.parametrize(
    ("X", "y", "error", "message"),
    [
        (np.zeros((3, 2)), np.array([0, 1]), ValueError, r"X has shape \(3, 2\) but y has 2 labels"),
        (np.zeros((0, 2)), np.array([], dtype=int), ValueError, "y holds no labels"),
        (np.zeros((2, 2)), np.array([0.0, np.nan]), ValueError, "labels are NaN in 1 of 2 rows"),
        (np.zeros((2, 2)), np.array(["a", "b"]), TypeError, "class ids must be integers"),
        (np.zeros((2, 2)), np.array([1, 1]), ValueError, "at least two classes"),
        (
            np.array([["a"], ["b"]]),
            np.array([0, 1]),
            TypeError,
            "X has dtype <U1.*encode texts and categories",
        ),
    ],
)
@pytest.mark.parametrize("strategy", ["natural", "over", "under", "smote"])
def test_data_that_cannot_be_streamed(X, y, error, message, strategy):
    with pytest.raises(error, match=message):
        BatchStream(X, y, strategy=strategy, batch_size=2)
    with pytest.raises(error, match=message):
        MetaBatchStream(X, y, query=strategy)


@pytest.mark.parametrize(("size", "error", "message"), BAD_SIZES)
def test_sizes_that_are_none(table, size, error, message):
    X, y = table(20, 6)
    with pytest.raises(error, match=f"batch_size must be {message}"):
        BatchStream(X, y, batch_size=size)
    with pytest.raises(error, match=f"meta_steps must be {message}"):
        BatchStream(X, y, batch_size=2).draw(size)
    for name in ("meta_steps", "support_batch_size", "query_batch_size"):
        with pytest.raises(error, match=f"{name} must be {message}"):
            MetaBatchStream(X, y, **{name: size})


def test_tables_only_for_strategies_that_look_at_x():
    with pytest.raises(ValueError, match="smote works on tables"):
        BatchStream(torch.zeros(4, 3, 2, 2), [0, 0, 1, 1], strategy="smote", batch_size=2)
    with pytest.raises(
        TypeError, match=r"smote works through NumPy, which has no bfloat16: pass X.float\(\)"
    ):
        BatchStream(torch.zeros(4, 3, dtype=torch.bfloat16), [0, 0, 1, 1], strategy="smote", batch_size=2)


def test_categorical_columns_reach_the_check(table):
    X, y = table(20, 8)
    marked = np.array([True, False, False])
    with pytest.raises(ValueError, match="means nothing for categories, here column 0"):
        MetaBatchStream(X, y, query="smote", categorical=marked)
    BatchStream(X, y, strategy="under", batch_size=2, categorical=marked).draw()


@given(
    labels=st.lists(st.integers(-(2**62), 2**62), min_size=2, max_size=40).filter(lambda y: len(set(y)) > 1),
    strategy=st.sampled_from(["natural", "over", "under"]),
    batch_size=st.integers(1, 50),
    meta_steps=st.none() | st.integers(1, 4),
    skipped=st.integers(0, 3),
)
def test_any_sizes_and_labels(labels, strategy, batch_size, meta_steps, skipped):
    y = np.array(labels)
    X = np.arange(len(y))
    stream, resumed = (
        BatchStream(X, y, strategy=strategy, batch_size=batch_size, random_state=seed) for seed in (0, 1)
    )
    for _ in range(skipped):
        stream.draw()
    resumed.load_state_dict(stream.state_dict())
    x, drawn = stream.draw(meta_steps)
    assert drawn.shape == ((batch_size,) if meta_steps is None else (meta_steps, batch_size))
    np.testing.assert_array_equal(y[x.numpy()], drawn.numpy())
    assert_close(resumed.draw(meta_steps), (x, drawn))


def test_meta_shapes_sizes_and_strategies(table):
    X, y = table(90, 10)
    stream = MetaBatchStream(X, y, meta_steps=5, support_batch_size=20, query_batch_size=4, random_state=0)
    (x, y_support), (z, y_query) = stream.draw()
    assert (x.shape, y_support.shape) == ((5, 20, 3), (5, 20))
    assert (z.shape, y_query.shape) == ((5, 4, 3), (5, 4))
    assert y_support.flatten().bincount().tolist() == [90, 10]  # one natural pass
    assert y_query.flatten().bincount().tolist() == [10, 10]  # one balanced pass
    assert stream.rows_per_draw == 120
    assert (stream.support.pass_size, stream.query.pass_size) == (100, 20)


def test_meta_defaults_are_the_papers(table):
    stream = MetaBatchStream(*table(90, 10))
    (x, _), (z, _) = stream.draw()
    assert (x.shape[:2], z.shape[:2]) == ((80, 24), (80, 16))


def test_meta_iterating_is_one_pass_of_the_query_stream(table):
    stream = MetaBatchStream(*table(90, 10), query="over", meta_steps=7, query_batch_size=4, random_state=0)
    assert len(stream) == 7  # 180 rows, 28 a draw
    assert len(list(stream)) == 7


def test_meta_streams_of_one_strategy_are_independent_of_each_other(table):
    X, y = table(90, 10)
    sizes = {"meta_steps": 10, "support_batch_size": 10, "query_batch_size": 10}
    for strategy in ("natural", "smote"):
        stream = MetaBatchStream(X, y, support=strategy, query=strategy, random_state=0, **sizes)
        (x, _), (z, _) = stream.draw()
        assert not torch.equal(x, z)


def test_meta_query_pool_is_that_of_imbalanced_learn_too(table):
    X, y = table(90, 20)
    stream = MetaBatchStream(X, y, query="smote", meta_steps=1, query_batch_size=180, random_state=3)
    _, query = stream.draw()
    assert _rows([(query[0][0], query[1][0])]) == _rows([resample(X, y, "smote", random_state=3)])


def test_meta_equal_strategies_are_resampled_once(table):
    with pytest.warns(UserWarning, match="class 1 has 4 rows") as seen:
        MetaBatchStream(*table(60, 4), support="smote", query="smote")
    assert len(seen) == 1


@pytest.mark.parametrize("query", ALL, ids=str)
def test_meta_resuming_goes_on_as_if_never_stopped(table, query):
    X, y = table(40, 20)
    settings = {
        "query": query,
        "meta_steps": 3,
        "support_batch_size": 5,
        "query_batch_size": 4,
        "random_state": 0,
    }
    stream, resumed = (MetaBatchStream(X, y, **settings) for _ in range(2))
    _draws(stream, 3)
    resumed.load_state_dict(_through_a_file(stream.state_dict()))
    assert_close(_draws(resumed, 10), _draws(stream, 10), rtol=0, atol=0)


def test_meta_states_of_other_streams_are_refused_before_anything_moves(table):
    X, y = table(40, 20)
    settings = {"query": "under", "meta_steps": 3, "random_state": 0}
    other = MetaBatchStream(X, y, **settings | {"query": "over"})
    other.draw()
    stream, untouched = (MetaBatchStream(X, y, **settings) for _ in range(2))
    with pytest.raises(ValueError, match="strategy 'over', but this one has 'under'"):
        stream.load_state_dict(other.state_dict())
    with pytest.raises(ValueError, match="meta_steps 4, but this one has 3"):
        stream.load_state_dict(MetaBatchStream(X, y, **settings | {"meta_steps": 4}).state_dict())
    with pytest.raises(ValueError, match="it lacks support, query"):
        stream.load_state_dict(
            {k: v for k, v in stream.state_dict().items() if k not in ("support", "query")}
        )
    assert_close(stream.draw(), untouched.draw())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("query", ["under", "over", "smote"])
def test_cuda_streams_draw_the_same_rows(table, query):
    X, y = table(40, 20)
    here, there = (MetaBatchStream(X, y, query=query, random_state=0, device=d) for d in ("cpu", "cuda"))
    there.load_state_dict(here.state_dict())
    drawn = there.draw()
    assert all(part.device.type == "cuda" for pair in drawn for part in pair)
    assert_close(drawn, here.draw(), check_device=False)


def test_streams_balance_by_groups_that_are_not_the_labels():
    rng = np.random.default_rng(0)
    group = np.repeat([3, 8], [90, 10])
    y = np.stack([rng.integers(5, size=100), np.arange(100)], axis=1)  # a label and the number of the row
    x = np.arange(100.0)
    stream = BatchStream(x, y, strategy="under", balance_by=group, batch_size=20, random_state=0)
    rows, known = stream.draw()
    assert known.shape == (20, 2)
    assert np.bincount(group[known[:, 1]])[[3, 8]].tolist() == [10, 10]
    np.testing.assert_array_equal(rows, known[:, 1])
    meta = MetaBatchStream(x, y, query="over", balance_by=group, meta_steps=2, random_state=0)
    (_, natural), (_, over) = meta.draw()
    assert (natural.shape, over.shape) == ((2, 24, 2), (2, 16, 2))
    with pytest.raises(ValueError, match="smote makes rows for class ids y only"):
        BatchStream(x[:, None], y, strategy="smote", balance_by=group, batch_size=4)
    with pytest.raises(ValueError, match="one label per row"):
        BatchStream(x, y, balance_by=group[::2], batch_size=4)
