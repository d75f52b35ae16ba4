"""One outer update by several processes: each evaluates its share of the meta steps, one all-reduce sums."""

import torch
from torch import Tensor, distributed, nn

from metabalance.meta.algorithm import OuterGradient
from metabalance.meta.functional import Tensors
from metabalance.meta.statistics import statistics_names

# Modules of these packages take gradients, or parameters, out of autograd's sight.
_WRAPPERS = ("torch.nn.parallel.", "torch.distributed.")


class Exchange:
    """Sums outer gradients over the processes of a group, and averages BatchNorm's statistics.

    All in one all-reduce, of a vector as long as the gradient and a few numbers more. It gives all processes
    the same bits, so that their parameters do not drift apart.

    Parameters
    ----------
    group : torch.distributed.ProcessGroup
    model : torch.nn.Module
        Its parameters and buffers become those of the group's first process.

    Raises
    ------
    TypeError
        If it is no process group.
    ValueError
        If this process is not in the group, or the models of the processes differ in shapes.
    """

    def __init__(self, group: object, model: nn.Module) -> None:
        self.group = check_process_group(group)
        self.statistics = [n for n in statistics_names(model) if not n.endswith("num_batches_tracked")]
        self._check_alike(model)
        first = distributed.get_global_rank(self.group, 0)
        with torch.no_grad():
            for tensor in (*model.parameters(), *model.buffers()):
                distributed.broadcast(tensor, first, self.group)

    def __call__(self, outer: OuterGradient, params: Tensors, buffers: Tensors, mean: bool) -> OuterGradient:
        """Return the update of all meta steps of the group, with a single entry in each of the losses.

        Parameters
        ----------
        outer : OuterGradient
            Of the meta steps of this process.
        params, buffers : dict of str to Tensor
            Trainable parameters, and buffers as they were before the update.
        mean : bool
            Whether gradients and losses are reduced to means over meta steps, or to sums.
        """
        steps = len(outer.query_losses)
        gradients = {n: outer.gradients.get(n, torch.zeros_like(p)) for n, p in params.items()}
        # How far, not where to: statistics that did not move stay as they are to the last bit.
        moves = {n: (outer.buffers[n] - buffers[n]) * steps for n in self.statistics}
        numbers = torch.stack([outer.support_losses.sum(), outer.query_losses.sum()])
        reached_here = [float(name in outer.gradients) for name in params]
        counts = torch.tensor([float(steps), *reached_here], device=numbers.device)
        weight = steps if mean else 1
        vector = _flat([*(g * weight for g in gradients.values()), *moves.values(), numbers, counts])
        distributed.all_reduce(vector, group=self.group)
        sizes = [tensor.numel() for tensor in (*gradients.values(), *moves.values(), numbers, counts)]
        summed = iter(vector.split_with_sizes(sizes))
        gradients = {n: next(summed).view_as(g).to(g.dtype) for n, g in gradients.items()}
        moves = {n: next(summed).view_as(m).to(m.dtype) for n, m in moves.items()}
        support_loss, query_loss = next(summed).to(numbers.dtype).unsqueeze(1)
        all_steps, *reached = next(summed).tolist()
        divisor = all_steps if mean else 1.0
        return OuterGradient(
            {n: g / divisor for (n, g), count in zip(gradients.items(), reached, strict=True) if count},
            support_loss / divisor,
            query_loss / divisor,
            outer.buffers | {n: buffers[n] + move / all_steps for n, move in moves.items()},
        )

    def _check_alike(self, model: nn.Module) -> None:
        shapes = [(name, tuple(tensor.shape)) for name, tensor in model.state_dict().items()]
        everyone: list[object] = [None] * distributed.get_world_size(self.group)
        distributed.all_gather_object(everyone, shapes, group=self.group)
        if any(each != everyone[0] for each in everyone):
            raise ValueError(
                "the model has other parameters or shapes in another process of process_group: build the "
                "same one in all of them"
            )


def check_process_group(group: object) -> distributed.ProcessGroup:
    """Return the group, or raise TypeError or ValueError if it is none that this process is in."""
    if isinstance(group, distributed.ProcessGroup):
        return group
    if group is distributed.GroupMember.NON_GROUP_MEMBER:
        raise ValueError("this process is not in process_group: leave it out here, or make a group with it")
    raise TypeError(
        "process_group must be a torch.distributed.ProcessGroup, such as torch.distributed.group.WORLD after "
        f"init_process_group, got {group!r}"
    )


def check_unwrapped(model: nn.Module) -> None:
    """Raise TypeError for a module that DistributedDataParallel, FSDP and such wrap, or that holds one."""
    for name, part in model.named_modules():
        if any(base.__module__.startswith(_WRAPPERS) for base in type(part).__mro__):
            kind, where = type(part).__name__, f" (its part {name!r})" if name else ""
            raise TypeError(
                f"the model is wrapped by {kind}{where}, which sees only ordinary backward passes: pass the "
                "module inside, and process_group= to share the meta steps out among processes"
            )


def _flat(tensors: list[Tensor]) -> Tensor:
    """All entries in a row, in the widest of the types."""
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
