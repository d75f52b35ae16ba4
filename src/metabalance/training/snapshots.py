"""The state of a training: enough to go on from it bit for bit as if it had never stopped."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback

State = dict[str, Any]


class Stateful(Callback):
    """A callback whose state belongs into a snapshot."""

    @abstractmethod
    def state_dict(self) -> State:
        """Return the state, of plain types and tensors."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state, after ``on_train_begin``."""


def take_snapshot(loop: Any, finished: bool) -> State:
    """Return the state of a `TrainingLoop` after an update, or once training has ended.

    Epochs that are over are kept as their numbers, the losses of the present one as a tensor. The random
    state is that of torch's global generators, which dropout draws from.
    """
    epochs = loop.history if finished else loop.history[:-1]
    device = _device_of(loop)
    return {
        "finished": finished,
        "module": loop.module_.state_dict(),
        "optimizer": loop.optimizer_.state_dict(),
        "rule": loop.rule.state_dict(),
        "callbacks": {name: callback.state_dict() for name, callback in _stateful(loop).items()},
        "history": [_plain(epoch) for epoch in epochs],
        "losses": torch.stack(loop.losses_).cpu() if loop.losses_ else torch.empty(0),
        "random": torch.get_rng_state(),
        "device_random": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
    }


def restore_snapshot(loop: Any, state: Mapping[str, Any]) -> None:
    """Put a loop that has begun, but not made an update, into a state.

    Raises
    ------
    KeyError, TypeError, AttributeError, ValueError, RuntimeError
        If the state is not one of such a loop.
    """
    loop.rule.load_state_dict(state["rule"])
    loop.module_.load_state_dict(state["module"])
    loop.optimizer_.load_state_dict(state["optimizer"])
    callbacks = _stateful(loop)
    if callbacks.keys() != state["callbacks"].keys():
        raise ValueError(f"it is of callbacks {sorted(state['callbacks'])}, not {sorted(callbacks)}")
    for name, callback in callbacks.items():
        callback.load_state_dict(state["callbacks"][name])
    for epoch in state["history"]:
        loop.history.append({**epoch, "batches": []})
        loop.budget_.next_epoch()
    device = _device_of(loop)
    loop.losses_ = list(state["losses"].to(device).unbind())
    torch.set_rng_state(state["random"])
    if state["device_random"] is not None:
        torch.cuda.set_rng_state(state["device_random"], device)


def _device_of(loop: Any) -> torch.device:
    device: torch.device = next(loop.module_.parameters()).device
    return device


def _stateful(loop: Any) -> dict[str, Stateful]:
    return {name: each for name, each in loop.callbacks_ if isinstance(each, Stateful)}


def _plain(epoch: Mapping[str, Any]) -> State:
    """An epoch's numbers as Python's own; what there was of single batches is in their mean by then."""
    return {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in epoch.items()
        if name != "batches"
    }
