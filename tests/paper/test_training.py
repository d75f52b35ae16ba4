"""Training of the rows: stacked networks against single ones, MetaBalance against its definition."""

import numpy as np
import pytest
import torch
from paper.curves import Curve, roc_auc
from paper.losses import make_loss
from paper.meta import train_meta
from paper.plain import optimizer_for, train_plain
from paper.weighted import train_weighted
from sklearn.metrics import roc_auc_score

from metabalance.nn import MLP
from metabalance.sampling import BatchStream
from metabalance.training import seeded
from paper import plain

LOSS = make_loss({}, np.array([1, 1]))
NETWORK = {"hidden_sizes": [5], "dropout": 0.0}
PLAIN = {
    "sampler": "natural",
    "batch_size": 24,
    "epochs": 4,
    "optimizer": "adam",
    "lr": 0.01,
    "weight_decay": 0.1,
}
META = {
    "support": "natural",
    "query": "over",
    "meta_steps": 3,
    "support_batch_size": 24,
    "query_batch_size": 16,
    "epochs": 4,
    "optimizer": "sgd",
    "lr": 0.1,
    "weight_decay": 0.01,
    "inner_lr": 0.1,
    "beta": 0.1,
    "order": "exact",
    "engine": "vectorized",
}


@pytest.fixture(autouse=True)
def _not_compiled(monkeypatch):
    monkeypatch.setattr(plain.torch, "compile", lambda function, **options: function)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_stacked_networks_are_trained_as_single_ones(splits, tmp_path, optimizer):
    recipe = {**PLAIN, "optimizer": optimizer}
    found = train_plain(splits, [0, 1, 2], recipe, NETWORK, LOSS, score_with_dropout=False, pools=tmp_path)
    for seed, (split, curve) in enumerate(zip(splits, found, strict=True)):
        stream = BatchStream(split.train.x, split.train.y, batch_size=24, random_state=seed)
        with seeded(seed):
            module = MLP(4, 1, **NETWORK)
        step = optimizer_for(list(module.parameters()), recipe)
        test = []
        for update in range(1, 27):
            x, y = stream.draw()
            step.zero_grad()
            torch.nn.functional.binary_cross_entropy_with_logits(module(x)[:, 0], y.float()).backward()
            step.step()
            if update in (7, 13, 20, 26):  # ends of epochs of 153 rows
                test.append(roc_auc_score(split.test.y, module(split.test.x)[:, 0].detach()))
        np.testing.assert_allclose(curve.test, test, atol=1e-12)
        assert len(curve.valid) == 4


def test_runs_of_unlike_length_end_after_their_own_epochs(splits, tmp_path):
    recipe = {**PLAIN, "sampler": "enn", "epochs": 3}
    together = train_plain(splits, [0, 1, 2], recipe, NETWORK, LOSS, score_with_dropout=False, pools=tmp_path)
    alone = train_plain(splits[:1], [0], recipe, NETWORK, LOSS, score_with_dropout=False, pools=tmp_path)
    assert [len(curve.test) for curve in together] == [3, 3, 3]
    np.testing.assert_allclose(together[0].test, alone[0].test, atol=1e-12)


def test_epochs_shorter_than_a_batch_end_together(splits, tmp_path):
    recipe = {**PLAIN, "batch_size": 230, "epochs": 3}  # 153 rows: epochs end after 1, 2 and 2 batches
    curves = train_plain(splits, [0, 1, 2], recipe, NETWORK, LOSS, score_with_dropout=False, pools=tmp_path)
    assert [len(curve.test) for curve in curves] == [2, 2, 2]


def test_an_epoch_of_metabalance_is_a_pass_of_its_query_stream(splits, tmp_path):
    curves = train_meta(splits[0], 0, META, NETWORK, LOSS, score_with_dropout=False, pools=tmp_path)
    # 2 × 128 query rows a pass, 48 a draw: epochs end after 6, 11, 16 and 22 updates
    assert [len(curve.test) for curve in curves.values()] == [4, 4]
    assert curves["meta"].test != curves["adapted"].test
    again = train_meta(splits[0], 0, META, NETWORK, LOSS, score_with_dropout=False, pools=tmp_path)
    assert curves == again


def test_scoring_with_dropout_is_another_score(splits, tmp_path):
    network = {"hidden_sizes": [20], "dropout": 0.5}
    without, with_dropout = (
        train_meta(
            splits[0],
            0,
            {**META, "epochs": 1},
            network,
            LOSS,
            score_with_dropout=flag,
            pools=tmp_path,
        )
        for flag in (False, True)
    )
    assert without["meta"].test != with_dropout["meta"].test


def test_what_is_reported_of_a_curve():
    assert Curve(test=[0.5, 0.75, 0.625]).summary() == {
        "test_auc": 0.625,
        "epoch": 3,
        "epochs": 3,
        "last_test_auc": 0.625,
        "oracle_auc": 0.75,
    }
    chosen = Curve(test=[0.5, 0.75, 0.625], valid=[0.875, 0.25, 0.5]).summary()
    assert (chosen["test_auc"], chosen["epoch"], chosen["valid_auc"]) == (0.5, 1, 0.875)


def test_roc_auc_is_scikit_learns():
    rng = np.random.default_rng(0)
    scores, y = rng.integers(5, size=200), rng.integers(2, size=200)
    assert roc_auc(scores, y) == pytest.approx(roc_auc_score(y, scores), abs=1e-12)


def test_losses_are_those_of_the_library():
    output, target, counts = torch.randn(6, 1), torch.tensor([0, 1, 0, 0, 1, 0]), np.array([90, 10])
    plain_loss = torch.nn.functional.binary_cross_entropy_with_logits
    torch.testing.assert_close(LOSS(output, target), plain_loss(output[:, 0], target.float()))
    adjusted = make_loss({"loss": "logit_adjusted"}, counts)(output, target)
    torch.testing.assert_close(adjusted, plain_loss(output[:, 0] - np.log(9), target.float()))
    even = make_loss({"class_weight": "effective"}, np.array([50, 50]))
    torch.testing.assert_close(even(output, target), LOSS(output, target))
    rare = torch.tensor([[-3.0]]), torch.tensor([1])
    assert make_loss({"class_weight": "effective"}, counts)(*rare) > LOSS(*rare)


def test_meta_weight_net_is_scored_after_each_pass(splits):
    recipe = {**PLAIN, "inner_lr": 0.1, "weight_lr": 1e-3}
    one, same = (
        train_weighted(splits[0], 0, recipe, NETWORK, LOSS, score_with_dropout=False) for _ in range(2)
    )
    assert len(one.test) == len(one.valid) == 4
    assert one == same
