"""MetaGradient: fills ``.grad`` with the outer gradient of Algorithm 1, like ``loss.backward()``."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from metabalance.meta import checks
from metabalance.meta.algorithm import Algorithm
from metabalance.meta.buffers import BUFFER_POLICIES, store_buffers
from metabalance.meta.checks import Batch, LossFunction
from metabalance.meta.dispatch import ENGINES, Dispatcher
from metabalance.meta.exchange import Exchange, check_unwrapped
from metabalance.meta.update import Update

ORDERS = ("exact", "first")
REDUCTIONS = ("mean", "sum")


class MetaLosses(NamedTuple):
    """The losses of one outer update: detached 0-dim tensors, reduced over the meta steps.

    Attributes
    ----------
    total : Tensor
        query + beta · support: the outer loss, whose gradient was taken.
    support : Tensor
        L_X(θ), at the parameters as they are.
    query : Tensor
        L_Z(θ'), at the adapted parameters.
    """

    total: Tensor
    support: Tensor
    query: Tensor


class MetaGradient:
    r"""The gradient of MetaBalance's outer loss, accumulated into ``.grad`` of a model's parameters.

    For S meta steps, each with a support batch X_s and a query batch Z_s, all at the same parameters θ, the
    outer loss of Algorithm 1 is

        reduce_s [ L_Z(θ'_s) + beta · L_X(θ) ],   θ'_s = θ − inner_lr · ∇L_X(θ),

    and its exact gradient, with H_X the Hessian of the support loss,

        reduce_s [ (I − inner_lr · H_X(θ)) · ∇L_Z(θ'_s) + beta · ∇L_X(θ) ].

    The paper writes γ for ``inner_lr`` and η for the outer step in its Algorithm 1, and swaps the two in its
    text. Its sum over meta steps with step η is ``reduction="mean"`` with step η·S.

    Parameters
    ----------
    model : torch.nn.Module
        Any module. Frozen parameters (``requires_grad=False``) get no gradient and are not adapted.
    loss_fn : callable
        ``(output, target) -> scalar tensor``, for one batch. Parameters of its own, if it has any, are not
        trained.
    inner_lr : float
        Size of the inner step, ≥ 0. Zero is plain training on query + beta · support.
    beta : float, default=0.0
        Weight of the support loss at θ in the outer loss, ≥ 0.
    order : {"exact", "first"}, default="exact"
        "first" leaves the Hessian out: ∇L_Z(θ') + beta·∇L_X(θ), without a second-order graph.
    reduction : {"mean", "sum"}, default="mean"
        How the meta steps are reduced, in the gradient and in the losses returned.
    engine : {"auto", "loop", "vectorized", "compiled", "captured"}, default="auto"
        "loop" keeps the graph of one meta step at a time. "vectorized" runs all S at once under
        :func:`torch.func.vmap`: many times faster for small dense nets, slower for convolutions. "compiled"
        is "vectorized" as one function of :func:`torch.compile`: again several times faster, after some
        seconds of compiling, once for each structure of network and batches in a process; where the compiler
        does not work, or batches keep changing their shape, it warns once and uses "vectorized". Both raise
        ValueError for layers that ``vmap`` gets wrong, such as BatchNorm in training mode.

        "auto" takes "loop" unless every parameter is owned by Linear, Bilinear, Embedding, LayerNorm,
        GroupNorm, RMSNorm or PReLU and the model has no buffers; for such a model it takes "compiled" if
        ``updates`` is given and compiling pays for that many
        (:func:`metabalance.meta.choice.pays_to_compile`), else "vectorized" up to 30,000 parameters, "loop"
        above. If the model's own forward cannot be vectorized, it warns once and loops from then on.

        "captured" is "loop" on CUDA with one meta step recorded as a CUDA graph and replayed, for networks
        whose kernels are short; shapes must stay the same, the model must not wait for the GPU, and what its
        forward reads from Python attributes, and a loss from its closure, is as it was when recorded.
    updates : int, optional
        How many times `backward` will be called, as far as that is known; only "auto" asks for it.
    buffers : {"both", "support", "query", "frozen"}, default="both"
        Which passes move running statistics and other buffers, one meta step after the other, support before
        query. In training mode BatchNorm normalises by the batch under every policy.
    process_group : torch.distributed.ProcessGroup, optional
        Processes that share out the meta steps of every update, such as ``torch.distributed.group.WORLD``
        under ``torchrun``. All of them call `backward` with meta steps of their own
        (``MetaBatchStream(…, num_replicas=…, rank=…)``), as many or not, and get the gradient and the losses
        of all meta steps together, to the same bits; parameters and buffers begin as those of the first
        process. One all-reduce of a vector as long as the gradient is all that is sent, whatever S is.
        Running statistics move in each process by its own meta steps, and are then averaged, each process
        weighing as its number of meta steps; other buffers stay with their process. Dropout masks come from
        each process's own generator: seed them differently.

    Notes
    -----
    Dropout draws fresh masks in every pass and meta step. For ``order="exact"`` attention runs on its
    mathematical implementation, since the fused kernels have no second derivative; cuDNN's recurrent layers
    have none either (wrap the call in ``torch.backends.cudnn.flags(enabled=False)``). Use bfloat16 autocast
    by wrapping the call in ``torch.autocast``; float16 with loss scaling is not supported. For very large
    models, wrap blocks in :class:`Recomputed`; torch's own activation checkpointing would compute them again
    at θ instead of θ' and is refused.

    Gradients are written to ``.grad`` directly: hooks on parameters do not run. Under ``vmap``, in all
    engines but "loop" and "captured", hooks on tensors inside the forward pass do not run, and its tensors do
    not say ``requires_grad``. "compiled" does not notice when methods of a class, or hooks for all modules at
    once, change after the first update.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of the above, or the model is wrapped by DistributedDataParallel or FSDP, which
        see ordinary backward passes only: pass the module inside, with ``process_group``.

    References
    ----------
    Bansal et al., "MetaBalance: High-Performance Neural Networks for Class-Imbalanced Data", 2021, Algorithm
    1.

    Examples
    --------
    >>> import torch
    >>> from metabalance.meta import MetaGradient
    >>> model = torch.nn.Linear(3, 2)
    >>> meta = MetaGradient(model, torch.nn.CrossEntropyLoss(), inner_lr=0.1)
    >>> support = torch.randn(4, 24, 3), torch.randint(2, (4, 24))  # 4 meta steps of 24 rows
    >>> query = torch.randn(4, 16, 3), torch.randint(2, (4, 16))
    >>> losses = meta.backward(support, query)
    >>> losses.total.shape, model.weight.grad.shape
    (torch.Size([]), torch.Size([2, 3]))
    """

    def __init__(
        self,
        model: nn.Module,
        loss_fn: LossFunction,
        *,
        inner_lr: float,
        beta: float = 0.0,
        order: str = "exact",
        reduction: str = "mean",
        engine: str = "auto",
        updates: int | None = None,
        buffers: str = "both",
        process_group: ProcessGroup | None = None,
    ) -> None:
        checks.check_model_and_loss(model, loss_fn)
        check_unwrapped(model)
        checks.check_choice("order", order, ORDERS)
        checks.check_choice("reduction", reduction, REDUCTIONS)
        checks.check_choice("engine", engine, ENGINES)
        checks.check_updates(updates)
        checks.check_choice("buffers", buffers, BUFFER_POLICIES)
        self._algorithm = Algorithm(
            model=model,
            loss_fn=loss_fn,
            inner_lr=checks.check_nonnegative("inner_lr", inner_lr),
            beta=checks.check_nonnegative("beta", beta),
            order=order,
            buffers=buffers,
            reduction=reduction,
        )
        self._evaluate = Dispatcher(engine, updates)
        self._exchange = None if process_group is None else Exchange(process_group, model)

    @property
    def engine(self) -> str:
        """The engine in use; "auto" until the first update has decided."""
        return self._evaluate.engine

    @property
    def model(self) -> nn.Module:
        """The model whose gradients are filled."""
        return self._algorithm.model

    @property
    def loss_fn(self) -> LossFunction:
        """The loss, of both loops."""
        return self._algorithm.loss_fn

    @property
    def inner_lr(self) -> float:
        """The step size γ of the inner step."""
        return self._algorithm.inner_lr

    def backward(self, support: tuple[Batch, Batch], query: tuple[Batch, Batch]) -> MetaLosses:
        """Accumulate the outer gradient into ``.grad``, as ``loss.backward()`` would; parameters do not move.

        A parameter that no loss reaches keeps its ``.grad`` as it is. Gradients and buffers are written when
        all else has succeeded: after an exception the model is as before.

        Parameters
        ----------
        support, query : pair (inputs, targets)
            Tensors of shape (S, batch, ...) with S meta steps; the two batch sizes may differ. Inputs may be
            a tuple of tensors (``model(*inputs)``) or a dict (``model(**inputs)``), targets whatever
            structure of tuples and dicts ``loss_fn`` takes, always with the same leading S in each tensor.

        Returns
        -------
        MetaLosses
            The total, support and query losses.

        Raises
        ------
        FloatingPointError
            If a loss or the gradient is not finite; the message names the meta step or the parameters.
        TypeError, ValueError
            If gradients are switched off, shapes disagree, the model has no trainable parameter, the loss is
            not a scalar or depends on none, or a vectorized engine meets a module that writes to its buffers.
        """
        model = self._algorithm.model
        checks.check_gradients_enabled()
        checks.check_meta_steps(support, query)
        update = Update(
            checks.trainable_parameters(model),
            dict(model.named_buffers()),
            (support[0], support[1]),
            (query[0], query[1]),
        )
        outer = own = self._evaluate(self._algorithm, update)
        if self._exchange is not None:
            mean = self._algorithm.reduction == "mean"
            outer = self._exchange(own, update.params, update.buffers, mean)
        if not bool(outer.is_finite()):
            checks.check_losses_finite(
                {"support": own.support_losses, "query": own.query_losses}, "meta step"
            )
            checks.check_gradients_finite(own.gradients)
            checks.check_finite_elsewhere([*outer.gradients.values(), *outer[1:3]])
        store_buffers(update.buffers, outer.buffers)
        accumulate(update.params, outer.gradients)

        reduce = Tensor.mean if self._algorithm.reduction == "mean" else Tensor.sum
        support_loss, query_loss = reduce(outer.support_losses), reduce(outer.query_losses)
        total = torch.add(query_loss, support_loss, alpha=self._algorithm.beta)
        return MetaLosses(total, support_loss, query_loss)


def accumulate(params: dict[str, Tensor], gradients: dict[str, Tensor]) -> None:
    """Add to ``.grad`` in place, or set it where there is none yet, laid out in memory like its parameter.

    Fused optimizers take both by their position in memory and do not check that they match.
    """
    with torch.no_grad():
        for name, gradient in gradients.items():
            parameter = params[name]
            if parameter.grad is not None:
                parameter.grad.add_(gradient)
            elif gradient.stride() == parameter.stride():
                parameter.grad = gradient
            else:
                parameter.grad = torch.empty_like(parameter).copy_(gradient)
