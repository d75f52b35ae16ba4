"""Sharpness-aware minimisation as an update rule."""

import math

from torch import Tensor, nn

from metabalance.meta.checks import check_scalar, trainable_parameters
from metabalance.meta.functional import LossOf, aliases_of, copied, gradients_of, loss_at
from metabalance.meta.gradient import accumulate
from metabalance.nn import LossFunction
from metabalance.sampling import BatchStream
from metabalance.training.rules import UpdateRule

_SMALLEST_NORM = 1e-12


class SAM(UpdateRule):
    r"""Plain training by the gradient at the worst place nearby, so that flat minima are found [1]_.

    The parameters θ move by the gradient of a batch's loss at :math:`\theta + \rho \, g / \|g\|`, where g is
    the gradient at θ of the same batch. Each update takes two passes over its rows. Running statistics of
    BatchNorm follow the first one only. In an ensemble the norm is that of all members together.

    Parameters
    ----------
    module : torch.nn.Module
    loss_fn : callable
    stream : BatchStream
    rho : float
        Radius, above 0; the paper takes 0.05 for most of its tasks.

    References
    ----------
    .. [1] Foret, Kleiner, Mobahi, Neyshabur. Sharpness-Aware Minimization for Efficiently Improving
       Generalization. ICLR 2021, algorithm 1.
    """

    def __init__(self, module: nn.Module, loss_fn: LossFunction, stream: BatchStream, rho: float) -> None:
        self.module = module
        self.loss_of = LossOf(module, loss_fn)
        self.stream = stream
        self.rho = rho

    @property
    def rows_per_update(self) -> int:
        """The batch size: rows count once, though they are passed twice."""
        return self.stream.batch_size

    def draw(self) -> tuple[Tensor, Tensor]:
        """Return x (batch, …) and y (batch,)."""
        return self.stream.draw()

    def backward(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Accumulate the gradient nearby, and return the loss at θ."""
        loss = check_scalar(self.loss_of(*batch))
        value = loss.item()
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss of a batch is {value}: lower lr, or look for huge features")
        params = trainable_parameters(self.module)
        here = gradients_of(loss, params, "batch")
        norm = nn.utils.get_total_norm(list(here.values())).clamp_min(_SMALLEST_NORM)
        nearby = {
            name: (p.detach() + self.rho / norm * here[name] if name in here else p.detach()).requires_grad_()
            for name, p in params.items()
        }
        buffers = copied(dict(self.module.named_buffers()))
        there, _ = loss_at(self.loss_of, nearby, buffers, batch, aliases_of(self.module))
        accumulate(params, gradients_of(there, nearby, "batch"))
        return loss.detach()
