"""Meta-Weight-Net: rows weighted by a small network that learns from balanced batches."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from metabalance.estimators.base import ImbalancedClassifier
from metabalance.estimators.parameters import check_number, check_positive_int
from metabalance.nn import LossFunction
from metabalance.sampling import MetaBatchStream
from metabalance.training import MetaWeightNet, Part, UpdateRule


class MetaWeightNetClassifier(ImbalancedClassifier):
    """A neural network whose training rows are weighted by a second network, learned along with it.

    The weight network maps the loss of a row to a weight. It learns so that a step on the weighted training
    batch would lower the loss of a balanced meta batch [1]_; see `metabalance.training.MetaWeightNet`.

    Both batches count in the budget of drawn rows, as in `MetaBalanceClassifier`.

    Parameters
    ----------
    sampler : str or sampler, default="natural"
        How the training rows are drawn: the name of a strategy, or an object with imbalanced-learn's
        ``fit_resample``.
    meta_sampler : str or sampler, default="under"
        How the rows of the meta batches are drawn, usually balanced.
    inner_lr : float, default=0.1
        Size of the virtual step, above 0.
    weight_lr : float, default=0.001
        Learning rate of the weight network, above 0.
    batch_size, meta_batch_size : int, default=64
        Rows in each training and each meta batch.
    loss : str or callable, default="cross_entropy"
        As in `NeuralClassifier`. "logit_adjusted" is meant for natural batches: with balanced meta batches,
        as they are by default, it corrects twice. One of your own must be a mean over rows that
        ``torch.vmap`` can take apart.
    module, n_members, hidden_sizes, dropout, numerical_embedding, n_bins, class_weight, \
label_smoothing, augment, optimizer, lr, weight_decay, max_grad_norm, ema_decay, lr_schedule, max_epochs, \
early_stopping, validation_fraction, refit, scoring, calibration, prior, decision, callbacks, device, \
random_state, verbose
        As in `NeuralClassifier`.
    **module_and_optimizer_parameters
        ``module__…`` and ``optimizer__…``.

    Notes
    -----
    The paper sets a small, clean and balanced meta set apart, which the classifier is not trained on. Here
    the meta rows are drawn from the training part by a balanced stream, so that no rare row is lost to
    training; the meta loss is then one of rows that the classifier may have learned by heart. The virtual
    step is one of plain gradient descent with a constant size of its own, whatever the optimizer; in the
    paper both are SGD with the same learning rate.

    Attributes
    ----------
    classes_, n_features_in_, feature_names_in_, module_, history_, rows_drawn_, interrupted_
        As in `NeuralClassifier`; train_loss is the weighted one.

    References
    ----------
    .. [1] Shu, Xie, Yi, Zhao, Zhou, Xu, Meng. Meta-Weight-Net: Learning an Explicit Mapping For Sample
       Weighting. NeurIPS 2019.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from metabalance import MetaWeightNetClassifier
    >>> X, y = make_classification(600, weights=[0.9], random_state=0)
    >>> net = MetaWeightNetClassifier(max_epochs=5, random_state=0).fit(X, y)
    >>> net.predict(X).shape
    (600,)
    """

    def __init__(
        self,
        *,
        sampler: Any = "natural",
        meta_sampler: Any = "under",
        inner_lr: float = 0.1,
        weight_lr: float = 0.001,
        batch_size: int = 64,
        meta_batch_size: int = 64,
        module: Any = None,
        n_members: int = 8,
        hidden_sizes: Sequence[int] = (64, 64),
        dropout: float | Sequence[float] = 0.1,
        numerical_embedding: str | None = "piecewise-linear",
        n_bins: int = 24,
        loss: Any = "cross_entropy",
        class_weight: Any = None,
        label_smoothing: float = 0.0,
        augment: Any = None,
        optimizer: Any = "adamw",
        lr: float = 0.003,
        weight_decay: float = 0.01,
        max_grad_norm: float | None = None,
        ema_decay: float | None = 0.99,
        lr_schedule: str = "cosine",
        max_epochs: int = 50,
        early_stopping: bool | int = True,
        validation_fraction: float = 0.2,
        refit: bool = False,
        scoring: Any = None,
        calibration: str | None = "auto",
        prior: Any = "training",
        decision: Any = "auto",
        callbacks: Any = None,
        device: Any = "auto",
        random_state: Any = None,
        verbose: int = 0,
        **module_and_optimizer_parameters: Any,
    ) -> None:
        self.sampler = sampler
        self.meta_sampler = meta_sampler
        self.inner_lr = inner_lr
        self.weight_lr = weight_lr
        self.batch_size = batch_size
        self.meta_batch_size = meta_batch_size
        self.module = module
        self.n_members = n_members
        self.hidden_sizes = hidden_sizes
        self.dropout = dropout
        self.numerical_embedding = numerical_embedding
        self.n_bins = n_bins
        self.loss = loss
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing
        self.augment = augment
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.max_grad_norm = max_grad_norm
        self.ema_decay = ema_decay
        self.lr_schedule = lr_schedule
        self.max_epochs = max_epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.refit = refit
        self.scoring = scoring
        self.calibration = calibration
        self.prior = prior
        self.decision = decision
        self.callbacks = callbacks
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self._keep_free_parameters(module_and_optimizer_parameters)

    def _check_own_parameters(self) -> None:
        for name in ("inner_lr", "weight_lr"):
            check_number(name, getattr(self, name), above=0)
        for name in ("batch_size", "meta_batch_size"):
            check_positive_int(name, getattr(self, name))

    @property
    def _strategies(self) -> tuple[Any, ...]:
        return (self.sampler, self.meta_sampler)

    def _cross_fits(self) -> bool:
        """The weighting network is common to all members, and would tell them of rows that they hold out."""
        return False

    def _make_rule(
        self,
        module: nn.Module,
        loss_fn: LossFunction,
        train: Part,
        stream_options: dict[str, Any],
        group: Any,
    ) -> UpdateRule:
        stream = MetaBatchStream(
            *train.for_streams,
            support=self.sampler,
            query=self.meta_sampler,
            meta_steps=1,
            support_batch_size=self.batch_size,
            query_batch_size=self.meta_batch_size,
            device=train.x.device,
            **stream_options,
        )
        return MetaWeightNet(module, loss_fn, stream, inner_lr=self.inner_lr, weight_lr=self.weight_lr)
