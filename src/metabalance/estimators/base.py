"""What the estimators share: from a table to a trained network and back to labels."""

import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from metabalance.estimators.batches import Changes
from metabalance.estimators.checkpoints import (
    NOT_ROUTED_NETWORK,
    chosen_checkpoint,
    made_of,
    refuse_callbacks,
)
from metabalance.estimators.choices import choose_module
from metabalance.estimators.layout import TableLayout, describe_table
from metabalance.estimators.loops import make_loop
from metabalance.estimators.losses import choose_loss, cosine_scale, decision_aim, loss_on_outputs
from metabalance.estimators.outputs import Output, check_output_parameters, outputs_in_words
from metabalance.estimators.parameters import check_shared_parameters
from metabalance.estimators.persistence import load_model, save_model
from metabalance.estimators.predicting import PredictingNetwork
from metabalance.estimators.prepared import Prepared, prepare_rows
from metabalance.estimators.prepared_large import prepare_large
from metabalance.estimators.scoring import choose_score
from metabalance.estimators.trained import REFIT_BROKEN_OFF, REFIT_CHANGES_NOTHING, Trained, train_again
from metabalance.large.table import LargeTable
from metabalance.meta.checks import trainable_parameters
from metabalance.nn import LossFunction
from metabalance.sampling import chooses_rows
from metabalance.training import (
    EpochScores,
    Look,
    Part,
    Saver,
    Shared,
    UpdateRule,
    agreed,
    is_small,
    look_at_members,
    look_at_parts,
    one_thread,
    predict_members,
    predict_probabilities,
    resolve_device,
    seeded,
)

WATCHED_ROWS = 1024


class ImbalancedClassifier(PredictingNetwork, ABC):
    """The template of a fit; subclasses say which update rule trains and which parameters predict."""

    # Set by the subclasses' constructors, whose signatures scikit-learn reads; not all have the last two.
    module: Any
    n_members: int
    hidden_sizes: Any
    dropout: Any
    numerical_embedding: str | None
    n_bins: int
    loss: Any
    class_weight: Any
    label_smoothing: float
    optimizer: Any
    lr: float
    weight_decay: float
    max_grad_norm: float | None
    ema_decay: float | None
    lr_schedule: str
    augment: Any
    max_epochs: int
    early_stopping: bool | int
    validation_fraction: float
    refit: bool
    scoring: Any
    calibration: str | None
    prior: Any
    decision: Any
    callbacks: Any
    device: Any
    random_state: Any
    verbose: int
    mixing: Any = None
    reweight_from: float = 0.0

    __metadata_request__fit = NOT_ROUTED_NETWORK

    @abstractmethod
    def _check_own_parameters(self) -> None:
        """Check the parameters that only this estimator has."""

    @abstractmethod
    def _make_rule(
        self,
        module: nn.Module,
        loss_fn: LossFunction,
        train: Part,
        stream_options: dict[str, Any],
        group: Any,
    ) -> UpdateRule:
        """Return the update rule over the training rows; the options are those that all streams take.

        The group is that of processes which share out the meta steps, or None.
        """

    @property
    @abstractmethod
    def _strategies(self) -> tuple[Any, ...]:
        """The sampling strategies that rows are drawn by."""

    def fit(
        self,
        X: Any,
        y: Any,
        balance_by: Any = None,
        checkpoint: Any = None,
        resume: bool = False,
        process_group: Any = None,
    ) -> Self:
        """Train a network on rows X with labels y.

        Encoding, resampling and holding rows out all happen in here. Rows that are held out are never
        resampled nor trained on; where each member of the default network holds out rows of its own, the
        encoding, which looks at no label, is fitted to all rows.

        Parameters
        ----------
        X : DataFrame or array of shape (n_rows, n_features), or array of shape (n_rows, …), or a large table
            Numbers, booleans, strings, categories and missing values; images of shape (n_rows, channels,
            height, width); other arrays need ``module=``. A table larger than memory is named by its path, a
            `LargeTable` or a ``pyarrow.dataset.Dataset``, and read from disk.
        y : array of shape (n_rows,), or str
            Labels of any kind: numbers, strings, booleans; at least two classes. Of a large table, the name
            of the column that holds them.
        balance_by : array of shape (n_rows,) or (n_rows, k), optional
            Groups of any kind, such as sex, region or camera, that the strategies "under" and "over" balance
            in the place of classes; no others go with it but "natural". With k columns (of which one may be
            the label) every combination that occurs is a group. Rows are held out evenly from each.
        checkpoint : path-like or `Checkpoint`, optional
            A folder for what a fit needs to go on if it is killed, written every minute, or as often as
            `Checkpoint` says. ``random_state`` must be a whole number.
        resume : bool, default=False
            Go on from the checkpoint, if there is one; on the CPU the result is bit for bit that of a fit
            that was never broken off.
        process_group : torch.distributed.ProcessGroup, optional
            Processes that share out the meta steps of every update of `MetaBalanceClassifier`, such as
            ``torch.distributed.group.WORLD`` under ``torchrun``. All of them call `fit` with the same
            arguments, draw the same rows, and end with the same network. Only the first writes checkpoints.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter, X or y cannot be used; the message names what was found and the remedy.
        FloatingPointError
            If training diverges before an epoch was scored on held-out rows. After that, the best epoch's
            parameters are kept, with a warning.
        """
        self.check_parameters()
        if checkpoint is not None:
            refuse_callbacks(self.callbacks)
        kept = chosen_checkpoint(checkpoint, resume, self.random_state)
        prepared = self.prepare(X, y, balance_by)
        if process_group is not None:
            self._check_shared_out(process_group, prepared)
        saver, saver_again = (
            (None, None) if kept is None else kept.savers(made_of(self, prepared), process_group)
        )
        trained = self._train(prepared, process_group, saver=saver)
        trained.warn_of_divergence()
        interrupted, rows_drawn = trained.loop.interrupted_, trained.loop.budget_.rows_drawn
        final, broken_off = trained, trained.how_far_it_got(bool(self.early_stopping))
        if self.refit and prepared.valid is None:
            warnings.warn(REFIT_CHANGES_NOTHING, UserWarning, stacklevel=2)
        elif self.refit and not interrupted:
            broken_off, all_rows = REFIT_BROKEN_OFF, prepared.on_all_rows()
            final, more, interrupted = train_again(
                trained, lambda epochs: self._train(all_rows, process_group, epochs, saver_again)
            )
            rows_drawn += more

        self.set_fitted_input(
            prepared.encoder, prepared.classes, tuple(prepared.train.x.shape[1:]), prepared.device
        )
        self.module_ = final.module
        self.layout_ = final.layout
        self.cosine_scale_ = cosine_scale(self.loss)
        self.adapted_parameters_ = final.adapted
        self.calibrations_ = trained.calibrations
        self.outputs_fitted_ = outputs_in_words(self)
        self.history_ = trained.history
        self.rows_drawn_ = rows_drawn
        self.interrupted_ = interrupted
        if self.interrupted_:
            warnings.warn(broken_off, UserWarning, stacklevel=2)
        return self

    def _train(
        self, prepared: Prepared, group: Any, epochs: int | None = None, saver: Saver | None = None
    ) -> Trained:
        """Train a network, for so many epochs or as long as early stopping and ``max_epochs`` say."""
        classes, counts, train = prepared.classes, prepared.counts, prepared.train
        device = prepared.device
        with ExitStack() as stack:
            stack.enter_context(seeded(prepared.init_seed))
            layout = None
            if self.module is None and train.x.ndim == 2:
                layout = describe_table(train.x, prepared.encoder, self.numerical_embedding, self.n_bins)
            module = self.build_module(train.x[:2], len(classes), layout, cosine_scale(self.loss))
            trainable_parameters(module)  # raises where there are none
            if is_small(module, train.x):
                stack.enter_context(one_thread())
            chosen = choose_loss(
                self.loss, self.class_weight, classes, train.counts, device, self.label_smoothing
            )
            changes = Changes.chosen(self.augment, self.mixing, train.x)
            loss_fn = changes.loss(loss_on_outputs(chosen, module, prepared.holdouts))
            rule = self._make_rule(module, loss_fn, train, prepared.stream_options, group)
            rule = changes.rule(rule, prepared.init_seed)
            score = choose_score(self.scoring, classes, counts)
            if group is not None:
                rule, score = Shared(rule, group, self.meta_steps), agreed(score, group)

            watched = train.watched(WATCHED_ROWS, prepared.rng)

            def look_at(adapted: bool) -> Look:
                predict = predict_probabilities if prepared.holdouts is None else predict_members

                def predict_now() -> Callable[[Tensor], NDArray[np.float64]]:
                    parameters = rule.ready(train, adapted)
                    return lambda rows: predict(module, rows, parameters)

                if prepared.holdouts is None:
                    return look_at_parts(predict_now, train.subset(watched), prepared.valid)
                return look_at_members(predict_now, train, prepared.holdouts, watched)

            scores = EpochScores(
                look_at(self._predicts_adapted(module, train.x.ndim)),
                score,
                majority=int(counts.argmax()),
            )
            loop = make_loop(self, module, chosen, rule, len(train), scores, device, epochs, saver).train()
            adapted = rule.adapted(train)
            # Also, a network that diverged in the last steps must not pass for fitted.
            calibrations = {
                name: self._calibrate(look_at(name == "adapted"), classes, counts)
                for name in (["meta"] if adapted is None else ["meta", "adapted"])
            }
        return Trained(module.eval(), layout, adapted, calibrations, loop)

    def _check_shared_out(self, process_group: Any, prepared: Prepared) -> None:
        """Raise ValueError where processes could not train one network together."""
        raise ValueError(
            f"process_group shares out meta steps, which {type(self).__name__} does not take: fit it in one "
            "process, or take MetaBalanceClassifier(inner_lr=0), which is plain training on the query stream"
        )

    def prepare(self, X: Any, y: Any, balance_by: Any = None) -> Prepared:
        """Return what `fit` trains on: the rows encoded and split, and the seeds of all that follows.

        The same parameters, rows and ``random_state`` give the same parts, whatever the sampling strategies,
        as long as all of them draw rows as they are, or one at least makes rows up: what is resampled from
        the parts may be shared between fits.
        """
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        shared: dict[str, Any] = {
            "balance_by": balance_by,
            "device": resolve_device(self.device),
            "random_state": self.random_state,
            "holds_out": bool(self.early_stopping),
            "fraction": self.validation_fraction,
            "coded": self.module is None,
        }
        large = LargeTable.of(X)
        if large is not None:
            progress = bool(self.verbose)
            return prepare_large(large, y, strategies=self._strategies, progress=progress, **shared)
        if isinstance(y, str):
            raise TypeError(f"y={y!r} names a column, but X is no table in files: pass the labels themselves")
        members = self.n_members if self._cross_fits() else None
        return prepare_rows(X, y, cross_fitted_members=members, **shared)

    def _calibrate(self, look: Look, classes: NDArray[Any], counts: NDArray[np.int64]) -> Output | None:
        """Fit what is made of the outputs to the held-out rows, if it is wanted and there are such."""
        _, held_out = look()
        if self.calibration is None or held_out is None:
            return None
        return Output.fit(
            held_out.probabilities,
            held_out.codes,
            classes=classes,
            counts=counts.astype(float),
            kind=self.calibration,
            prior=self.prior,
            decision=self.decision,
            aim=decision_aim(self.class_weight, classes, counts),
        )

    def _cross_fits(self) -> bool:
        """Whether every member holds out rows of its own, so that all rows are trained on and judge.

        That takes rows known to be one of the table's: strategies that make rows up, mixed rows, and losses
        of the user's own, get one part that all members hold out.
        """
        return (
            (self.module, self.mixing) == (None, None)
            and self.n_members > 1
            and bool(self.early_stopping)
            and isinstance(self.loss, str)
            and all(chooses_rows(strategy) for strategy in self._strategies)
        )

    def build_module(
        self, example: Tensor, n_classes: int, layout: TableLayout | None, cosine_scale: float | None
    ) -> nn.Module:
        """Return a network of its own for encoded rows like the example; see `cosine_scale` for the last."""
        return choose_module(
            self.module,
            self.options_for("module"),
            example=example,
            n_classes=n_classes,
            layout=layout,
            n_members=self.n_members,
            hidden_sizes=self.hidden_sizes,
            dropout=self.dropout,
            cosine_scale=cosine_scale,
        )

    def check_parameters(self) -> None:
        """Raise ValueError or TypeError for parameters that no data could be fitted with."""
        self.check_free_parameters()
        check_shared_parameters(self)
        check_output_parameters(self.calibration, self.prior, self.decision, bool(self.early_stopping))
        self._check_own_parameters()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the fitted estimator as a folder with safetensors and JSON (no pickle).

        Parameters that are objects (samplers, callbacks, functions, the module) are not saved: predicting
        does not need them, except for the module, which `load` asks for.

        Raises
        ------
        ValueError
            If path is a file.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        """
        check_is_fitted(self)
        save_model(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, module: Any = None, device: Any = "auto") -> Self:
        """Return the estimator saved at path; it predicts as the saved one did.

        Parameters
        ----------
        path : path-like
            The folder given to `save`.
        module : torch.nn.Module class or instance, optional
            The network's class, where the estimator had a ``module`` of its own: loading imports no code.
        device : {"auto", "cpu", "cuda"}, default="auto"

        Raises
        ------
        FileNotFoundError
            If there is no saved model.
        ValueError
            If the files are damaged, from a newer format, of another estimator, or the network does not fit.
        """
        estimator: Self = load_model({cls.__name__: cls}, path, module, device)
        return estimator
