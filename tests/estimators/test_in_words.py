"""Parameters in words: alike in every process, and apart where they do something else."""

import subprocess
import sys
from functools import partial

import numpy as np
import torch
from imblearn.over_sampling import RandomOverSampler
from torch import nn

from metabalance import Costs
from metabalance.estimators.in_words import in_words
from metabalance.nn import Mixup


def scaled(factor: float):
    def loss(output, target):
        return factor * (output - target).sum()

    return loss


class Knot:
    def __init__(self) -> None:
        self.itself = self


def things() -> list:
    torch.manual_seed(0)
    first = nn.Linear(2, 2)
    return [
        *(Costs(1, 2), Costs(1, 3), Mixup(0.2), Mixup(0.4), len, dict, None, 1, 1.0, "1", [1], {"a": 1}),
        *(RandomOverSampler(), RandomOverSampler(random_state=1)),
        *(scaled(1.0), scaled(2.0), lambda x: x, lambda x: x + 1, lambda x, y=2: x),
        *(partial(scaled, 1.0), partial(scaled, 2.0), Costs(1, 2).__repr__, Costs(1, 3).__repr__),
        *(first, nn.Linear(2, 2), np.arange(3), torch.arange(4), Knot()),
    ]


def test_different_things_are_told_apart_and_equal_ones_are_not() -> None:
    told = [in_words(each) for each in things()]
    assert len(set(told)) == len(told)
    assert told == [in_words(each) for each in things()]
    assert not any("0x" in each for each in told)


def test_they_are_the_same_in_another_process() -> None:
    code = (
        "from tests.estimators.test_in_words import things, in_words; "
        "print('\\n'.join(in_words(each) for each in things()))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = [in_words(each) for each in things()]
    # Of functions in this file the module's name depends on how it was imported.
    assert [line.split()[-1] for line in found.stdout.splitlines()] == [line.split()[-1] for line in here]
