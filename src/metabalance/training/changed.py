"""Training batches changed on their way to an update: augmented, and mixed with one another."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Generator, Tensor

from metabalance.nn import Mixing
from metabalance.training.rules import RuleAround, UpdateRule

Augmentation = Callable[[Tensor, Generator], Tensor]
Pair = tuple[Any, Any]


class ChangedBatches(RuleAround):
    """An update rule whose batches are augmented, and whose batches or query batches are mixed.

    What predictions are made with, such as BatchNorm's statistics and θ', is taken from rows as they are.

    Parameters
    ----------
    rule : UpdateRule
        With `metabalance.nn.MixedLoss` as its loss where batches are mixed.
    augment : callable, optional
        ``(rows, generator) -> rows`` of the same shape (…, *shape of a row).
    mixing : Mixing, optional
        Mixes the batch of plain training, and the query batch of each meta step, one at a time.
    seed : int
        Of the random changes, which are drawn on the CPU.
    """

    def __init__(
        self, rule: UpdateRule, augment: Augmentation | None, mixing: Mixing | None, seed: int
    ) -> None:
        super().__init__(rule)
        self.augment = augment
        self.mixing = mixing
        self.generator = Generator().manual_seed(seed)

    def state_dict(self) -> dict[str, Any]:
        """Return the rule's state and that of the random changes."""
        return {"rule": self.rule.state_dict(), "generator": self.generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.rule.load_state_dict(state["rule"])
        self.generator.set_state(state["generator"])

    def draw(self) -> Any:
        """Return the rule's next batch, changed."""
        batch = self.rule.draw()
        if isinstance(batch[0], Tensor):
            return self._mixed(self._augmented(batch))
        support, query = map(self._augmented, batch)
        if self.mixing is None:
            return support, query
        steps = [self._mixed((x, y)) for x, y in zip(*query, strict=True)]
        rows = torch.stack([x for x, _ in steps])
        parts = [torch.stack(part) for part in zip(*(target for _, target in steps), strict=True)]
        return support, (rows, tuple(parts))

    def _augmented(self, pair: Pair) -> Pair:
        x, y = pair
        if self.augment is None:
            return x, y
        changed = self.augment(x, self.generator)
        if _kind(changed) != _kind(x):
            raise ValueError(
                f"augment must return a tensor like the one given, {_kind(x)}, got {_kind(changed)}"
            )
        return changed, y

    def _mixed(self, pair: Pair) -> Pair:
        if self.mixing is None:
            return pair
        batch = self.mixing(*pair, self.generator)
        return batch.x, batch.target


def _kind(rows: Any) -> str:
    if not isinstance(rows, Tensor):
        return type(rows).__name__
    return f"{rows.dtype} of shape {tuple(rows.shape)} on {rows.device.type}"
