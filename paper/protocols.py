"""The three protocols: how rows are split and scaled, and which epoch is reported."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import Tensor

PROTOCOLS = {
    "paper": "the text of the paper, and where it is silent what the authors released: one fixed split, an "
    "epoch = one pass of the query stream, losses averaged over 81 meta steps, the last epoch reported",
    "released": "as the authors' released program: besides, first-order gradients, dropout on while "
    "scoring, scaling fitted to all rows before the split, on fraud β 0.01 and weight decay 5e-4",
    "sound": "a stratified split of its own for every run (64 % training, 16 % validation, 20 % test), "
    "scaling fitted to the training rows, evaluation mode, the epoch and every choice made on the "
    "validation rows",
}
TEST_SIZE = 0.2
FIXED_SPLIT = 0
OVERLAP = {"paper": 0.0, "released": 0.0, "sound": TEST_SIZE / (1 - TEST_SIZE)}
"""Rows tested over all others (those that choose the epoch count as trained on), where every run has a random
split of its own; 0 for one fixed split."""


@dataclass(frozen=True)
class Part:
    """Scaled rows: x of shape (n, features) in float32, y of shape (n,) with 0 and 1."""

    x: Tensor
    y: NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """The rows of one run; ``valid`` is None where the protocol reports the last epoch."""

    train: Part
    valid: Part | None
    test: Part


def make_split(X: NDArray[np.float64], y: NDArray[np.int64], protocol: str, run: int) -> Split:
    """Split and scale the rows for one run."""
    rows = np.arange(len(y))
    if protocol == "sound":
        train, test = train_test_split(rows, test_size=TEST_SIZE, stratify=y, random_state=run)
        train, valid = train_test_split(train, test_size=TEST_SIZE, stratify=y[train], random_state=run)
    else:
        train, test = train_test_split(rows, test_size=TEST_SIZE, random_state=FIXED_SPLIT)
        valid = None
    scaler = StandardScaler().fit(X if protocol == "released" else X[train])

    def part(chosen: NDArray[np.intp]) -> Part:
        return Part(torch.from_numpy(scaler.transform(X[chosen]).astype(np.float32)), y[chosen])

    return Split(part(train), None if valid is None else part(valid), part(test))
