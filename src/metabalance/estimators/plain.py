"""Plain training of a network on one resampled stream: the baseline everything is measured against."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from metabalance.estimators.base import ImbalancedClassifier
from metabalance.estimators.parameters import check_number, check_positive_int
from metabalance.nn import LossFunction
from metabalance.sampling import BatchStream
from metabalance.training import ERM, SAM, Part, UpdateRule


class NeuralClassifier(ImbalancedClassifier):
    """A neural network trained plainly, on batches drawn by one sampling strategy.

    An epoch is as many drawn rows as the training part has (but from 4,096 to 32,768), whatever the strategy
    and the batch size, so that ``max_epochs`` is the same budget of rows here and in `MetaBalanceClassifier`.

    Parameters
    ----------
    sampler : str or sampler, default="natural"
        How the rows of a batch are chosen: the name of a strategy (``metabalance strategies`` lists them) or
        an object with imbalanced-learn's ``fit_resample``. Only training rows are ever resampled.
    batch_size : int, default=128
        Rows in a batch.
    module : torch.nn.Module class or instance, optional
        The network, taking float32 of shape (batch, …) and returning logits of shape (batch, n_classes), or
        (batch, 1) for two classes. A class is built with the ``module__…`` parameters, and its arguments
        named ``n_inputs`` and ``n_outputs`` are filled in. By default, for tables,
        `metabalance.nn.TableNetwork`, the average of several small perceptrons, and for images of shape
        (n, channels, height, width) a narrow `metabalance.nn.ResNet`.
    n_members : int, default=8
        Perceptrons in the default network. They are trained side by side, and (where rows are drawn as they
        are, by "natural", "under" and "over") each holds out rows of its own, so that all rows are trained on
        by most of them and judged by those that have not seen them.
    hidden_sizes : sequence of int, default=(64, 64)
        Hidden layers of a member of the default network.
    dropout : float or sequence of float, default=0.1
        Dropout probability of the default network, one for all hidden layers or one each.
    numerical_embedding : {"piecewise-linear", "periodic"} or None, default="piecewise-linear"
        What the default network makes of numbers (Gorishniy et al. 2022).
    n_bins : int, default=24
        Bins of a number's piecewise-linear embedding at most, between quantiles of the rows trained on. All
        numbers together have 128, as long as that leaves each of them four.
    loss : str or callable, default="cross_entropy"
        One of "cross_entropy", "focal", "logit_adjusted", "ldam", "cosface" and "cosface_focal".
        "logit_adjusted" is `metabalance.nn.LogitAdjustedCrossEntropy` with the class frequencies of
        the training part, meant for natural batches: with balanced ones it corrects twice. Before calibration
        its probabilities are those of equal frequencies. "ldam" is `metabalance.nn.LDAMLoss`, "cosface" and
        "cosface_focal" are `metabalance.nn.CosFaceLoss` on the cross-entropy and on the focal loss; the
        default networks then end in scaled cosines, and a module of your own must
        (`metabalance.nn.CosineLinear`), one for each class. A callable takes logits (batch, n_classes) and
        class codes (batch,) and returns a scalar.
    class_weight : dict, "balanced", "effective_number" or None, default=None
        Weight of each class in a named loss: by label or inverse frequency as in scikit-learn, or by the
        effective number of rows (`metabalance.nn.effective_number_weights` with beta 0.999: with the cross-
        entropy or the focal loss this is the class-balanced loss), then scaled to average 1 over the rows.
    reweight_from : float in [0, 1), default=0
        Share of ``max_epochs`` after which class weights count ("deferred re-weighting": 0.8 is usual, with
        "ldam"). Early stopping waits for it.
    label_smoothing : float in [0, 1), default=0
        Share of every row's target that is spread over all classes, in the cross-entropy and the logit-
        adjusted loss; a row's weight stays that of its own class.
    augment : {"crop-and-flip", "crop"}, callable or None, default=None
        What training batches go through, drawn anew each time: for images a shift by up to an eighth of
        their shorter side in both directions (`metabalance.nn.CropAndFlip`), with mirror images or without.
        A callable takes standardised rows (…, *shape of a row) and a `torch.Generator` on the CPU.
    mixing : {"mixup", "cutmix"}, `metabalance.nn.Mixing` or None, default=None
        Blend the rows of a batch, or paste boxes of images into one another, and their labels with them.
        Members of the default network then hold the same rows out.
    sam_rho : float or None, default=None
        Train by `metabalance.training.SAM` with this radius, in two passes over each batch; 0.05 is usual.
    optimizer : {"adamw", "adam", "sgd"} or torch.optim class, default="adamw"
        "sgd" has Nesterov momentum 0.9. More arguments: ``optimizer__…``.
    lr : float, default=0.003
        Learning rate.
    weight_decay : float, default=0.01
        Weight decay of the optimizer; biases and normalisation layers are spared.
    max_grad_norm : float or None, default=None
        Norm that a gradient is cut down to where it is larger: that of all parameters together, those of all
        members of the default network.
    ema_decay : float in (0, 1) or None, default=0.99
        Score, keep and predict with an exponential moving average of the parameters over the updates, with
        this decay for each (after the first n updates (1 + n) / (10 + n), as long as that is smaller): 0.99
        averages over some hundred of them. None takes the parameters as they are.
    lr_schedule : {"constant", "cosine"}, default="cosine"
        Learning rate over the epochs; "cosine" falls to 0 at ``max_epochs``.
    max_epochs : int, default=50
        Epochs at most.
    early_stopping : bool or int, default=True
        Hold out a stratified part of the rows, stop after this many epochs (True: 6) without a better score
        on it, and restore the best epoch's parameters. Each class needs two rows.
    validation_fraction : float in (0, 1), default=0.2
        Share of each class that is held out. Each member of the default network holds out one of 2, 3, 4, …
        folds of its own, 1 / validation_fraction rounded; with fewer members than folds, some rows are held
        out by none.
    refit : bool, default=False
        Where the same rows are held out from the whole network (one member, strategies that make rows up, a
        module or loss of your own), train again on all rows, for as many epochs as were best. The calibration
        stays that of the first training, and so do the encoding and ``history_``. Elsewhere it changes
        nothing, and warns. Not with ``callbacks``.
    scoring : str, scorer or None, default=None
        scikit-learn scorer that early stopping follows; None is refinement, minus the cross-entropy of the
        held-out rows once their probabilities are calibrated (Berta et al. 2025), with each class weighing as
        the square root of its size.
    calibration : {"auto", "temperature", "prior", "isotonic"} or None, default="auto"
        How held-out rows turn what the network says into probabilities at the frequencies of training: by a
        temperature and a bias for each class (Guo et al. 2017), by biases only, or by isotonic regression,
        which makes ties and needs hundreds of rare rows. "auto" is "temperature" where early stopping holds
        rows out, and None elsewhere: what training made of it.
    prior : {"training", "balanced"}, float or dict, default="training"
        Class frequencies where predictions are used, which ``predict_proba`` speaks of: those of `fit`, equal
        ones, the share of the rarer of two classes, or the frequency of each label.
    decision : {"auto", "balanced", "most_probable"} or object, default="auto"
        What `predict` makes of probabilities. "balanced" treats a miss of any class alike, whatever its size,
        which is what balanced accuracy asks for; so is "auto", with ``class_weight`` of classes as frequent
        as their rows and weights say. For two classes also `metabalance.Costs`,
        `metabalance.RecallAtLeast`, `metabalance.PrecisionAtLeast` or `metabalance.AlertsAtMost`, whose
        threshold is chosen on held-out rows.
    callbacks : list of skorch callbacks, optional
        Run after ours and before early stopping: at the end of an epoch they find the averaged parameters in
        the network (``ema_decay``). One that raises KeyboardInterrupt at the end of an epoch ends
        the training, as in skorch.
    device : {"auto", "cpu", "cuda"} or torch.device, default="auto"
        Where the data and the network live.
    random_state : int, RandomState or None, default=None
        Seed of the split, the initial weights, the batches and dropout.
    verbose : int, default=0
        1 shows a progress bar with the time left.
    **module_and_optimizer_parameters
        ``module__…`` and ``optimizer__…``.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    n_features_in_ : int
    feature_names_in_ : array of str
        Only when X had column names.
    module_ : torch.nn.Module
        The trained network, in evaluation mode.
    calibrations_ : dict
        For "meta", and "adapted" where there are adapted parameters, what held-out rows made of the outputs,
        or None: a callable, with ``decide`` and ``threshold`` (of two classes, the probability of
        ``classes_[1]`` from which it is predicted).
    history_ : list of dict
        For each epoch: train_loss, recall of the majority class and mean recall of the others on training and
        on held-out rows, valid_loss and valid_score.
    rows_drawn_ : int
        Training rows drawn over the whole fit.
    interrupted_ : bool
        Whether the user broke the fit off; the best parameters until then are kept.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from metabalance import NeuralClassifier
    >>> X, y = make_classification(600, weights=[0.9], random_state=0)
    >>> net = NeuralClassifier(sampler="over", max_epochs=5, random_state=0).fit(X, y)
    >>> net.predict_proba(X).shape
    (600, 2)
    """

    def __init__(
        self,
        *,
        sampler: Any = "natural",
        batch_size: int = 128,
        module: Any = None,
        n_members: int = 8,
        hidden_sizes: Sequence[int] = (64, 64),
        dropout: float | Sequence[float] = 0.1,
        numerical_embedding: str | None = "piecewise-linear",
        n_bins: int = 24,
        loss: Any = "cross_entropy",
        class_weight: Any = None,
        reweight_from: float = 0.0,
        label_smoothing: float = 0.0,
        augment: Any = None,
        mixing: Any = None,
        sam_rho: float | None = None,
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
        self.batch_size = batch_size
        self.module = module
        self.n_members = n_members
        self.hidden_sizes = hidden_sizes
        self.dropout = dropout
        self.numerical_embedding = numerical_embedding
        self.n_bins = n_bins
        self.loss = loss
        self.class_weight = class_weight
        self.reweight_from = reweight_from
        self.label_smoothing = label_smoothing
        self.augment = augment
        self.mixing = mixing
        self.sam_rho = sam_rho
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
        check_positive_int("batch_size", self.batch_size)
        if self.sam_rho is not None:
            check_number("sam_rho", self.sam_rho, above=0)
        check_number("reweight_from", self.reweight_from, at_least=0, below=1)
        if self.reweight_from and self.class_weight is None:
            raise ValueError(
                f"reweight_from={self.reweight_from!r} defers class weights, but there are none: give "
                'class_weight, such as "effective_number"'
            )

    @property
    def _strategies(self) -> tuple[Any, ...]:
        return (self.sampler,)

    def _make_rule(
        self,
        module: nn.Module,
        loss_fn: LossFunction,
        train: Part,
        stream_options: dict[str, Any],
        group: Any,
    ) -> UpdateRule:
        stream = BatchStream(
            *train.for_streams,
            strategy=self.sampler,
            batch_size=self.batch_size,
            device=train.x.device,
            **stream_options,
        )
        if self.sam_rho is not None:
            return SAM(module, loss_fn, stream, self.sam_rho)
        return ERM(module, loss_fn, stream)
