"""Class weights that wait, and early stopping that waits for them."""

from types import SimpleNamespace

import pytest
import torch

from metabalance.nn import CrossEntropy
from metabalance.training import DeferredReweighting, LateEarlyStopping

WEIGHT = [0.5, 4.0]


def test_weights_are_one_until_their_epoch() -> None:
    loss = CrossEntropy(torch.tensor(WEIGHT))
    reweighting = DeferredReweighting(loss, 2)
    net = SimpleNamespace(history=[])
    reweighting.on_train_begin(net)
    seen = []
    for _ in range(4):
        net.history.append({})
        reweighting.on_epoch_begin(net)
        seen.append(loss.weight.tolist())
    assert seen == [[1, 1], [1, 1], WEIGHT, WEIGHT]


def test_a_loss_without_weights() -> None:
    with pytest.raises(ValueError, match="CrossEntropy has no class weights to defer: give it weight="):
        DeferredReweighting(CrossEntropy(), 2)


def test_the_first_epochs_neither_count_nor_are_kept() -> None:
    module = torch.nn.Linear(1, 1)
    history = [{"epoch": 1 + n, "score": score} for n, score in enumerate([9.0, 8.0, 1.0, 2.0, 1.5, 1.4])]
    stopping = LateEarlyStopping("score", 2, ignored=2)
    net = SimpleNamespace(module_=module, verbose=0, history=_History())
    stopping.on_train_begin(net)
    for record in history:
        with torch.no_grad():
            module.weight.fill_(record["epoch"])
        net.history.append(record)
        if record["epoch"] == 6:
            with pytest.raises(KeyboardInterrupt):  # skorch's way to end training
                stopping.on_epoch_end(net)
        else:
            stopping.on_epoch_end(net)
    stopping.on_train_end(net)
    assert stopping.best_epoch_ == 4
    assert module.weight.item() == 4


class _History(list):
    """As much of skorch's history as early stopping reads."""

    def __getitem__(self, key):
        return super().__getitem__(key[0])[key[1]] if isinstance(key, tuple) else super().__getitem__(key)
