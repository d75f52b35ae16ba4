"""The outer update of Algorithm 1 as plain PyTorch, TorchOpt and higher would have it.

Each function runs one whole update of the model's parameters: exact gradient of the mean query loss at
θ' = θ − inner_lr·∇L_X(θ), over S meta steps, then the outer optimizer's step.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Task:
    """What every way of computing the update is given. The batches have S in front."""

    model: nn.Module
    loss_fn: Callable[[Tensor, Tensor], Tensor]
    optimizer: torch.optim.Optimizer
    inner_lr: float
    support: Pair
    query: Pair

    @property
    def meta_steps(self) -> int:
        """S."""
        return len(self.query[1])

    def batches(self) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """The support and query batch of each meta step."""
        return list(zip(*self.support, *self.query, strict=True))


def sgd_step(task: Task) -> Callable[[], None]:
    """One ordinary step on all rows of the batches together."""
    x = torch.cat([part.flatten(0, 1) for part in (task.support[0], task.query[0])])
    y = torch.cat([part.flatten(0, 1) for part in (task.support[1], task.query[1])])

    def step() -> None:
        task.optimizer.zero_grad()
        task.loss_fn(task.model(x), y).backward()
        task.optimizer.step()

    return step


def create_graph_loop(task: Task) -> Callable[[], None]:
    """Plain PyTorch: a graph through the inner step of every meta step, and one backward pass."""

    def update() -> None:
        task.optimizer.zero_grad()
        params = dict(task.model.named_parameters())
        total = torch.zeros(())
        for x, y, z, t in task.batches():
            loss = task.loss_fn(functional_call(task.model, params, (x,)), y)
            gradients = torch.autograd.grad(loss, list(params.values()), create_graph=True)
            adapted = {
                name: parameter - task.inner_lr * gradient
                for (name, parameter), gradient in zip(params.items(), gradients, strict=True)
            }
            total = total + task.loss_fn(functional_call(task.model, adapted, (z,)), t)
        (total / task.meta_steps).backward()
        task.optimizer.step()

    return update


def torchopt_metasgd(task: Task) -> Callable[[], None]:
    """TorchOpt's differentiable optimizer, as in the few-shot example of its documentation."""
    import torchopt

    inner = torchopt.MetaSGD(task.model, lr=task.inner_lr)

    def update() -> None:
        task.optimizer.zero_grad()
        model_state = torchopt.extract_state_dict(task.model, by="reference", detach_buffers=True)
        inner_state = torchopt.extract_state_dict(inner, by="reference")
        for x, y, z, t in task.batches():
            inner.step(task.loss_fn(task.model(x), y))
            (task.loss_fn(task.model(z), t) / task.meta_steps).backward()
            torchopt.recover_state_dict(task.model, model_state)
            torchopt.recover_state_dict(inner, inner_state)
        task.optimizer.step()

    return update


def higher_innerloop(task: Task) -> Callable[[], None]:
    """higher's inner loop context, as in the MAML example of its repository."""
    import higher

    inner = torch.optim.SGD(task.model.parameters(), lr=task.inner_lr)

    def update() -> None:
        task.optimizer.zero_grad()
        for x, y, z, t in task.batches():
            with higher.innerloop_ctx(task.model, inner, copy_initial_weights=False) as (net, stepper):
                stepper.step(task.loss_fn(net(x), y))
                (task.loss_fn(net(z), t) / task.meta_steps).backward()
        task.optimizer.step()

    return update
