import threading
import time

import numpy as np
import pytest
import torch
from torch import nn

from metabalance.nn import TableNetwork
from metabalance.training import prediction
from metabalance.training.prediction import predict_probabilities


def test_probabilities_are_the_softmax_of_the_logits() -> None:
    model = nn.Linear(3, 4)
    x = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    logits = model(x).detach().double().numpy()
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(predict_probabilities(model, x), expected, rtol=1e-12)


def test_dropout_is_off_and_the_mode_is_left_alone() -> None:
    model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.9), nn.Linear(8, 1)).train()
    x = torch.ones(5, 3)
    first, second = predict_probabilities(model, x), predict_probabilities(model, x)
    np.testing.assert_array_equal(first, second)
    assert first.shape == (5, 2)
    assert model.training


def test_given_parameters_predict_in_place_of_the_models() -> None:
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    x = torch.ones(4, 3)
    own = predict_probabilities(model, x)
    borrowed = predict_probabilities(model, x, dict(other.named_parameters()))
    np.testing.assert_array_equal(borrowed, predict_probabilities(other, x))
    assert not np.array_equal(own, borrowed)


def test_chunks_and_no_rows(monkeypatch) -> None:
    model = nn.Linear(2, 3)
    x = torch.randn(11, 2, generator=torch.Generator().manual_seed(0))
    whole = predict_probabilities(model, x)
    monkeypatch.setattr(prediction, "ROWS_PER_CHUNK", 4)
    np.testing.assert_allclose(predict_probabilities(model, x), whole, atol=1e-7)
    assert predict_probabilities(model, x[:0]).shape == (0, 3)


def test_images_go_through_in_small_chunks() -> None:
    sizes = []

    class Seen(nn.Module):
        def forward(self, x):
            sizes.append(len(x))
            return x.flatten(1)[:, :2]

    x = torch.zeros(600, 1, 2, 2)
    assert predict_probabilities(Seen(), x).shape == (600, 2)
    assert sizes == [256, 256, 88]
    predict_probabilities(Seen(), x.flatten(1))
    assert sizes[3:] == [600]


def test_parts_in_different_modes_stay_so() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)).train()
    model[1].eval()
    predict_probabilities(model, torch.zeros(3, 2))
    assert model[0].training
    assert not model[1].training


def test_a_module_that_stands_in_the_network_twice_keeps_its_parameters():
    layer = nn.Linear(3, 3)
    module = nn.Sequential(layer, nn.Tanh(), layer, nn.Linear(3, 2))
    before = dict(module.named_parameters())
    x = torch.randn(5, 3)
    moved = {name: parameter.detach() + 0.5 for name, parameter in before.items()}
    found = predict_probabilities(module, x, moved)
    assert all(parameter is before[name] for name, parameter in module.named_parameters())
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.5)
    np.testing.assert_allclose(found, predict_probabilities(module, x), atol=1e-7)


def test_an_ensemble_predicts_the_same_on_one_thread_and_on_several(monkeypatch) -> None:
    net = TableNetwork(3, 1, n_members=2, hidden_sizes=(4,))
    x = torch.randn(1000, 3, generator=torch.Generator().manual_seed(0))
    threads, predicting = torch.get_num_threads(), set()
    net.register_forward_hook(lambda *_: predicting.add((threading.get_ident(), torch.get_num_threads())))
    monkeypatch.setattr(prediction, "ENSEMBLE_ROWS_PER_CHUNK", 4)
    try:
        torch.set_num_threads(1)
        alone = predict_probabilities(net, x)
        assert predicting == {(threading.get_ident(), 1)}
        torch.set_num_threads(3)
        predicting.clear()
        np.testing.assert_array_equal(predict_probabilities(net, x), alone)
        assert threading.get_ident() not in {thread for thread, _ in predicting}
        assert {count for _, count in predicting} == {1}
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)


def test_two_classes_get_what_softmax_gives_them() -> None:
    values = [-torch.inf, -800.0, -30.0, -1.0, 0.0, 2.0, 40.0, 800.0, torch.inf, torch.nan]
    logits = torch.cartesian_prod(torch.tensor(values), torch.tensor(values)).double()
    torch.testing.assert_close(prediction._softmax(logits), logits.softmax(-1), equal_nan=True)


@pytest.mark.parametrize("value", [torch.inf, torch.nan])
def test_outputs_that_are_not_finite_are_refused_for_two_classes_too(value: float) -> None:
    model = nn.Linear(2, 1)
    nn.init.constant_(model.bias, value)
    with pytest.raises(FloatingPointError, match="outputs are NaN or infinite"):
        predict_probabilities(model, torch.zeros(3, 2))


def test_calls_at_other_parameters_do_not_mix_with_each_other() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    own = dict(module.named_parameters())
    moved = {name: parameter.detach() + 0.5 for name, parameter in own.items()}
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    expected = predict_probabilities(module, x, moved)
    module.register_forward_hook(lambda *_: time.sleep(0.001))  # lets another thread in
    worst = []

    def predict() -> None:
        for _ in range(20):
            worst.append(np.abs(predict_probabilities(module, x, moved) - expected).max())

    threads = [threading.Thread(target=predict) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(worst) == 0
    assert all(parameter is own[name] for name, parameter in module.named_parameters())
