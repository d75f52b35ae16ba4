"""What training batches may go through: augmentation and mixing, by name or as an object."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from metabalance.nn import CropAndFlip, CutMix, LossFunction, MixedLoss, Mixing, Mixup
from metabalance.sampling.stored import StoredRows
from metabalance.training import Augmentation, ChangedBatches, UpdateRule

PADDED_SHARE = 8  # a crop may move by an eighth of the shorter side, 4 of 32 pixels
MIXINGS: Mapping[str, type[Mixing]] = {"mixup": Mixup, "cutmix": CutMix}
AUGMENTATIONS = ("crop-and-flip", "crop")


def check_augment(augment: Any) -> None:
    """Raise unless augment is a known name, a callable or None."""
    if isinstance(augment, str) and augment not in AUGMENTATIONS:
        names = ", ".join(map(repr, AUGMENTATIONS))
        raise ValueError(f"augment must be one of {names}, a callable or None, got {augment!r}")
    if isinstance(augment, type) or not (augment is None or isinstance(augment, str) or callable(augment)):
        raise TypeError(
            f"augment must be a name, a callable (rows, generator) -> rows or None, got {augment!r}"
        )


def check_mixing(mixing: Any) -> None:
    """Raise unless mixing is a known name, a `Mixing` or None."""
    if isinstance(mixing, str) and mixing not in MIXINGS:
        raise ValueError(
            f"mixing must be one of {', '.join(map(repr, MIXINGS))}, a metabalance.nn.Mixing or None, got "
            f"{mixing!r}"
        )
    if not isinstance(mixing, str | Mixing | None):
        raise TypeError(
            "mixing must be a name, a metabalance.nn.Mixing such as Mixup(alpha=0.2), or None, got "
            f"{mixing!r}"
        )


@dataclass(frozen=True)
class Changes:
    """What batches of one fit go through, and what that asks of its loss and its update rule."""

    augment: Augmentation | None
    mixing: Mixing | None

    @classmethod
    def chosen(cls, augment: Any, mixing: Any, rows: Tensor | StoredRows) -> "Changes":
        """Return the changes that the parameters mean for encoded rows of shape (n, …)."""
        is_image = rows.ndim == 4
        chosen = MIXINGS[mixing]() if isinstance(mixing, str) else mixing
        for name, value, needs_images in (
            ("augment", augment, isinstance(augment, str)),
            ("mixing", mixing, isinstance(chosen, CutMix)),
        ):
            if needs_images and not is_image:
                raise ValueError(
                    f"{name}={value!r} is for images of shape (n, channels, height, width), got rows of "
                    f"shape {tuple(rows.shape[1:])}: leave it out"
                )
        if isinstance(augment, str):
            augment = CropAndFlip(
                padding=min(rows.shape[2:]) // PADDED_SHARE, flip=augment == "crop-and-flip"
            )
        return cls(augment, chosen)

    def loss(self, loss_fn: LossFunction) -> LossFunction:
        """Return the loss, of mixed labels, too, where batches are mixed."""
        return loss_fn if self.mixing is None else MixedLoss(loss_fn)

    def rule(self, rule: UpdateRule, seed: int) -> UpdateRule:
        """Return the rule with its batches changed."""
        if self.augment is None and self.mixing is None:
            return rule
        return ChangedBatches(rule, self.augment, self.mixing, seed)
