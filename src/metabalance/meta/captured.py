"""The loop engine on CUDA with its meta step recorded once as a graph, and replayed for all others.

A small kernel runs for less time than Python takes to launch it. A replay launches all kernels of a meta step
at once. It always works on the same memory: batches are copied in, gradients are added up in there.
"""

from collections.abc import Callable, Hashable, Iterator
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from metabalance.meta.algorithm import Algorithm, OuterGradient, meta_gradient
from metabalance.meta.engines import loop, loop_passes
from metabalance.meta.functional import accumulate, copied, first_line
from metabalance.meta.recomputing import Recomputed
from metabalance.meta.update import Update

WARM_UP = 3
"""Meta steps before the recorded one, in which libraries choose kernels and take their workspaces."""

MAX_SITUATIONS = 4
"""Recorded meta steps that are kept, each with memory of its own, for as many kinds of updates."""

Run = Callable[[], None]


class CaptureError(Exception):
    """The meta step of this model cannot be recorded."""


def record_on_cuda(run: Run, device: torch.device) -> Run:
    """Warm up, record what ``run`` launches on ``device``, and return the function that launches it again."""
    with torch.cuda.device(device):
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                run()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            run()
    replay: Run = graph.replay
    return replay


class CapturedEngine:
    """Evaluates outer gradients as `loop` does, by replays of one recorded meta step.

    The first update of each situation (shapes, modes, hooks, parameters and where they lie) is left to
    `loop`, which raises the model's own errors in plain words.

    Parameters
    ----------
    record : callable
        Turns a function into one that does the same again on the same memory.
    """

    def __init__(self, record: Callable[[Run, torch.device], Run] = record_on_cuda) -> None:
        self._record = record
        self._steps: dict[Hashable, _Step | None] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Without what is recorded, which cannot be pickled."""
        return {"_record": self._record, "_steps": {}}

    def __call__(self, algorithm: Algorithm, update: Update) -> OuterGradient:
        """Return the outer gradient; raises CaptureError where the meta step cannot be recorded."""
        if self._record is record_on_cuda and update.device.type != "cuda":
            raise ValueError(
                f"engine='captured' records CUDA graphs, but the model is on {update.device}: use "
                "engine='loop', or move the model and its batches to CUDA"
            )
        if any(isinstance(module, Recomputed) for module in algorithm.model.modules()):
            raise CaptureError("Recomputed blocks read the state of the random generators")
        situation = update.situation(algorithm.model), _addresses(algorithm)
        if situation not in self._steps:
            if len(self._steps) == MAX_SITUATIONS:
                raise CaptureError(f"{MAX_SITUATIONS} kinds of updates are recorded, and here is another one")
            outer = loop(algorithm, update)
            self._steps[situation] = None
            return outer
        step = self._steps[situation]
        if step is None:
            try:
                step = _Step(algorithm, update, self._record)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                raise CaptureError(first_line(error)) from error
            self._steps[situation] = step
        outer = step.replayed(update)
        return outer.mean() if algorithm.reduction == "mean" else outer


def _addresses(algorithm: Algorithm) -> tuple[int, ...]:
    """Where all that the recorded kernels read lies, but for the buffers, which are copied."""
    tensors: Iterator[Tensor] = algorithm.model.parameters()
    if isinstance(algorithm.loss_fn, nn.Module):
        tensors = chain(tensors, algorithm.loss_fn.parameters(), algorithm.loss_fn.buffers())
    return tuple(tensor.data_ptr() for tensor in tensors)


def _cloned(batch: Any) -> Any:
    if isinstance(batch, Tensor):
        return batch.clone()
    if isinstance(batch, dict):
        return {key: _cloned(part) for key, part in batch.items()}
    return tuple(_cloned(part) for part in batch)


class _Step:
    """One meta step, recorded on memory of its own."""

    def __init__(
        self,
        algorithm: Algorithm,
        update: Update,
        record: Callable[[Run, torch.device], Run],
    ) -> None:
        self._algorithm = algorithm
        self._passes = loop_passes(algorithm)
        first = update.meta_step(0)
        self._place = Update(
            update.params, copied(update.buffers), _cloned(first.support), _cloned(first.query)
        )
        self._leaves = self._place.leaves
        self._total = {name: torch.zeros_like(p) for name, p in update.params.items()}
        self._replay = record(self._run, update.device)

    def _run(self) -> None:
        torch.clear_autocast_cache()  # casts of parameters are part of what is recorded
        algorithm = self._algorithm
        step = meta_gradient(self._passes, algorithm.terms, algorithm.inner_lr, algorithm.beta, self._place)
        accumulate(self._total, step.terms)
        self._reached = {name for _, tensors in step.terms for name in tensors}
        self._losses = torch.stack([step.support_losses, step.query_losses])
        for name, moved in step.buffers.items():
            self._place.buffers[name].copy_(moved)

    def replayed(self, update: Update) -> OuterGradient:
        """Run all meta steps; the gradients are summed."""
        for name, buffer in update.buffers.items():
            self._place.buffers[name].copy_(buffer)
        for total in self._total.values():
            total.zero_()
        losses = []
        leaves = update.leaves
        for s in range(update.meta_steps):
            for place, leaf in zip(self._leaves, leaves, strict=True):
                place.copy_(leaf[s])
            self._replay()
            losses.append(self._losses.clone())  # the next replay writes to the same memory
        support_losses, query_losses = torch.stack(losses).unbind(1)
        gradients = {name: total.clone() for name, total in self._total.items() if name in self._reached}
        return OuterGradient(gradients, support_losses, query_losses, copied(self._place.buffers))
