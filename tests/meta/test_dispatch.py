"""What happens where the engine asked for cannot take a model."""

import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from metabalance.meta import MetaGradient


class Branching(nn.Linear):
    """A forward that depends on values, which vmap refuses."""

    def forward(self, x: Tensor) -> Tensor:
        output = super().forward(x)
        return 2 * output if output.sum() > 0 else output


def test_auto_falls_back_to_the_loop_and_warns_once():
    x, y = torch.randn(3, 5, 4), torch.randn(3, 5, 2)
    model = Branching(4, 2)
    meta = MetaGradient(model, mse_loss, inner_lr=0.1)
    with pytest.warns(
        UserWarning, match="Branching cannot run under .*data-dependent control flow"
    ) as caught:
        meta.backward((x, y), (x, y))
    assert len(caught) == 1
    assert caught[0].filename == __file__
    first = model.weight.grad.clone()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        meta.backward((x, y), (x, y))
    torch.testing.assert_close(model.weight.grad, 2 * first)
    model.zero_grad()
    MetaGradient(model, mse_loss, inner_lr=0.1, engine="loop").backward((x, y), (x, y))
    torch.testing.assert_close(model.weight.grad, first)


def test_vectorized_says_what_to_do_where_vmap_cannot():
    x, y = torch.randn(3, 5, 4), torch.randn(3, 5, 2)
    with pytest.raises(RuntimeError, match="data-dependent") as caught:
        MetaGradient(Branching(4, 2), mse_loss, inner_lr=0.1, engine="vectorized").backward((x, y), (x, y))
    assert any("engine='loop' takes any model" in note for note in caught.value.__notes__)


@pytest.mark.parametrize(
    ("updates", "error", "message"),
    [
        (0, ValueError, "updates must be at least 1, got 0"),
        (2.5, TypeError, "updates must be a whole number or None, got 2.5"),
        (True, TypeError, "updates must be a whole number or None, got True"),
    ],
)
def test_the_number_of_updates_is_checked(updates, error, message):
    with pytest.raises(error, match=message):
        MetaGradient(nn.Linear(2, 1), mse_loss, inner_lr=0.1, updates=updates)
