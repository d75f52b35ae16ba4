"""Batches changed on their way: what is augmented, what is mixed, and that the rest is the rule's."""

import pytest
import torch
from torch import nn

from metabalance.meta import MetaGradient
from metabalance.nn import CrossEntropy, MixedLoss, Mixup
from metabalance.sampling import BatchStream, MetaBatchStream
from metabalance.training import ERM, ChangedBatches, MetaBalance, PartInMemory


def data():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 3, generator=generator)
    return x, (x[:, 0] > 1).long()


def plain(module, loss_fn):
    return ERM(module, loss_fn, BatchStream(*data(), batch_size=20, random_state=0))


def meta(module, loss_fn):
    stream = MetaBatchStream(
        *data(), query="over", meta_steps=3, support_batch_size=8, query_batch_size=6, random_state=0
    )
    return MetaBalance(MetaGradient(module, loss_fn, inner_lr=0.5), stream)


def shifted(x, generator):
    return x + torch.rand(1, generator=generator)


def test_every_batch_is_augmented_and_labels_stay():
    module = nn.Linear(3, 2)
    for make in (plain, meta):
        rule = ChangedBatches(make(module, CrossEntropy()), shifted, None, seed=0)
        own = make(module, CrossEntropy()).draw()
        found = rule.draw()
        pairs = zip(found, own, strict=True) if make is meta else [(found, own)]
        moved = []
        for (x, y), (x_own, y_own) in pairs:
            moved.append((x - x_own).mean().item())
            torch.testing.assert_close(x, x_own + moved[-1])
            assert 0 < moved[-1] < 1
            assert torch.equal(y, y_own)
        assert len(set(moved)) == len(moved)
        assert rule.rows_per_update == rule.rule.rows_per_update


def test_plain_batches_are_mixed():
    module = nn.Linear(3, 2)
    rule = ChangedBatches(plain(module, MixedLoss(CrossEntropy())), None, Mixup(), seed=0)
    x, y = plain(module, CrossEntropy()).draw()
    mixed, (labels, others, shares) = rule.draw()
    assert torch.equal(labels, y)
    loss = rule.backward((mixed, (labels, others, shares)))
    share = shares[0]
    assert shares.tolist() == [share.item()] * 20
    output = module(mixed)
    expected = share * nn.functional.cross_entropy(output, y) + (1 - share) * nn.functional.cross_entropy(
        output, others
    )
    torch.testing.assert_close(loss, expected.detach())
    assert not torch.equal(mixed, x)


def test_query_batches_are_mixed_one_at_a_time_and_support_batches_are_not():
    module = nn.Linear(3, 2)
    rule = ChangedBatches(meta(module, MixedLoss(CrossEntropy())), None, Mixup(), seed=0)
    (x, y), (z, t) = meta(module, CrossEntropy()).draw()
    support, (mixed, (labels, others, shares)) = batch = rule.draw()
    assert torch.equal(support[0], x)
    assert torch.equal(support[1], y)
    assert torch.equal(labels, t)
    assert shares.shape == (3, 6)
    shares = shares[:, 0]
    assert len(set(shares.tolist())) == 3
    for s in range(3):
        partners = (mixed[s] - shares[s] * z[s]) / (1 - shares[s])
        places = torch.cdist(partners, z[s]).argmin(1)
        torch.testing.assert_close(partners, z[s][places], atol=1e-4, rtol=0)
        assert torch.equal(others[s], t[s][places])
    # The outer loss by hand, at θ'.
    loss = rule.backward(batch)
    total = 0.0
    for s in range(3):
        inner = nn.functional.cross_entropy(module(x[s]), y[s])
        weight, bias = torch.autograd.grad(inner, list(module.parameters()))
        output = nn.functional.linear(mixed[s], module.weight - 0.5 * weight, module.bias - 0.5 * bias)
        for share, target in ((shares[s], labels[s]), (1 - shares[s], others[s])):
            total += share * nn.functional.cross_entropy(output, target) / 3
    torch.testing.assert_close(loss, total.detach())


def test_predictions_are_made_of_rows_as_they_are():
    torch.manual_seed(0)
    module = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2))
    rule = meta(module, MixedLoss(CrossEntropy()))
    changed = ChangedBatches(rule, shifted, Mixup(), seed=0)
    x, y = data()
    train = PartInMemory(x, y, y.numpy())
    torch.testing.assert_close(changed.adapted(train), rule.adapted(train))
    rule.settle()
    before = module[0].running_mean.clone()
    changed.settle()
    assert torch.equal(module[0].running_mean, before)


def test_the_same_seed_changes_alike():
    one, same, other = (ChangedBatches(plain(nn.Linear(3, 2), None), shifted, Mixup(), s) for s in (1, 1, 2))
    first = one.draw()[0]
    assert torch.equal(first, same.draw()[0])
    assert not torch.equal(first, other.draw()[0])


def test_an_augmentation_that_returns_something_else():
    rule = ChangedBatches(plain(nn.Linear(3, 2), CrossEntropy()), lambda x, generator: x[:1], None, seed=0)
    with pytest.raises(ValueError, match=r"augment must return .* of shape \(20, 3\) on cpu, got .*\(1, 3\)"):
        rule.draw()
    rule = ChangedBatches(plain(nn.Linear(3, 2), CrossEntropy()), lambda x, generator: None, None, seed=0)
    with pytest.raises(ValueError, match="got NoneType"):
        rule.draw()
    rule = ChangedBatches(plain(nn.Linear(3, 2), CrossEntropy()), lambda x, generator: x.double(), None, 0)
    with pytest.raises(ValueError, match=r"float32 .*got torch\.float64"):
        rule.draw()
