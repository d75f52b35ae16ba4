"""The small functional operations."""

import torch

from metabalance.meta.functional import (
    accumulate,
    aliases_of,
    edges_of,
    gradients_of,
    hessian_product,
    part_of,
    weighted_sum,
)


def test_hessian_product_of_a_quadratic():
    matrix = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    theta = torch.tensor([1.0, -3.0], dtype=torch.float64, requires_grad=True)
    gradients = gradients_of(0.5 * theta @ matrix @ theta, {"theta": theta}, "support", create_graph=True)
    vector = torch.tensor([0.3, 0.7], dtype=torch.float64)
    torch.testing.assert_close(
        hessian_product(edges_of(gradients), {"theta": theta}, {"theta": vector})["theta"], matrix @ vector
    )


def test_a_linear_loss_has_no_hessian():
    theta = torch.ones(2, requires_grad=True)
    gradients = gradients_of(theta.sum(), {"theta": theta}, "support", create_graph=True)
    assert hessian_product(edges_of(gradients), {"theta": theta}, {"theta": torch.ones(2)}) == {}


def test_gradients_leave_out_what_is_not_reached():
    used, unused = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    gradients = gradients_of(used.pow(2).sum(), {"used": used, "unused": unused}, "query")
    assert gradients.keys() == {"used"}
    assert torch.equal(gradients["used"], torch.full((2,), 2.0))


def test_weighted_sum_joins_names_and_leaves_its_terms_alone():
    a, b = torch.ones(2), torch.full((2,), 3.0)
    total = weighted_sum([(1.0, {"x": a}), (-2.0, {"x": b, "y": b})])
    assert torch.equal(total["x"], torch.full((2,), -5.0))
    assert torch.equal(total["y"], torch.full((2,), -6.0))
    assert torch.equal(a, torch.ones(2))


def test_terms_are_added_in_place():
    total = {"x": torch.ones(2), "y": torch.zeros(2)}
    before = total["x"]
    accumulate(total, [(None, {"x": torch.ones(1).expand(2)}), (-0.5, {"x": torch.full((2,), 4.0)})])
    assert total["x"] is before
    assert torch.equal(before, torch.zeros(2))
    assert torch.equal(total["y"], torch.zeros(2))


def test_aliases_are_the_later_names_of_tensors_in_several_modules():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 2))
    assert aliases_of(model) == {}
    model.append(model[1])  # the same module: its tensors are in one place
    model[2].weight = model[0].weight
    model.extend([torch.nn.BatchNorm1d(2)])
    model[4].running_mean = model[1].running_mean
    assert aliases_of(model) == {"2.weight": "0.weight", "4.running_mean": "1.running_mean"}


def test_part_of_goes_through_tuples_and_dicts():
    x = torch.arange(6).view(3, 2)
    part = part_of(({"a": x}, (x, x + 1)), 1)
    assert torch.equal(part[0]["a"], torch.tensor([2, 3]))
    assert torch.equal(part[1][1], torch.tensor([3, 4]))
    assert torch.equal(part_of(x, slice(1, 3)), x[1:])
