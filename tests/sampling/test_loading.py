"""Batches fetched by workers: the same as those of the stream over the rows themselves."""

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, TensorDataset

from metabalance import MetaBatchStream, MetaGradient
from metabalance.sampling import MetaDataLoader

SIZES = {"meta_steps": 3, "support_batch_size": 6, "query_batch_size": 4, "random_state": 5}


class Squares(Dataset):
    """Images made when they are asked for, with labels that nobody should look at."""

    def __len__(self):
        return 60

    def __getitem__(self, row):
        return torch.full((2, 2), float(row) ** 2), -1


def labels():
    return (np.arange(60) >= 52).astype(int)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("query", ["under", "over"])
def test_the_rows_are_those_of_the_stream(workers, query):
    loader = MetaDataLoader(Squares(), labels(), query=query, num_workers=workers, **SIZES)
    rows = torch.arange(60.0).square()[:, None, None].expand(-1, 2, 2)
    stream = MetaBatchStream(rows, labels(), query=query, **SIZES)
    assert len(loader) == len(stream)
    draws = [draw for _ in range(2) for draw in loader]  # two loops go on from one another
    assert len(draws) == 2 * len(stream)
    for draw in draws:
        for (x, y), (expected_x, expected_y) in zip(draw, stream.draw(), strict=True):
            assert torch.equal(x, expected_x)
            assert torch.equal(y, expected_y)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loop_left_early_goes_on_where_it_was(workers):
    whole = [pair[0][0] for pair in MetaDataLoader(Squares(), labels(), query="over", **SIZES)]
    loader = MetaDataLoader(Squares(), labels(), query="over", num_workers=workers, **SIZES)
    for (x, _), _ in loader:
        assert torch.equal(x, whole[0])
        break
    other = MetaDataLoader(Squares(), labels(), query="over", **SIZES)
    other.load_state_dict(loader.state_dict())
    for each in (loader, other):
        (x, _), _ = next(iter(each))
        assert torch.equal(x, whole[1])


def test_several_inputs_and_the_meta_gradient():
    x = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))

    class Sum(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 2)

        def forward(self, a, b, c):
            return self.layer(a + b + c)

    model = Sum()
    loader = MetaDataLoader(TensorDataset(x, 2 * x, 3 * x), labels(), **SIZES)
    support, query = next(iter(loader))
    assert len(support[0]) == 3
    torch.testing.assert_close(support[0][1], 2 * support[0][0])
    MetaGradient(model, torch.nn.CrossEntropyLoss(), inner_lr=0.1).backward(support, query)
    assert model.layer.weight.grad.abs().sum() > 0


class Named(Dataset):
    def __len__(self):
        return 60

    def __getitem__(self, row):
        return {"image": np.full(3, row, dtype=np.float32), "size": row}


def test_inputs_by_name():
    (inputs, _), _ = next(iter(MetaDataLoader(Named(), labels(), **SIZES)))
    assert inputs["image"].shape == (3, 6, 3)
    assert torch.equal(inputs["image"][..., 0].long(), inputs["size"])


class Texts(Named):
    def __getitem__(self, row):
        return "text"


@pytest.mark.parametrize(
    ("dataset", "options", "error", "message"),
    [
        (
            Squares(),
            {"query": "smote"},
            ValueError,
            "query='smote' looks at all rows, which are not in memory",
        ),
        (Squares(), {"y": labels()[10:]}, ValueError, "the data set has 60 items but y has 50 labels"),
        (Squares(), {"shuffle": True}, ValueError, "shuffle is decided by the streams"),
        (Squares(), {"in_order": False}, ValueError, "in_order is decided by the streams"),
        (Squares(), {"y": np.zeros(60, dtype=int)}, ValueError, "all 60 labels are 0"),
        (Squares(), {"meta_steps": 0}, ValueError, "meta_steps must be at least 1"),
        (Texts(), {}, TypeError, "items must collate to tensors"),
    ],
    ids=range(7),
)
def test_mistakes(dataset, options, error, message):
    with pytest.raises(error, match=message):
        next(iter(MetaDataLoader(dataset, **{"y": labels(), **SIZES, **options})))
