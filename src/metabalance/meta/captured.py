"""The loop engine on CUDA with its meta step recorded once as a graph, and replayed for all others.

A small kernel runs for less time than Python takes to launch it. A replay launches all kernels of a meta step
at once. It always works on the same memory: batches are copied in, gradients are added up in there.
"""

from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor

from metabalance.meta.algorithm import Algorithm, OuterGradient, meta_gradient
from metabalance.meta.checks import pair_leaves
from metabalance.meta.engines import loop, loop_passes
from metabalance.meta.functional import Pair, Tensors, accumulate, copied, first_line, part_of

WARM_UP = 3
"""Meta steps before the recorded one, in which libraries choose kernels and take their workspaces."""

Run = Callable[[], None]


class CaptureError(Exception):
    """The meta step of this model cannot be recorded."""


def record_on_cuda(run: Run) -> Run:
    """Warm up, record what ``run`` launches, and return the function that launches it again."""
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

    The first update of each situation (shapes, mode, parameters and where they lie) is left to `loop`, which
    raises the model's own errors in plain words and tells which parameters a loss reaches.

    Parameters
    ----------
    record : callable
        Turns a function into one that does the same again on the same memory.
    """

    def __init__(self, record: Callable[[Run], Run] = record_on_cuda) -> None:
        self._record = record
        self._situation: Hashable = None
        self._first: OuterGradient | None = None
        self._step: _Step | None = None

    def __call__(
        self,
        algorithm: Algorithm,
        params: Tensors,
        buffers: Tensors,
        support: Pair,
        query: Pair,
        meta_steps: int,
    ) -> OuterGradient:
        """Return the outer gradient; raises CaptureError where the meta step cannot be recorded."""
        device = next(iter(params.values())).device
        if self._record is record_on_cuda and device.type != "cuda":
            raise ValueError(
                f"engine='captured' records CUDA graphs, but the model is on {device}: use engine='loop', or "
                "move the model and its batches to CUDA"
            )
        situation = _situation(algorithm, params, support, query)
        if self._first is None or situation != self._situation:
            self._first = loop(algorithm, params, buffers, support, query, meta_steps)
            self._situation, self._step = situation, None
            return self._first
        if self._step is None:
            batches = part_of(support, 0), part_of(query, 0)
            try:
                self._step = _Step(algorithm, params, buffers, *batches, self._first, self._record)
            except RuntimeError as error:
                raise CaptureError(first_line(error)) from error
        outer = self._step.replayed(buffers, support, query, meta_steps)
        return outer.mean() if algorithm.reduction == "mean" else outer


def _situation(algorithm: Algorithm, params: Tensors, support: Pair, query: Pair) -> Hashable:
    leaves = _leaves(support, query)
    device = leaves[0].device.type
    return (
        tuple(module.training for module in algorithm.model.modules()),
        tuple((name, p.data_ptr(), p.dtype) for name, p in params.items()),
        tuple((leaf.shape[1:], leaf.stride()[1:], leaf.dtype, leaf.device) for leaf in leaves),
        torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device),
    )


def _leaves(support: Pair, query: Pair) -> list[Tensor]:
    return [leaf for pair in (support, query) for _, leaf in pair_leaves(pair, "")]


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
        params: Tensors,
        buffers: Tensors,
        support: Pair,
        query: Pair,
        like: OuterGradient,
        record: Callable[[Run], Run],
    ) -> None:
        self._algorithm = algorithm
        self._passes = loop_passes(algorithm)
        self._params = params
        self._buffers = copied(buffers)
        self._support, self._query = _cloned(support), _cloned(query)
        self._batches = _leaves(self._support, self._query)
        self._total = {name: torch.zeros_like(gradient) for name, gradient in like.gradients.items()}
        self._losses = torch.empty_like(like.query_losses[:1]).repeat(2)
        self._replay = record(self._run)

    def _run(self) -> None:
        torch.clear_autocast_cache()  # casts of parameters are part of what is recorded
        algorithm = self._algorithm
        step = meta_gradient(
            self._passes,
            algorithm.terms,
            algorithm.inner_lr,
            algorithm.beta,
            self._params,
            self._buffers,
            self._support,
            self._query,
        )
        accumulate(self._total, step.terms)
        self._losses.copy_(torch.stack([step.support_losses, step.query_losses]))
        for name, moved in step.buffers.items():
            self._buffers[name].copy_(moved)

    def replayed(self, buffers: Tensors, support: Pair, query: Pair, meta_steps: int) -> OuterGradient:
        """Run all meta steps; the gradients are summed."""
        for name, buffer in buffers.items():
            self._buffers[name].copy_(buffer)
        for total in self._total.values():
            total.zero_()
        losses = self._losses.new_empty(meta_steps, 2)
        leaves = _leaves(support, query)
        for s in range(meta_steps):
            for place, leaf in zip(self._batches, leaves, strict=True):
                place.copy_(leaf[s])
            self._replay()
            losses[s].copy_(self._losses)
        return OuterGradient(copied(self._total), losses[:, 0], losses[:, 1], copied(self._buffers))
