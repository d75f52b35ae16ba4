"""Sharpness-aware minimisation as an update rule."""

from torch import Tensor, nn

from metabalance.meta.checks import trainable_parameters
from metabalance.meta.functional import LossOf, aliases_of, copied, gradients_of, loss_at
from metabalance.meta.gradient import accumulate
from metabalance.nn import LossFunction
from metabalance.sampling import BatchStream
from metabalance.training.rules import BatchRule

_SMALLEST_NORM = 1e-12


class SAM(BatchRule):
    r"""Plain training by the gradient at the worst place nearby, so that flat minima are found [1]_.

    The parameters θ move by the gradient of a batch's loss at :math:`\theta + \rho \, g / \|g\|`, where g is
    the gradient at θ of the same batch. Each update takes two passes over its rows, which count once. Running
    statistics of BatchNorm follow the first one only. In an ensemble the norm is that of all members
    together.

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
        super().__init__(module, loss_fn, stream)
        self.rho = rho
        self._loss_of = LossOf(module, loss_fn)

    def backward(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Accumulate the gradient nearby, and return the loss at θ."""
        loss = self.loss(batch)
        params = trainable_parameters(self.module)
        here = gradients_of(loss, params, "batch")
        norm = nn.utils.get_total_norm(list(here.values())).clamp_min(_SMALLEST_NORM)
        nearby = {
            name: (p.detach() + self.rho / norm * here[name] if name in here else p.detach()).requires_grad_()
            for name, p in params.items()
        }
        buffers = copied(dict(self.module.named_buffers()))
        there, _ = loss_at(self._loss_of, nearby, buffers, batch, aliases_of(self.module))
        accumulate(params, gradients_of(there, nearby, "batch"))
        return loss.detach()
