"""Class weights that count in the last part of training only, and stopping that waits for it."""

from collections.abc import Mapping
from typing import Any

from skorch.callbacks import Callback, EarlyStopping

from metabalance.nn import RowLoss
from metabalance.training.snapshots import State, Stateful


class DeferredReweighting(Callback):
    """Let all classes weigh 1 in a loss at first, and as much as they should later on [1]_.

    Parameters
    ----------
    loss : RowLoss
        With class weights in a buffer called ``weight``, which is 1 for every class until then.
    unweighted : int
        Epochs before the weights count.

    Raises
    ------
    ValueError
        If the loss has no class weights.

    References
    ----------
    .. [1] Cao, Wei, Gaidon, Arechiga, Ma. Learning Imbalanced Datasets with Label-Distribution-Aware Margin
       Loss. NeurIPS 2019, algorithm 1 ("deferred re-weighting").
    """

    def __init__(self, loss: RowLoss, unweighted: int) -> None:
        weights = [each for name, each in loss.named_buffers() if name.split(".")[-1] == "weight"]
        if not weights:
            raise ValueError(f"{type(loss).__name__} has no class weights to defer: give it weight=")
        self.weight = weights[0]
        self.unweighted = unweighted

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Put the weights aside."""
        self.deferred_ = self.weight.clone()
        self.weight.fill_(1.0)

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Put them back when their time has come: in place, so that compiled steps see it."""
        if len(net.history) > self.unweighted:
            self.weight.copy_(self.deferred_)


class LateEarlyStopping(EarlyStopping, Stateful):
    """skorch's early stopping by a score to be maximised, blind to the first epochs.

    None of them is kept as the best one, nor counts as one without a better score.
    """

    def __init__(self, monitor: str, patience: int, ignored: int = 0) -> None:
        super().__init__(monitor, patience, 0.0, lower_is_better=False, load_best=True)
        self.ignored = ignored

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """As in skorch, from the first epoch that counts."""
        if len(net.history) > self.ignored:
            super().on_epoch_end(net, **kwargs)

    def state_dict(self) -> State:
        """Return the best epoch so far, its parameters, and how long it has been the best one."""
        return {
            "misses": self.misses_,
            "threshold": float(self.dynamic_threshold_),
            "best_epoch": self.best_epoch_,
            "best_weights": self.best_model_weights_,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.misses_ = state["misses"]
        self.dynamic_threshold_ = state["threshold"]
        self.best_epoch_ = state["best_epoch"]
        self.best_model_weights_ = state["best_weights"]
