import numpy as np
import torch

from metabalance.training import Holdouts, PartInMemory, look_at_members, look_at_parts


def part(codes):
    codes = np.asarray(codes)
    return PartInMemory(torch.arange(len(codes)).float()[:, None], torch.from_numpy(codes), codes)


def test_parts_are_looked_at_by_the_network_as_it_is_now() -> None:
    state = [0.25]
    look = look_at_parts(lambda: lambda x: np.full((len(x), 2), state[0]), part([0, 1]), part([1]))
    state[0] = 0.5
    train, valid = look()
    assert train.probabilities.tolist() == [[0.5, 0.5]] * 2
    assert (valid.probabilities.tolist(), valid.codes.tolist()) == ([[0.5, 0.5]], [1])
    assert look_at_parts(lambda: lambda x: np.zeros((len(x), 2)), part([0, 1]), None)()[1] is None


def test_rows_are_judged_by_the_members_that_hold_them_out() -> None:
    holdouts = Holdouts(
        np.array([0, 1, 2]), np.array([[True, False, False], [False, True, True], [False, False, True]])
    )
    of_members = np.array([[0.1, 0.2, 0.4], [0.3, 0.5, 0.9], [0.0, 0.8, 0.7]])  # of class 1, rows × members
    probabilities = np.stack([1 - of_members, of_members], axis=2)

    def predict(x):
        if x.ndim == 2:
            return probabilities[x[:, 0].int()]
        return probabilities[x[:, :, 0].int(), np.arange(3)]  # each member has rows of its own

    look = look_at_members(lambda: predict, part([0, 1, 1]), holdouts, np.array([2, 0]))
    train, valid = look()
    np.testing.assert_allclose(valid.probabilities[:, 1], [0.1, 0.7, 0.7])
    np.testing.assert_allclose(train.probabilities[:, 1], [0.4, 0.3])
    assert (train.codes.tolist(), valid.codes.tolist()) == ([1, 0], [0, 1, 1])


def test_rows_that_no_member_holds_out_do_not_judge() -> None:
    holdouts = Holdouts(np.array([0, 1, 2, 1]), np.array([[True, False], [False, False], [False, True]]))
    of_members = np.array([[0.1, 0.2], [0.3, 0.5], [0.6, 0.8], [0.9, 0.9]])

    def predict(x):
        if x.ndim == 2:
            return np.stack([1 - of_members, of_members], axis=2)[x[:, 0].int()]
        chosen = of_members[x[:, :, 0].int(), np.arange(2)]
        return np.stack([1 - chosen, chosen], axis=2)

    _, valid = look_at_members(lambda: predict, part([0, 1, 1, 0]), holdouts, np.array([1, 3]))()
    np.testing.assert_allclose(valid.probabilities[:, 1], [0.1, 0.8])
    assert valid.codes.tolist() == [0, 1]
