"""What one training of a network leaves behind."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from metabalance.estimators.layout import TableLayout
from metabalance.estimators.losses import count_members
from metabalance.estimators.outputs import Output
from metabalance.training import TrainingLoop

REFIT_CHANGES_NOTHING = (
    "refit=True changes nothing here: each member holds out rows of its own, so that all rows are trained on"
)
REFIT_BROKEN_OFF = "the second training, on all rows, was broken off; the network of the first one is kept"


@dataclass(frozen=True)
class Trained:
    """A trained network and how its training went.

    Parameters
    ----------
    module : torch.nn.Module
    layout : TableLayout or None
        What the default network knows of the columns.
    adapted : dict of str to Tensor, or None
        θ' by parameter name, where there are adapted parameters.
    calibrations : dict
        For "meta", and "adapted" where there is such, what held-out rows made of the outputs, or None.
    loop : TrainingLoop
        As training has left it.
    """

    module: nn.Module
    layout: TableLayout | None
    adapted: dict[str, torch.Tensor] | None
    calibrations: dict[str, Output | None]
    loop: TrainingLoop

    @property
    def history(self) -> list[dict[str, float]]:
        """The numbers of every epoch; the training loss is a member's."""
        epochs = [_plain_scalars(epoch) for epoch in self.loop.history]
        for epoch in epochs:
            if "train_loss" in epoch:  # an epoch that was broken off has none
                epoch["train_loss"] /= count_members(self.module)  # summed over them in training
        return epochs

    def how_far_it_got(self, scored: bool) -> str:
        """Say it of a training that was broken off; in one that is scored, that ends an epoch."""
        last = "valid_score" if scored else "train_minority_recall"
        finished = sum(last in epoch for epoch in self.loop.history)
        kept = "the best parameters so far are kept"
        if scored and finished and not self.loop.best_epoch:
            kept = "the parameters as they were are kept, since class weights did not count yet"
        return f"fit was broken off after {finished} finished epoch{'' if finished == 1 else 's'}; {kept}"

    def warn_of_divergence(self) -> None:
        """Say where training diverged, if it did, and what is kept."""
        if self.loop.diverged_:
            warnings.warn(
                f"the parameters of epoch {self.loop.best_epoch}, the best, are kept: {self.loop.diverged_}",
                UserWarning,
                stacklevel=3,
            )


def train_again(first: Trained, train: Callable[[int], Trained]) -> tuple[Trained, int, bool]:
    """Train for as many epochs as were best before.

    Returns
    -------
    kept : Trained
        The second training, or the first where the second was broken off or diverged: what is half trained is
        worth less than what rows were held out from.
    rows_drawn : int
        By the second one.
    broken_off : bool
    """
    try:
        again = train(first.loop.best_epoch)
    except KeyboardInterrupt:
        return first, 0, True
    except FloatingPointError as error:
        warnings.warn(
            f"the second training, on all rows, came to nothing; the first one's network is kept: {error}",
            UserWarning,
            stacklevel=3,
        )
        return first, 0, False
    broken_off = again.loop.interrupted_
    return (first if broken_off else again), again.loop.budget_.rows_drawn, broken_off


def _plain_scalars(epoch: Mapping[str, Any]) -> dict[str, float]:
    """Keep the numbers of an epoch's record; skorch's per-batch lists and best-so-far flags go."""
    return {
        name: value if isinstance(value, int) else float(value)
        for name, value in epoch.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and not name.endswith("_count")
    }
