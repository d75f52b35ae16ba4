"""What happens after an epoch: scores into the history, a lower learning rate, and a progress bar."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from skorch.callbacks import Callback
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from metabalance.training.looks import Look, Probabilities, Seen
from metabalance.training.snapshots import State, Stateful

ScorePart = Callable[[Probabilities, NDArray[np.int64]], float]


class EpochScores(Callback):
    """Record recalls on training and held-out rows, and the score that early stopping follows.

    Writes ``train_majority_recall``, ``train_minority_recall`` and, where rows are held out, ``valid_loss``,
    ``valid_majority_recall``, ``valid_minority_recall`` and ``valid_score`` (higher is better). The minority
    recall is the mean of the recalls of all classes but the most frequent one. A widening gap between the
    minority's recall on training and on held-out rows is the paper's picture of over-fitting (Figure 2).
    """

    def __init__(self, look: Look, score: ScorePart, majority: int) -> None:
        self.look = look
        self.score = score
        self.majority = majority

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Score the parameters as they stand."""
        train, valid = self.look()
        self._record_recalls(net, "train", train)
        if valid is not None:
            self._record_recalls(net, "valid", valid)
            net.history.record("valid_loss", log_loss(valid.probabilities, valid.codes))
            net.history.record("valid_score", self.score(valid.probabilities, valid.codes))

    def _record_recalls(self, net: Any, prefix: str, seen: Seen) -> None:
        majority, minority = majority_and_minority_recall(seen.probabilities, seen.codes, self.majority)
        net.history.record(f"{prefix}_majority_recall", majority)
        net.history.record(f"{prefix}_minority_recall", minority)


class CosineSchedule(Stateful):
    """Lower the learning rate after every epoch, along half a cosine down to 0 at ``max_epochs``.

    skorch's ``LRScheduler`` does so too, but wants to be told of every batch for it.
    """

    def __init__(self, max_epochs: int) -> None:
        self.max_epochs = max_epochs

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Take the optimizer in hand."""
        self.schedule_ = CosineAnnealingLR(net.optimizer_, T_max=self.max_epochs)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Go one epoch down."""
        self.schedule_.step()

    def state_dict(self) -> State:
        """Return the place on the curve."""
        return dict(self.schedule_.state_dict())

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a place on the curve; the rate itself is the optimizer's."""
        # Steps are counted to warn of a schedule that begins before the optimizer does, which has begun here.
        self.schedule_.load_state_dict({**state, "_step_count": state["last_epoch"] + 2})


class WeightAveraging(Stateful):
    """Let everything that looks at an epoch's network see the moving average of its parameters.

    The average starts as the first update leaves the parameters, and forgets faster in the beginning: after n
    updates the decay is at most (1 + n) / (10 + n), so that where training began does not hold it up. At the
    end of an epoch it takes their place, so that it is what is scored and kept; the next epoch goes on with
    the parameters as training left them. Being broken off at any point (Ctrl-C) leaves the average. Running
    means and variances of BatchNorm are averaged alike; other buffers, and parameters that are not trained,
    stay as they are.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Follow the optimizer."""
        self.followed_ = _averaged_tensors(net.module_)
        self.averages_ = [tensor.detach().clone() for tensor in self.followed_]
        self.updates_ = 0
        self.trained_: list[Tensor] | None = None  # while the average is shown, what training goes on with
        net.optimizer_.register_step_post_hook(lambda *_: self._update())

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Put the parameters back."""
        if self.trained_ is not None:
            _copy(self.trained_, self.followed_)
            self.trained_ = None

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Show the average."""
        if self.trained_ is None:
            self.trained_ = [tensor.detach().clone() for tensor in self.followed_]
        _copy(self.averages_, self.followed_)

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Keep the average, also where an epoch was broken off."""
        self.on_epoch_end(net)

    def state_dict(self) -> State:
        """Return the averages and how many updates they are of."""
        return {"averages": self.averages_, "updates": self.updates_}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from averages; the network must have the parameters that training goes on with."""
        _copy(state["averages"], self.averages_)
        self.updates_ = int(state["updates"])

    def _update(self) -> None:
        n = self.updates_
        decay = min(self.decay, (1 + n) / (10 + n)) if n else 0.0
        with torch.no_grad():
            for average, now in zip(self.averages_, self.followed_, strict=True):
                average.lerp_(now, 1 - decay)
        self.updates_ += 1


def _copy(source: list[Tensor], target: list[Tensor]) -> None:
    with torch.no_grad():
        for value, tensor in zip(source, target, strict=True):
            tensor.copy_(value)


def _averaged_tensors(module: nn.Module) -> list[Tensor]:
    """Parameters that are trained, and the statistics that BatchNorm keeps."""
    statistics = [
        kept
        for part in module.modules()
        if isinstance(part, nn.modules.batchnorm._NormBase)
        for kept in (part.running_mean, part.running_var)
        if kept is not None
    ]
    return [*(each for each in module.parameters() if each.requires_grad), *statistics]


class EpochProgress(Callback):
    """A progress bar over the epochs with the latest scores and the time left, on standard error."""

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Show the bar."""
        self.progress_ = Progress(
            TextColumn("epoch {task.completed}/{task.total}"),
            BarColumn(bar_width=10),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
        )
        self.progress_.start()
        self.task_ = self.progress_.add_task("", total=net.max_epochs)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Advance by an epoch."""
        epoch = net.history[-1]
        shown = f"minority recall {epoch['train_minority_recall']:.2f}"
        if "valid_score" in epoch:
            shown = f"score {epoch['valid_score']:.4f} {shown}, held-out {epoch['valid_minority_recall']:.2f}"
        self.progress_.update(self.task_, completed=len(net.history), description=shown)

    def stop(self) -> None:
        """Leave the bar as it is on the screen; the loop calls this however training ends."""
        self.progress_.stop()


def majority_and_minority_recall(
    probabilities: Probabilities, codes: NDArray[np.int64], majority: int
) -> tuple[float, float]:
    """Recall of the majority class, and the mean recall of all other classes that occur."""
    hits = probabilities.argmax(axis=1) == codes
    recalls = {code: float(hits[codes == code].mean()) for code in np.unique(codes).tolist()}
    of_majority = recalls.pop(majority)
    return of_majority, float(np.mean(list(recalls.values())))


def log_loss(probabilities: Probabilities, codes: NDArray[np.int64]) -> float:
    """Mean negative log-likelihood of the true classes, finite also where a probability is rounded to 0."""
    true = probabilities[np.arange(len(codes)), codes]
    return float(-np.log(np.maximum(true, np.finfo(np.float64).tiny)).mean())
