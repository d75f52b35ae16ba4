"""Training of the rows: stacked networks against single ones, MetaBalance against its definition."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from paper.curves import Curve, roc_auc
from paper.meta import train_meta
from paper.meta_weight_net import train_meta_weight_net
from paper.plain import optimizer_for, train_plain
from paper.rivals import train_rival
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from metabalance import MetaBatchStream
from metabalance.nn import MLP
from metabalance.sampling import BatchStream
from metabalance.training import MetaWeightNet, seeded
from paper import plain


def LOSS(output, target):
    return torch.nn.functional.binary_cross_entropy_with_logits(output[:, 0], target.float())


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
        test, valid = [], []
        for update in range(1, 27):
            x, y = stream.draw()
            step.zero_grad()
            torch.nn.functional.binary_cross_entropy_with_logits(module(x)[:, 0], y.float()).backward()
            step.step()
            if update in (7, 13, 20, 26):  # ends of epochs of 153 rows
                test.append(roc_auc_score(split.test.y, module(split.test.x)[:, 0].detach()))
                valid.append(roc_auc_score(split.valid.y, module(split.valid.x)[:, 0].detach()))
        np.testing.assert_allclose(curve.test, test, atol=1e-12)
        np.testing.assert_allclose(curve.valid, valid, atol=1e-12)


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
    far = train_meta(
        splits[0], 0, {**META, "inner_lr": 1.0}, NETWORK, LOSS, score_with_dropout=False, pools=tmp_path
    )
    assert far["meta"].test != far["adapted"].test
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


def loss_of(module, parameters, x, y):
    output = torch.func.functional_call(module, parameters, (x,))
    return torch.nn.functional.binary_cross_entropy_with_logits(output[:, 0], y.float())


@pytest.mark.parametrize("order", ["exact", "first"])
def test_metabalance_is_trained_and_scored_by_its_definition(splits, tmp_path, order):
    recipe = {**META, "order": order, "inner_lr": 0.5, "epochs": 2}
    found = train_meta(splits[0], 3, recipe, NETWORK, LOSS, score_with_dropout=False, pools=tmp_path)
    train, scores = splits[0].train, {"meta": [], "adapted": [], "valid": []}
    stream = MetaBatchStream(
        train.x,
        train.y,
        support="natural",
        query="over",
        meta_steps=3,
        support_batch_size=24,
        query_batch_size=16,
        random_state=3,
    )
    with seeded(3):
        module = MLP(4, 1, **NETWORK)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)

    def stepped(theta, x, y, create_graph):
        slopes = torch.autograd.grad(loss_of(module, theta, x, y), theta.values(), create_graph=create_graph)
        return {
            name: p - 0.5 * (slope if order == "exact" else slope.detach())
            for (name, p), slope in zip(theta.items(), slopes, strict=True)
        }

    for update in range(1, 12):
        (x, y), (z, t) = stream.draw()
        theta = dict(module.named_parameters())
        losses = [
            loss_of(module, stepped(theta, x[s], y[s], True), z[s], t[s])
            + 0.1 * loss_of(module, theta, x[s], y[s])
            for s in range(3)
        ]
        optimizer.zero_grad()
        (sum(losses) / 3).backward()
        optimizer.step()
        if update in (6, 11):
            theta = dict(module.named_parameters())
            adapted = stepped(theta, train.x, torch.from_numpy(train.y), False)
            for name, at in (("meta", theta), ("adapted", adapted)):
                logits = torch.func.functional_call(module, at, (splits[0].test.x,)).detach()
                scores[name].append(roc_auc_score(splits[0].test.y, logits[:, 0]))
            logits = module(splits[0].valid.x).detach()
            scores["valid"].append(roc_auc_score(splits[0].valid.y, logits[:, 0]))
    assert found["meta"].test == pytest.approx(scores["meta"], abs=1e-12)
    assert found["adapted"].test == pytest.approx(scores["adapted"], abs=1e-12)
    assert found["meta"].valid == pytest.approx(scores["valid"], abs=1e-12)


def test_meta_weight_net_runs_the_librarys_rule_for_as_many_passes(splits):
    recipe = {**PLAIN, "inner_lr": 0.1, "weight_lr": 1e-3, "epochs": 2}
    found = train_meta_weight_net(splits[0], 0, recipe, NETWORK, LOSS, score_with_dropout=False)
    train, test, valid = splits[0].train, [], []
    stream = MetaBatchStream(
        train.x,
        train.y,
        meta_steps=1,
        support_batch_size=24,
        query_batch_size=24,
        random_state=0,
    )
    with seeded(0):
        module = MLP(4, 1, **NETWORK)
        rule = MetaWeightNet(module, LOSS, stream, inner_lr=0.1, weight_lr=1e-3)
        optimizer = optimizer_for(list(module.parameters()), recipe)
        for update in range(1, 14):
            optimizer.zero_grad()
            rule.backward(stream.draw())
            optimizer.step()
            if update in (7, 13):  # ends of passes of 153 rows
                test.append(roc_auc_score(splits[0].test.y, module(splits[0].test.x)[:, 0].detach()))
                valid.append(roc_auc_score(splits[0].valid.y, module(splits[0].valid.x)[:, 0].detach()))
    assert found.test == pytest.approx(test, abs=1e-12)
    assert found.valid == pytest.approx(valid, abs=1e-12)


def test_a_network_that_diverges_ends_alone(splits, tmp_path):
    poisoned = replace(splits[1], train=replace(splits[1].train, x=splits[1].train.x * float("nan")))
    mixed = [splits[0], poisoned, splits[2]]
    found = train_plain(mixed, [0, 1, 2], PLAIN, NETWORK, LOSS, score_with_dropout=False, pools=tmp_path)
    whole = train_plain(splits, [0, 1, 2], PLAIN, NETWORK, LOSS, score_with_dropout=False, pools=tmp_path)
    assert "diverged" in found[1].failure
    assert (found[0], found[2]) == (whole[0], whole[2])


def test_rivals_are_scored_on_their_own_rows(splits):
    curve = train_rival("logistic-regression", splits[0], 0)
    model = LogisticRegression(max_iter=2000).fit(splits[0].train.x, splits[0].train.y)
    for scores, part in ((curve.test, splits[0].test), (curve.valid, splits[0].valid)):
        assert scores == pytest.approx([roc_auc_score(part.y, model.predict_proba(part.x)[:, 1])], abs=1e-12)
