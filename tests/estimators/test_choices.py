"""What an option may be and what it becomes; wrong ones are in test_base."""

import pytest
import torch
from torch import nn

from metabalance.estimators.choices import choose_module, choose_optimizer
from metabalance.nn import TableNetwork


def test_optimizers_by_name_and_class() -> None:
    module = nn.Linear(3, 2)
    expected = torch.optim.AdamW, {"weight_decay": 0.1, "fused": True}
    assert choose_optimizer("adamw", {"weight_decay": 0.1}, module) == expected
    chosen, options = choose_optimizer("sgd", {"momentum": 0.5}, module)
    assert chosen is torch.optim.SGD
    assert options == {"momentum": 0.5, "nesterov": True, "fused": True}
    assert choose_optimizer(torch.optim.Adagrad, {}, module) == (torch.optim.Adagrad, {})


def test_an_optimizer_without_weight_decay() -> None:
    module = nn.Linear(3, 2)
    assert choose_optimizer(torch.optim.LBFGS, {"weight_decay": 0}, module) == (torch.optim.LBFGS, {})
    with pytest.raises(ValueError, match=r"LBFGS has no weight decay, but weight_decay is 0.01: set"):
        choose_optimizer(torch.optim.LBFGS, {"weight_decay": 0.01}, module)


@pytest.mark.parametrize("options", [{"foreach": True}, {"foreach": None}, {"fused": False}])
def test_the_implementation_of_an_optimizer_is_the_users_choice(options: dict[str, bool]) -> None:
    chosen, found = choose_optimizer("adamw", options, nn.Linear(3, 2))
    assert found == options
    chosen(nn.Linear(3, 2).parameters(), **found)


@pytest.mark.parametrize(
    "module",
    [
        nn.Linear(3, 2, dtype=torch.complex64),
        nn.Embedding(3, 2, sparse=True),
        nn.Linear(3, 2, device="meta"),
        nn.Conv2d(3, 2, 2).to(memory_format=torch.channels_last),
    ],
    ids=["complex", "sparse gradients", "another device", "another memory layout"],
)
def test_modules_that_fused_optimizers_cannot_step(module: nn.Module) -> None:
    assert choose_optimizer("adamw", {}, module) == (torch.optim.AdamW, {})


def test_fused_optimizers_are_for_one_thread() -> None:
    torch.set_num_threads(2)
    try:
        assert choose_optimizer("adamw", {}, nn.Linear(3, 2)) == (torch.optim.AdamW, {})
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_fused_optimizers_step_as_the_others_do(name: str) -> None:
    stepped = []
    for options in ({"fused": False}, {}):
        module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.copy_(torch.linspace(-1, 1, parameter.numel()).reshape(parameter.shape))
        chosen, options = choose_optimizer(name, {"weight_decay": 0.01, **options}, module)
        optimizer = chosen(module.parameters(), lr=0.1, **options)
        for _ in range(3):
            optimizer.zero_grad()
            module(torch.eye(3)).square().sum().backward()
            optimizer.step()
        stepped.append(list(module.parameters()))
    torch.testing.assert_close(stepped[1], stepped[0])


class Sized(nn.Module):
    def __init__(self, n_inputs: int, n_outputs: int, bias: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(n_inputs, n_outputs, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x)


@pytest.mark.parametrize(("n_classes", "n_outputs"), [(2, 1), (3, 3)])
def test_sizes_are_filled_in(n_classes: int, n_outputs: int) -> None:
    options = {
        "n_classes": n_classes,
        "layout": None,
        "n_members": 3,
        "hidden_sizes": (5,),
        "dropout": 0,
        "cosine_scale": None,
    }
    built = choose_module(Sized, {"bias": False}, example=torch.zeros(2, 4), **options)
    assert built.linear.weight.shape == (n_outputs, 4)
    assert built.linear.bias is None
    default = choose_module(None, {}, example=torch.zeros(2, 4), **options)
    shapes = [(3, 4, 5), (3, 5), (3, 5, n_outputs), (3, n_outputs)]
    assert [tuple(p.shape) for p in default.parameters()] == shapes


def test_a_flat_output_is_one_logit() -> None:
    flat = nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))
    options = {"layout": None, "n_members": 1, "hidden_sizes": (), "dropout": 0, "cosine_scale": None}
    assert choose_module(flat, {}, example=torch.zeros(2, 4), n_classes=2, **options) is not flat
    with pytest.raises(ValueError, match=r"logits of shape \(batch, 3\) for 3 classes, got \(2,\)"):
        choose_module(flat, {}, example=torch.zeros(2, 4), n_classes=3, **options)


def test_members_need_an_output_for_each_class() -> None:
    example = torch.zeros(2, 3)
    options = {"layout": None, "n_members": 2, "hidden_sizes": (4,), "dropout": 0.0, "cosine_scale": None}
    own = TableNetwork(3, 5, n_members=2)
    with pytest.raises(
        ValueError, match=r"must return logits of shape \(batch, 3\) for 3 classes, got \(2, 5\)"
    ):
        choose_module(own, {}, example=example, n_classes=3, **options)
    choose_module(own, {}, example=example, n_classes=5, **options)


@pytest.mark.parametrize("shape", [(2, 4), (2, 3, 8, 8)])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_default_networks_may_end_in_a_cosine_for_each_class(shape: tuple[int, ...], n_classes: int) -> None:
    options = {"layout": None, "n_members": 3, "hidden_sizes": (5,), "dropout": 0}
    net = choose_module(None, {}, example=torch.zeros(shape), n_classes=n_classes, cosine_scale=30, **options)
    logits = net(torch.randn(shape, generator=torch.Generator().manual_seed(0)))
    assert logits.shape == ((2, 3, n_classes) if len(shape) == 2 else (2, n_classes))
    assert 0 < logits.abs().max() <= 30 + 1e-4
