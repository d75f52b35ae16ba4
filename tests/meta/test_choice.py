"""The rules of ``engine="auto"``."""

import pytest
import torch
from torch import nn

from metabalance.meta.choice import choose_engine, is_dense, pays_to_compile
from metabalance.meta.recomputing import Recomputed
from metabalance.meta.update import Update
from metabalance.nn import MLP


class OwnParameter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Dropout(), nn.LayerNorm(2), nn.PReLU()), True),
        (nn.Sequential(nn.Embedding(3, 2), nn.Flatten(), nn.RMSNorm(2), nn.GroupNorm(1, 2)), True),
        (nn.Bilinear(2, 2, 1), True),
        (nn.Sequential(nn.Conv1d(1, 1, 1), nn.Linear(2, 2)), False),
        (nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, affine=False)), False),
        (nn.Sequential(Recomputed(nn.Linear(2, 2))), False),
        (nn.MultiheadAttention(2, 1), False),
        (nn.LSTM(2, 2), False),
        (OwnParameter(), False),
        (nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)), False),
    ],
)
def test_which_models_are_vectorized(model, expected):
    assert is_dense(model) is expected


@pytest.mark.parametrize(
    ("model", "meta_steps", "enough"),
    [
        (nn.Linear(29, 1), 4, 12_000),
        (MLP(29, 1, (64, 32)), 4, 7_000),
        (MLP(29, 1, (16, 24, 20, 24)), 80, 5_000),
        (MLP(29, 1, (256, 256, 256)), 4, 3_500),
    ],
)
def test_compiling_pays_for_many_updates_and_fewer_of_large_networks(model, meta_steps, enough):
    assert pays_to_compile(model, meta_steps, 40 * meta_steps, enough)
    assert not pays_to_compile(model, meta_steps, 40 * meta_steps, enough // 2)


def test_more_rows_in_an_update_make_compiling_pay_sooner():
    model = MLP(29, 1, (64, 32))
    assert pays_to_compile(model, 80, 3200, 5_000)
    assert not pays_to_compile(model, 4, 160, 5_000)


@pytest.mark.parametrize(
    ("model", "meta_steps", "updates", "engine"),
    [
        (MLP(4, 1), 4, None, "vectorized"),
        (MLP(4, 1), 4, 100, "vectorized"),
        (MLP(4, 1), 4, 100_000, "compiled"),
        (MLP(4, 1, (300, 300)), 4, None, "loop"),
        (MLP(4, 1, (300, 300)), 4, 100_000, "compiled"),
        (MLP(4, 1, (600, 600)), 4, 100_000, "loop"),
        (MLP(4, 1, (400, 400)), 200, 100_000, "loop"),
        (nn.Sequential(nn.Linear(4, 1), nn.Linear(29_994, 1)), 4, None, "vectorized"),
        (nn.Sequential(nn.Linear(4, 1), nn.Linear(29_995, 1)), 4, None, "loop"),
        (nn.Sequential(nn.Unflatten(-1, (1, 4)), nn.Conv1d(1, 2, 3)), 4, 100_000, "loop"),
    ],
)
def test_auto_weighs_the_network_and_the_work_ahead(model, meta_steps, updates, engine):
    pair = {"numbers": torch.zeros(meta_steps, 32, 4)}, (torch.zeros(meta_steps, 32),)
    assert choose_engine(model, Update({}, {}, pair, pair), updates) == engine
