"""The training loop: skorch's, with our batches and our update rule in its ``train_step`` seam."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EpochTimer, GradientNormClipping, PassthroughScoring
from torch import nn

from metabalance.nn.decay import undecayed
from metabalance.training.budget import EpochBudget
from metabalance.training.callbacks import CosineSchedule, EpochProgress, EpochScores, WeightAveraging
from metabalance.training.deferred import DeferredReweighting, LateEarlyStopping
from metabalance.training.rules import UpdateRule
from metabalance.training.saver import Saver

OWN_CALLBACKS = (
    CosineSchedule,
    DeferredReweighting,
    EpochProgress,
    EpochScores,
    EpochTimer,
    GradientNormClipping,
    PassthroughScoring,
    WeightAveraging,
)


class EpochBatches:
    """An iterable that yields one epoch's batches each time it is iterated over.

    The first ``done`` of the first epoch are left out.
    """

    def __init__(self, rule: UpdateRule, budget: EpochBudget, done: int = 0) -> None:
        self.rule = rule
        self.budget = budget
        self.done = done

    def __iter__(self) -> Iterator[Any]:
        left = self.budget.next_epoch() - self.done
        self.done = 0
        for _ in range(left):
            yield self.rule.draw()


class _RuleHasTheLoss(nn.Module):
    """The criterion skorch asks for; the loss belongs to the update rule."""


class TrainingLoop(NeuralNet):
    """skorch's loop over the epochs of an `UpdateRule`; skorch's callbacks work in it unchanged.

    Parameters
    ----------
    module : torch.nn.Module
        The initialised network, on its device.
    rule : UpdateRule
        Draws batches and fills ``.grad`` of the module's parameters.
    n_rows : int
        Rows of the training part, which set the length of an epoch (see `EpochBudget`).
    saver : Saver, optional
        Keeps checkpoints, from which training goes on. Not with callbacks that want to be told of batches.
    **kwargs
        skorch's own: ``optimizer``, ``optimizer__…``, ``lr``, ``max_epochs``, ``callbacks``, ``device``, …

    Attributes
    ----------
    budget_ : EpochBudget
        Counts the rows drawn.
    interrupted_ : bool
        Whether the user broke training off (Ctrl-C); the parameters are then those of the best epoch so far.
    diverged_ : str
        Where and how training diverged, or empty; the parameters are then those of the best epoch.
    """

    def __init__(
        self, module: nn.Module, *, rule: UpdateRule, n_rows: int, saver: Saver | None = None, **kwargs: Any
    ) -> None:
        super().__init__(module, criterion=_RuleHasTheLoss, train_split=None, **kwargs)
        self.rule = rule
        self.n_rows = n_rows
        self.saver = saver

    @property
    def _default_callbacks(self) -> list[tuple[str, Any]]:
        return [
            ("epoch_timer", EpochTimer()),
            ("train_loss", PassthroughScoring(name="train_loss", on_train=True)),
        ]

    def train(self) -> "TrainingLoop":
        """Run the epochs; returns self."""
        self.interrupted_, self.diverged_ = False, ""
        self.told_: tuple[str, Any] | None = None
        self.callbacks_: list[tuple[str, Any]] = []
        self.budget_ = EpochBudget(self.n_rows, self.rule.rows_per_update)
        self.losses_: list[torch.Tensor] = []  # of the updates of the present epoch
        try:
            self.fit(X=None, y=None)
            if self.saver is not None and not self.interrupted_ and not self.diverged_:
                self.saver.finish(self)
        finally:
            # skorch ends callbacks after success only, and a live display must not outlive an error.
            for _, callback in self.callbacks_:
                if isinstance(callback, EpochProgress):
                    callback.stop()
        return self

    def check_data(self, X: Any, y: Any = None) -> None:
        """Nothing to check: the rows are in the rule's streams."""

    def get_split_datasets(self, X: Any, y: Any = None, **fit_params: Any) -> tuple[Any, None]:
        """Return the rule in place of a data set; the held-out part is scored by a callback."""
        return self.rule, None

    def get_params_for_optimizer(
        self, prefix: str, named_parameters: Iterable[tuple[str, nn.Parameter]]
    ) -> tuple[Any, dict[str, Any]]:
        """As in skorch, but weight decay leaves alone what it would only shift or shrink: biases and norms.

        Groups of the user's own (``optimizer__param_groups``) stay as they are.
        """
        arguments, options = super().get_params_for_optimizer(prefix, named_parameters)
        groups: list[dict[str, Any]] = arguments[0]
        if len(groups) == 1 and options.get("weight_decay"):
            free = undecayed(self.module_)
            parameters: list[nn.Parameter] = groups[0]["params"]
            decayed = [each for each in parameters if id(each) not in free]
            rest = [each for each in parameters if id(each) in free]
            split: list[dict[str, Any]] = [{"params": decayed}, {"params": rest, "weight_decay": 0.0}]
            groups = [group for group in split if group["params"]]
        return (groups, *arguments[1:]), options

    def get_iterator(self, dataset: Any, training: bool = False) -> EpochBatches:
        """Return the batches of one epoch after the other."""
        return EpochBatches(self.rule, self.budget_, done=len(self.losses_))

    def fit_loop(self, X: Any, y: Any = None, epochs: int | None = None, **kwargs: Any) -> Any:
        """As in skorch, from a checkpoint on where there is one.

        Also, remember whether the user broke it off, which skorch keeps to itself.
        """
        try:
            finished = self.saver is not None and self.saver.start(self)
            left = 0 if finished else self.max_epochs - len(self.history)
            return super().fit_loop(X, y, epochs=left, **kwargs)
        except KeyboardInterrupt:
            self.interrupted_ = not self._ended_by_callback()
            raise
        except FloatingPointError as error:
            epoch, updates = len(self.history), len(self.history[-1]["batches"])
            message = f"training diverged in epoch {epoch}, after {updates} of its updates: {error}"
            if not self.best_epoch:
                raise FloatingPointError(message) from error
            self.diverged_ = message
            raise KeyboardInterrupt from error  # skorch's way to end training in order

    @property
    def best_epoch(self) -> int:
        """The number, from 1, of the epoch with the best score on held-out rows; 0 if none was scored."""
        stops = [each for _, each in self.callbacks_ if isinstance(each, LateEarlyStopping)]
        return int(stops[0].best_epoch_) if stops else 0

    def notify(self, method_name: str, **kwargs: Any) -> None:
        """As in skorch, and remember which callback is being told what."""
        getattr(self, method_name)(self, **kwargs)
        for _, callback in self.callbacks_:
            self.told_ = (method_name, callback)
            getattr(callback, method_name)(self, **kwargs)
        self.told_ = None

    def _ended_by_callback(self) -> bool:
        """Whether a callback ended training after an epoch, which in skorch takes the exception of Ctrl-C."""
        if self.told_ is None:
            return False
        method_name, callback = self.told_
        return method_name == "on_epoch_end" and not isinstance(callback, OWN_CALLBACKS)

    def run_single_epoch(
        self, iterator: Any, training: bool, prefix: str, step_fn: Any, **kwargs: Any
    ) -> None:
        """As in skorch, but losses are read at the end of an epoch where nobody looks at single batches."""
        if iterator is None or not training or self._follows_batches():
            super().run_single_epoch(iterator, training, prefix, step_fn, **kwargs)
        else:
            self._run_unfollowed(iterator)

    def _follows_batches(self) -> bool:
        """Whether a callback wants to be told of every batch."""
        kinds = [type(callback) for _, callback in self.callbacks_]
        return any(
            kind.on_batch_begin is not Callback.on_batch_begin
            or kind.on_batch_end is not Callback.on_batch_end
            for kind in kinds
        )

    def _run_unfollowed(self, batches: EpochBatches) -> None:
        """One epoch where nobody looks at single batches: their losses are read at its end, all at once.

        A loss read after every batch would have the device wait for it. The history becomes skorch's.
        """
        try:
            for batch in batches:
                self.losses_.append(self.train_step(batch)["loss"])
                if self.saver is not None:
                    self.saver.after_update(self)
        finally:  # an epoch that is broken off keeps the losses it has
            losses, self.losses_ = self.losses_, []
            for loss in torch.stack(losses).tolist() if losses else ():
                self.history.new_batch()
                self.history.record_batch("train_loss", loss)
                self.history.record_batch("train_batch_size", self.rule.rows_per_update)
        self.history.record("train_batch_count", len(losses))

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Fill ``.grad`` by the update rule; skorch steps the optimizer afterwards."""
        if not self.module_.training:  # asked first, since setting it goes through all parts of the module
            self._set_training(True)
        return {"loss": self.rule.backward(batch), "y_pred": None}


def resolve_device(device: str | torch.device) -> torch.device:
    """Turn "auto", a name or a device into a device that is there.

    Raises
    ------
    ValueError
        If the name is no device, or CUDA is asked for and absent.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device must be 'auto', 'cpu' or 'cuda', got {device!r}") from error
    if resolved.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device={device!r} was asked for, but CUDA is not available: use device='auto' or 'cpu'"
        )
    if resolved.type not in ("cpu", "cuda"):
        try:
            torch.zeros(1, device=resolved).cpu()
        except (RuntimeError, AssertionError, ImportError) as error:  # torch's, for a device not built in
            raise ValueError(
                f"device={device!r} is not one that torch computes on here: use device='auto' or 'cpu'"
            ) from error
    return resolved
