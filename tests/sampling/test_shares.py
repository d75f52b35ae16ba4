"""Streams that several processes share out."""

import pytest
import torch

from metabalance.sampling import MetaBatchStream


@pytest.mark.parametrize("query", ["over", "smote"])
def test_meta_processes_share_out_the_pairs_of_a_single_stream(table, query):
    X, y = table(40, 12)
    settings = {
        "query": query,
        "meta_steps": 5,
        "support_batch_size": 4,
        "query_batch_size": 6,
        "random_state": 3,
    }
    whole = MetaBatchStream(X, y, **settings)
    parts = [MetaBatchStream(X, y, num_replicas=2, rank=rank, **settings) for rank in range(2)]
    assert [stream.rows_per_draw for stream in parts] == [50, 50]
    for _ in range(9):
        drawn = [stream.draw() for stream in parts]
        assert [len(support[0]) for support, _ in drawn] == [3, 2]
        for loop, expected in enumerate(whole.draw()):
            for place, tensor in enumerate(expected):
                assert torch.equal(torch.cat([each[loop][place] for each in drawn]), tensor)
    parts[1].load_state_dict(parts[0].state_dict())  # the place is the same for all


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_replicas": 2, "rank": 2}, "rank must be a whole number from 0 to 1, got 2"),
        ({"num_replicas": 2, "rank": -1}, "rank must be"),
        ({"num_replicas": 0}, "num_replicas must be at least 1"),
        ({"num_replicas": 7, "rank": 0}, "7 processes cannot share out 5 meta steps"),
        ({"num_replicas": 2, "random_state": None}, "the same whole number in all 2 processes, got None"),
    ],
)
def test_meta_shares_that_are_none(table, options, message):
    with pytest.raises(ValueError, match=message):
        MetaBatchStream(*table(40, 12), meta_steps=5, **{"random_state": 0, **options})
