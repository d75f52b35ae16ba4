"""One outer update: what it is computed from, and what makes two of them alike."""

from collections.abc import Hashable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from metabalance.meta.checks import pair_leaves
from metabalance.meta.functional import Pair, Tensors, part_of


class Update(NamedTuple):
    """Where the model is, and the batches of all meta steps, or of one: then without their leading dimension.

    ``params`` are the trainable ones.
    """

    params: Tensors
    buffers: Tensors
    support: Pair
    query: Pair

    @property
    def leaves(self) -> list[Tensor]:
        """The tensors of the batches."""
        return [leaf for _, leaf in self._named_leaves()]

    @property
    def meta_steps(self) -> int:
        """S, where the batches are of all meta steps."""
        return self.leaves[0].shape[0]

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(iter(self.params.values())).device

    def meta_step(self, index: int) -> "Update":
        """The same with the batches of one meta step."""
        return self._replace(support=part_of(self.support, index), query=part_of(self.query, index))

    def situation(self, model: nn.Module) -> Hashable:
        """What a recorded or compiled computation depends on, but for the numbers: another one needs another.

        That is modes and hooks of modules, names and dtypes of tensors, shapes, and autocast.
        """
        kind = self.device.type
        return (
            tuple(
                (module.training, *module._forward_pre_hooks.values(), *module._forward_hooks.values())
                for module in model.modules()
            ),
            tuple((name, p.dtype) for name, p in self.params.items()),
            tuple((name, b.shape, b.dtype) for name, b in self.buffers.items()),
            tuple((name, leaf.shape, leaf.dtype, leaf.device) for name, leaf in self._named_leaves()),
            torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind),
        )

    def _named_leaves(self) -> list[tuple[str, Tensor]]:
        return pair_leaves(self.support, "") + pair_leaves(self.query, "")
