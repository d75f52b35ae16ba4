"""MetaBalance: meta-gradient training with one sampling strategy in each loop."""

from collections.abc import Sequence
from typing import Any

from torch import distributed, nn

from metabalance.estimators.base import ImbalancedClassifier
from metabalance.estimators.checkpoints import made_of
from metabalance.estimators.loops import sure_epochs
from metabalance.estimators.parameters import (
    check_choice,
    check_number,
    check_positive_int,
    is_whole_number,
)
from metabalance.estimators.prepared import Prepared
from metabalance.meta import ENGINES, MetaGradient
from metabalance.meta.exchange import check_process_group
from metabalance.meta.statistics import tracked_norms
from metabalance.nn import LossFunction
from metabalance.sampling import MetaBatchStream
from metabalance.sampling.shares import share_of
from metabalance.training import EpochBudget, MetaBalance, Part, UpdateRule, check_same_fit

PREDICT_WITH = ("auto", "meta", "adapted")
TABLE_DIMENSIONS = 2


class MetaBalanceClassifier(ImbalancedClassifier):
    """A neural network that learns from imbalanced data by meta-gradients.

    Each outer update draws S pairs of batches, takes one gradient step on each imbalanced support batch, and
    moves the parameters so that the balanced query batches are classified well *after* that step [1]_
    (Algorithm 1).

    An epoch is as many drawn rows, support and query counted alike, as the training part has (but from 4,096
    to 32,768, and at least one outer update), so that ``max_epochs`` means the same budget of rows here and
    in `NeuralClassifier`.

    Parameters
    ----------
    support_sampler : str or sampler, default="natural"
        How support rows are drawn (inner loop): the name of a strategy, or an object with imbalanced-learn's
        ``fit_resample``.
    query_sampler : str or sampler, default="under"
        How query rows are drawn (outer loop), usually balanced.
    inner_lr : float, default=0.1
        Step size γ of the inner step, at least 0; 0 is plain training on query + beta · support batches.
    beta : float, default=4.0
        Weight β of the support loss in the outer loss, at least 0.
    meta_steps : int, default=1
        Pairs S of batches in an outer update.
    support_batch_size, query_batch_size : int, default=64
        Rows in each support and each query batch.
    order : {"exact", "first"}, default="exact"
        Whether the outer gradient includes the second-order term.
    engine : {"auto", "loop", "vectorized", "compiled", "captured"}, default="auto"
        How the meta steps are evaluated; see `MetaGradient`. "auto" compiles the update of a dense module of
        your own where the epochs that are sure to run (``max_epochs``, or one more than the patience of early
        stopping) pay for the seconds of compiling. The default network is large enough for the loop.
    predict_with : {"auto", "meta", "adapted"}, default="auto"
        Predict with the learned parameters θ ("meta"), as the paper evaluates, or with θ' ("adapted"), one
        inner step on support rows away, which is what the outer loss optimises. "auto" takes θ' for images
        and other arrays, and for networks with BatchNorm, which are much better there; θ, which is cheaper
        and as good, for other networks on tables (``paper/FINDINGS.md``). Early stopping scores the same
        ones. May be changed after the fit.
    module, n_members, hidden_sizes, dropout, numerical_embedding, n_bins, loss, \
class_weight, label_smoothing, augment, optimizer, lr, weight_decay, max_grad_norm, ema_decay, lr_schedule, \
max_epochs, early_stopping, validation_fraction, refit, scoring, calibration, prior, decision, callbacks, \
device, random_state, verbose
        As in `NeuralClassifier`. ``loss="logit_adjusted"`` is meant for natural batches: with balanced query
        batches, as they are by default, it corrects twice.
    mixing : {"mixup", "cutmix"}, `metabalance.nn.Mixing` or None, default=None
        Mix the query batches, each on its own, as in `NeuralClassifier`.
    **module_and_optimizer_parameters
        ``module__…`` and ``optimizer__…``.

    Notes
    -----
    The pair of strategies and β have the lowest mean rank on nine development tables among pairs with
    balanced query batches (β 8 is as good); the rule, what every other setting does, and what the inner step
    adds, which is not beyond noise, are in ``docs/results/defaults.md``. The paper's are γ 0.01, β 0, S 80;
    on its two credit tasks γ 0.1 was the largest step that gained on both (``paper/FINDINGS.md``).

    Attributes
    ----------
    classes_, n_features_in_, feature_names_in_, module_, history_, rows_drawn_, interrupted_
        As in `NeuralClassifier`; ``module_`` holds θ.
    adapted_parameters_ : dict of str to Tensor
        θ', by parameter name, and the statistics of BatchNorm there.

    References
    ----------
    .. [1] Bansal, Goldblum, Cherepanova, Schwarzschild, Bruss, Goldstein. MetaBalance: High-Performance
       Neural Networks for Class-Imbalanced Data. 2021, arXiv:2106.09643.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from metabalance import MetaBalanceClassifier
    >>> X, y = make_classification(600, weights=[0.9], random_state=0)
    >>> net = MetaBalanceClassifier(query_sampler="over", max_epochs=5, random_state=0).fit(X, y)
    >>> net.predict(X).shape
    (600,)
    """

    def __init__(
        self,
        *,
        support_sampler: Any = "natural",
        query_sampler: Any = "under",
        inner_lr: float = 0.1,
        beta: float = 4.0,
        meta_steps: int = 1,
        support_batch_size: int = 64,
        query_batch_size: int = 64,
        order: str = "exact",
        engine: str = "auto",
        predict_with: str = "auto",
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
        mixing: Any = None,
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
        self.support_sampler = support_sampler
        self.query_sampler = query_sampler
        self.inner_lr = inner_lr
        self.beta = beta
        self.meta_steps = meta_steps
        self.support_batch_size = support_batch_size
        self.query_batch_size = query_batch_size
        self.order = order
        self.engine = engine
        self.predict_with = predict_with
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
        self.mixing = mixing
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
        for name in ("inner_lr", "beta"):
            check_number(name, getattr(self, name), at_least=0)
        for name in ("meta_steps", "support_batch_size", "query_batch_size"):
            check_positive_int(name, getattr(self, name))
        check_choice("order", self.order, ("exact", "first"))
        check_choice("engine", self.engine, ENGINES)
        check_choice("predict_with", self.predict_with, PREDICT_WITH)

    @property
    def _strategies(self) -> tuple[Any, ...]:
        return (self.support_sampler, self.query_sampler)

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
            support=self.support_sampler,
            query=self.query_sampler,
            meta_steps=self.meta_steps,
            support_batch_size=self.support_batch_size,
            query_batch_size=self.query_batch_size,
            device=train.x.device,
            **stream_options,
        )
        meta = MetaGradient(
            module,
            loss_fn,
            inner_lr=self.inner_lr,
            beta=self.beta,
            order=self.order,
            engine=self.engine,
            updates=EpochBudget(len(train), stream.rows_per_draw).updates(sure_epochs(self)),
            process_group=group,
        )
        return MetaBalance(meta, stream)

    def _check_shared_out(self, process_group: Any, prepared: Prepared) -> None:
        check_process_group(process_group)
        share_of(self.meta_steps, distributed.get_world_size(process_group), 0)
        if not is_whole_number(self.random_state):
            raise ValueError(
                f"random_state must be the same whole number in all processes, got {self.random_state!r}"
            )
        check_same_fit(made_of(self, prepared), process_group)

    def _predicts_adapted(self, module: nn.Module, n_dimensions: int) -> bool:
        check_choice("predict_with", self.predict_with, PREDICT_WITH)
        if self.predict_with == "auto":
            return n_dimensions > TABLE_DIMENSIONS or bool(tracked_norms(module))
        return self.predict_with == "adapted"
