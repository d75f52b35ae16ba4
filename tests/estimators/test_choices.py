"""What an option may be and what it becomes; wrong ones are in test_base."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score, make_scorer, roc_auc_score
from torch import nn

from metabalance.estimators.choices import (
    choose_loss,
    choose_module,
    choose_optimizer,
    choose_score,
    loss_on_outputs,
    roc_auc,
)
from metabalance.nn import TableNetwork

CPU = torch.device("cpu")
PROBA = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
CODES = np.array([0, 1, 1, 0])
LABELS = np.array(["no", "yes"])


def test_scores_are_those_of_scikit_learn() -> None:
    by_rank = choose_score("roc_auc", LABELS, np.array([9, 1]))(PROBA, CODES)
    assert by_rank == roc_auc_score(CODES, PROBA[:, 1])
    by_name = choose_score("average_precision", LABELS, np.array([9, 1]))(PROBA, CODES)
    assert by_name == average_precision_score(CODES, PROBA[:, 1])
    own = make_scorer(f1_score, pos_label="yes")
    assert choose_score(own, LABELS, np.array([9, 1]))(PROBA, CODES) == f1_score(CODES, PROBA.argmax(axis=1))


@pytest.mark.parametrize("decimals", [1, 3, 16])
def test_roc_auc_is_that_of_scikit_learn_with_and_without_ties(decimals: int) -> None:
    rng = np.random.default_rng(0)
    codes = (rng.random(500) < 0.1).astype(np.int64)
    risk = np.clip(rng.normal(0.4 + 0.2 * codes, 0.2), 0, 1).round(decimals)
    found = roc_auc(np.stack([1 - risk, risk], axis=1), codes)
    assert found == pytest.approx(roc_auc_score(codes, risk), rel=1e-12)


@pytest.mark.parametrize(("codes", "found"), [([0, 0], "2 of one and 0"), ([1, 1], "0 of one and 2")])
def test_roc_auc_needs_both_classes(codes: list[int], found: str) -> None:
    with pytest.raises(ValueError, match=f"rows of both classes, got {found} of the other"):
        roc_auc(PROBA[:2], np.array(codes))


@pytest.mark.parametrize("name", ["average_precision", "f1", "recall", "roc_auc", "balanced_accuracy"])
def test_named_scores_are_about_the_rarer_class(name: str) -> None:
    as_it_is = choose_score(name, np.array(["common", "rare"]), np.array([9, 1]))(PROBA, CODES)
    alphabet_turned = choose_score(name, np.array(["fraud", "ok"]), np.array([1, 9]))
    assert alphabet_turned(PROBA[:, ::-1], 1 - CODES) == as_it_is


def test_many_classes_are_scored_one_against_the_rest() -> None:
    rng = np.random.default_rng(0)
    proba, codes = rng.dirichlet([1, 1, 1], 30), rng.integers(3, size=30)
    expected = roc_auc_score(codes, proba, multi_class="ovr")
    found = choose_score("roc_auc_ovr", np.arange(3), np.array([1, 1, 1]))(proba, codes)
    assert found == pytest.approx(expected)


def test_a_score_for_two_classes_is_refused_for_three_before_training() -> None:
    with pytest.raises(ValueError, match="scoring='f1' cannot score 3 classes: Target is multiclass"):
        choose_score("f1", np.arange(3), np.array([5, 5, 5]))


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


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_class_weights_count_by_their_ratio(scale: float) -> None:
    codes = np.array([0, 0, 0, 1])
    loss = choose_loss("cross_entropy", {"no": scale, "yes": 3 * scale}, LABELS, codes, CPU)
    # (1 + 1 + 1 + 3) / 4 = 1.5 is scaled to 1; at logits 0 every row costs log 2.
    value = loss(torch.zeros(2, 2), torch.tensor([0, 1])).item()
    assert value == pytest.approx((1 + 3) / 1.5 / 2 * np.log(2), rel=1e-6)


def test_logit_adjustment_takes_the_frequencies_of_the_training_part() -> None:
    loss = choose_loss("logit_adjusted", None, LABELS, np.array([0] * 9 + [1]), CPU)
    # Equal logits then predict the frequencies: rows of the class with a tenth of them cost log 10.
    assert loss(torch.zeros(1, 1), torch.tensor([1])).item() == pytest.approx(np.log(10), rel=1e-6)
    assert loss(torch.zeros(1, 1), torch.tensor([0])).item() == pytest.approx(np.log(10 / 9), rel=1e-5)


@pytest.mark.parametrize("loss", ["cross_entropy", "focal"])
def test_effective_numbers_weigh_the_classes_of_the_training_part(loss: str) -> None:
    codes = np.repeat([0, 1], [2000, 20])
    weighted = choose_loss(loss, "effective_number", LABELS, codes, CPU)
    cost = [weighted(torch.zeros(1, 2), torch.tensor([code])).item() for code in (0, 1)]
    # As many rows as 20 are worth, over as many as 2,000 are worth.
    expected = sum(0.999**i for i in range(2000)) / sum(0.999**i for i in range(20))
    assert cost[1] / cost[0] == pytest.approx(expected, rel=1e-5)
    plain = choose_loss(loss, None, LABELS, codes, CPU)(torch.zeros(1, 2), torch.tensor([0])).item()
    assert (2000 * cost[0] + 20 * cost[1]) / 2020 == pytest.approx(plain, rel=1e-5)


def test_own_losses_get_class_logits() -> None:
    seen = []

    def mine(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        seen.append(logits)
        return logits.sum()

    chosen = choose_loss(mine, None, LABELS, CODES, CPU)
    loss_on_outputs(chosen, nn.Linear(3, 1), None)(torch.tensor([[2.0]]), torch.tensor([1]))
    assert seen[0].tolist() == [[0.0, 2.0]]


def test_own_losses_get_the_logits_of_all_members_as_rows() -> None:
    seen = []

    def mine(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        seen.append((logits, target))
        return nn.functional.cross_entropy(logits, target)

    chosen = choose_loss(mine, None, LABELS, CODES, CPU)
    net = TableNetwork(2, 1, n_members=3, hidden_sizes=(4,))
    output, target = net(torch.randn(5, 2)), torch.tensor([0, 1, 0, 0, 1])
    found = loss_on_outputs(chosen, net, None)(output, target)
    logits, targets = seen[0]
    assert logits.shape == (15, 2)
    assert targets.tolist() == target.repeat_interleave(3).tolist()
    each = [nn.functional.binary_cross_entropy_with_logits(output[:, m, 0], target.float()) for m in range(3)]
    torch.testing.assert_close(found, sum(each))


class Sized(nn.Module):
    def __init__(self, n_inputs: int, n_outputs: int, bias: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(n_inputs, n_outputs, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x)


@pytest.mark.parametrize(("n_classes", "n_outputs"), [(2, 1), (3, 3)])
def test_sizes_are_filled_in(n_classes: int, n_outputs: int) -> None:
    options = {"n_classes": n_classes, "layout": None, "n_members": 3, "hidden_sizes": (5,), "dropout": 0}
    built = choose_module(Sized, {"bias": False}, example=torch.zeros(2, 4), **options)
    assert built.linear.weight.shape == (n_outputs, 4)
    assert built.linear.bias is None
    default = choose_module(None, {}, example=torch.zeros(2, 4), **options)
    shapes = [(3, 4, 5), (3, 5), (3, 5, n_outputs), (3, n_outputs)]
    assert [tuple(p.shape) for p in default.parameters()] == shapes


def test_a_flat_output_is_one_logit() -> None:
    flat = nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))
    options = {"layout": None, "n_members": 1, "hidden_sizes": (), "dropout": 0}
    assert choose_module(flat, {}, example=torch.zeros(2, 4), n_classes=2, **options) is not flat
    with pytest.raises(ValueError, match=r"logits of shape \(batch, 3\) for 3 classes, got \(2,\)"):
        choose_module(flat, {}, example=torch.zeros(2, 4), n_classes=3, **options)


def test_roc_auc_of_many_classes_has_another_name() -> None:
    with pytest.raises(ValueError, match="scoring='roc_auc' is for two classes, got 3: use 'roc_auc_ovr'"):
        choose_score("roc_auc", np.arange(3), np.array([5, 3, 2]))


def test_members_need_an_output_for_each_class() -> None:
    example = torch.zeros(2, 3)
    options = {"layout": None, "n_members": 2, "hidden_sizes": (4,), "dropout": 0.0}
    own = TableNetwork(3, 5, n_members=2)
    with pytest.raises(
        ValueError, match=r"must return logits of shape \(batch, 3\) for 3 classes, got \(2, 5\)"
    ):
        choose_module(own, {}, example=example, n_classes=3, **options)
    choose_module(own, {}, example=example, n_classes=5, **options)
