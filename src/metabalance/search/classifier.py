"""MS-MetaBalance: MetaBalance with the pair of sampling strategies chosen on the training data."""

import os
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import check_is_fitted

from metabalance.encoding.labels import encode_known_labels, encode_labels
from metabalance.encoding.tables import make_encoder
from metabalance.estimators import MetaBalanceClassifier
from metabalance.estimators.attempts import one_of_each_kind
from metabalance.estimators.checkpoints import NOT_ROUTED, chosen_checkpoint
from metabalance.estimators.groups import named_groups
from metabalance.estimators.parameters import is_whole_number
from metabalance.estimators.prepared import with_rows
from metabalance.estimators.scoring import check_scoring, choose_score, ranking_scorer
from metabalance.estimators.splits import check_every_class, make_splits
from metabalance.files import write_atomically
from metabalance.search.candidates import (
    all_candidates,
    check_grid,
    check_samplers,
    check_titles,
    title,
)
from metabalance.search.halving import plan_rounds
from metabalance.search.kept_trials import kept_trials
from metabalance.search.memory import opened_memory
from metabalance.search.results import as_cv_results, as_json, as_standings
from metabalance.search.rounds import remember_pools, run_rounds, seeded_copy
from metabalance.search.trials import Fold, Task, Workers

PAPER_STRATEGIES = ("natural", "over", "under", "smote", "svmsmote", "enn", "cluster_centroids")
RESULTS_FILE = "search.json"


class MSMetaBalanceClassifier(ClassifierMixin, BaseEstimator):
    """MetaBalance with its pair of sampling strategies chosen by cross-validation (MS-MetaBalance [1]_).

    Every pair of a support and a query strategy, with every further setting in ``param_grid``, is scored on
    the same folds of the training data; the best is fitted to all of them. Weak candidates are discarded
    early: successive halving gives all candidates few epochs and fewer and fewer of them more. Whatever a
    strategy makes of a fold's rows is computed once and shared by all candidates that use it.

    ``best_score_`` is the highest of many scores on the same folds and therefore too good: what to expect of
    the chosen pair on new data is what `compare` measures for the method "ms-metabalance", which chooses
    anew inside each training part.

    Parameters
    ----------
    estimator : MetaBalanceClassifier, optional
        Everything that is not searched: network, budget, batch sizes. By default one with its defaults.
    support_samplers, query_samplers : sequence of str or sampler
        Strategies to try in the inner and the outer loop; by default the paper's seven. One that cannot work
        on the data (SMOTE on categories) is left out with a warning.
    param_grid : mapping of str to list, optional
        More parameters of the estimator to try, such as ``{"inner_lr": [0.01, 0.1, 1], "beta": [0, 0.5]}``,
        ``module__…`` and ``optimizer__…`` included.
    scoring : str, scorer or None, default=None
        What candidates are scored by, and `score`; None is ROC-AUC (one-vs-rest for many classes). One that
        is given is followed by early stopping, too, unless the estimator has a ``scoring`` of its own. A
        scorer given by name takes the rarer of two classes as the positive one.
    cv : int, splitter or iterable of (train, test), default=3
        An int means that many stratified, shuffled folds. Each part must hold every class.
    halving : int or None, default=3
        A round keeps the best 1/halving of its candidates and gives them ``halving`` times the epochs. None
        trains every candidate for all epochs. If every candidate of a later round fails, the search ends with
        a warning: the round before it decides, and its winner is fitted with the epochs that it had there.
    refit : bool, default=True
        Fit the best candidate to all rows; prediction needs it.
    n_jobs : int, optional
        Fits at a time, as in joblib; -1 uses all cores. The result does not depend on it. Each fit runs on
        one thread of a process of its own; under a joblib backend of threads, and inside a worker of another
        joblib call, there is one fit at a time.
    memory : str, joblib.Memory or None, default=None
        Where resampled rows are kept; by default in a temporary folder that is removed at the end, and on a
        cluster nowhere: every fit resamples. A folder of your own also serves later searches on the same
        rows; all machines of a cluster must see it.
    random_state : int, RandomState or None, default=None
        Seed of the folds and of every fit, unless the estimator has a ``random_state`` of its own.
    verbose : int, default=0
        1 shows a progress bar for each round.

    Attributes
    ----------
    best_params_, best_score_, best_index_
        The winner, its mean score over the folds and its row in ``cv_results_``.
    best_estimator_ : MetaBalanceClassifier
        Fitted to all rows; only with ``refit``.
    cv_results_ : dict of arrays
        As in scikit-learn's halving searches: a row for each candidate in each round, with ``iter`` and
        ``n_resources`` (epochs). ``rank_test_score`` puts later rounds first and compares within a round.
    standings_ : DataFrame
        A row for each candidate after its last round, the best first. ``finished`` are those that have a
        score of the last round. A round in which every candidate failed is in ``cv_results_`` only.
    left_out_ : dict of str to str
        Strategies that cannot work on these data, and why.
    rounds_ : list of (candidates, epochs)
        As planned.
    n_splits_ : int
    rows_drawn_ : int
        Training rows that all fits drew together, that of ``best_estimator_`` included.
    search_seconds_, refit_time_ : float
    classes_, n_features_in_, feature_names_in_, history_, interrupted_
        Those of ``best_estimator_``.

    References
    ----------
    .. [1] Bansal, Goldblum, Cherepanova, Schwarzschild, Bruss, Goldstein. MetaBalance: High-Performance
    Neural
       Networks for Class-Imbalanced Data. 2021, arXiv:2106.09643, Table 2.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from metabalance import MetaBalanceClassifier, MSMetaBalanceClassifier
    >>> X, y = make_classification(600, weights=[0.9], random_state=0)
    >>> search = MSMetaBalanceClassifier(
    ...     MetaBalanceClassifier(max_epochs=2),
    ...     support_samplers=["natural"],
    ...     query_samplers=["under", "over"],
    ...     cv=2,
    ...     random_state=0,
    ... ).fit(X, y)
    >>> sorted(search.best_params_), len(search.standings_)
    (['query_sampler', 'support_sampler'], 2)
    >>> search.predict_proba(X).shape
    (600, 2)
    """

    def __init__(
        self,
        estimator: Any = None,
        *,
        support_samplers: Sequence[Any] = PAPER_STRATEGIES,
        query_samplers: Sequence[Any] = PAPER_STRATEGIES,
        param_grid: Mapping[str, Sequence[Any]] | None = None,
        scoring: Any = None,
        cv: Any = 3,
        halving: int | None = 3,
        refit: bool = True,
        n_jobs: int | None = None,
        memory: Any = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.support_samplers = support_samplers
        self.query_samplers = query_samplers
        self.param_grid = param_grid
        self.scoring = scoring
        self.cv = cv
        self.halving = halving
        self.refit = refit
        self.n_jobs = n_jobs
        self.memory = memory
        self.random_state = random_state
        self.verbose = verbose

    __metadata_request__fit = NOT_ROUTED

    def fit(
        self, X: Any, y: Any, balance_by: Any = None, checkpoint: Any = None, resume: bool = False
    ) -> Self:
        """Choose the pair of strategies on rows X with labels y, and fit it to all of them.

        Parameters
        ----------
        X : DataFrame or array of shape (n_rows, n_features), or array of shape (n_rows, …)
            As for the estimator.
        y : array of shape (n_rows,)
            Labels of any kind, at least two classes.
        balance_by : array of shape (n_rows,) or (n_rows, k), optional
            Groups to balance in the place of classes, as for the estimator. Strategies other than "natural",
            "under" and "over" are then left out.
        checkpoint : path-like or `Checkpoint`, optional
            A folder to keep every fit's score in as soon as it is there, and checkpoints of the last fit, to
            all rows. ``random_state`` must be a whole number.
        resume : bool, default=False
            Take what is in the folder, if anything is, and do the rest.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            If a parameter, X or y cannot be used, no strategy can work on the data, or no candidate can be
            trained.
        """
        self.check_parameters()
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        make_encoder(X)  # says what is wrong with data whose rows cannot be taken
        X = with_rows(X)
        check_consistent_length(X, y)
        started = time.perf_counter()
        kept_in = chosen_checkpoint(checkpoint, resume, self.random_state)
        classes, codes = encode_labels(y)
        groups = None if balance_by is None else named_groups("balance_by", balance_by, len(codes))
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)  # of an earlier fit, lest a failure leave a mixture
        base = self._base()
        random = check_random_state(self.random_state)
        split_seed, refit_seed, fold_seed = random.randint(2**31 - 1, size=3).tolist()
        labels = [str(label) for label in classes]
        splits = make_splits(self.cv, X, codes, labels, split_seed)
        check_every_class(splits, codes, labels)
        folds = [Fold(train, test, (fold_seed + place) % 2**31) for place, (train, test) in enumerate(splits)]
        task = Task(X, codes, classes, self._scoring_of(len(classes)), groups)
        trials = None if kept_in is None else kept_trials(kept_in, self, base, task, folds)

        workers = Workers(self.n_jobs, self.verbose)
        with opened_memory(self.memory) as memory:
            pools = remember_pools(base, self._samplers(), folds, task, memory, workers)
            candidates = all_candidates(
                self.support_samplers,
                self.query_samplers,
                check_grid(self.param_grid, base.get_params(deep=False)),
                pools.left_out,
            )
            rounds = plan_rounds(len(candidates), base.max_epochs, self.halving)
            entries = run_rounds(base, candidates, pools.given, rounds, folds, task, workers, trials)
        for line in one_of_each_kind(workers.warnings):
            warnings.warn(line, UserWarning, stacklevel=2)

        self._class_counts = np.bincount(codes)
        self.left_out_ = pools.left_out
        self.rounds_ = rounds
        self.n_splits_ = len(folds)
        self.cv_results_ = as_cv_results(entries, self.n_splits_)
        self.standings_ = as_standings(entries)
        self.best_index_ = int(self.cv_results_["rank_test_score"].argmin())
        self.best_params_ = entries[self.best_index_].params
        self.best_score_ = entries[self.best_index_].mean
        self.rows_drawn_ = sum(trial.rows_drawn for entry in entries for trial in entry.trials)
        self.search_seconds_ = time.perf_counter() - started
        if self.refit:
            # All epochs, unless the rounds that had more than the winner's failed: the fit would, too.
            epochs = entries[self.best_index_].epochs
            best = seeded_copy(base, refit_seed, **self.best_params_, max_epochs=epochs)
            grouped = {} if balance_by is None else {"balance_by": balance_by}
            # Its own checkpoints are in the same folder, which is of this search.
            kept: dict[str, Any] = {} if kept_in is None else {"checkpoint": kept_in, "resume": True}
            self.best_estimator_ = best.fit(X, y, **grouped, **kept)
            self.refit_time_ = time.perf_counter() - started - self.search_seconds_
            self.rows_drawn_ += self.best_estimator_.rows_drawn_
        return self

    def check_parameters(self) -> None:
        """Raise ValueError or TypeError for parameters that no data could be searched with."""
        if self.estimator is not None and not isinstance(self.estimator, MetaBalanceClassifier):
            raise TypeError(f"estimator must be a MetaBalanceClassifier or None, got {self.estimator!r}")
        check_samplers("support_samplers", self.support_samplers)
        check_samplers("query_samplers", self.query_samplers)
        check_titles(self.support_samplers, self.query_samplers)
        check_scoring(self.scoring)
        if self.halving is not None and not (is_whole_number(self.halving) and self.halving >= 2):
            raise ValueError(f"halving must be None or a whole number of at least 2, got {self.halving!r}")
        base = self._base()
        for params in check_grid(self.param_grid, base.get_params(deep=False)):
            clone(base).set_params(**params).check_parameters()

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the label of each row by the best candidate, as its ``decision`` says, shape (n_rows,)."""
        return self._refitted().predict(X)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return class probabilities by the best candidate, shape (n_rows, n_classes)."""
        return self._refitted().predict_proba(X)

    def _scoring_of(self, n_classes: int) -> Any:
        return ranking_scorer(n_classes) if self.scoring is None else self.scoring

    def score(self, X: Any, y: Any) -> float:
        """Return what the best candidate scores on rows X with labels y, by the ``scoring`` of the search.

        By default that is ROC-AUC, not accuracy. scikit-learn's ``cross_val_score`` and ``GridSearchCV`` go
        by it, unless they have a scoring of their own.

        Raises
        ------
        ValueError
            If y holds labels that were not there in `fit`, or the rows cannot be scored: ROC-AUC needs every
            class.
        """
        best = self._refitted()
        codes = encode_known_labels(y, best.classes_)
        check_consistent_length(X, codes)
        scoring = self._scoring_of(len(best.classes_))
        score = choose_score(scoring, best.classes_, self._class_counts)
        proba = best.predict_proba(X)
        return score(proba, codes, encode_known_labels(best.decide(proba), best.classes_))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the best candidate's model to a folder, and with it the results of the search as JSON.

        `MetaBalanceClassifier.load` and ``metabalance predict`` read it.
        """
        self._refitted().save(path)
        self.to_json(Path(path) / RESULTS_FILE)

    def export_onnx(self, path: str | os.PathLike[str]) -> Path:
        """Write the best candidate's model as an ONNX file; see `MetaBalanceClassifier.export_onnx`."""
        return self._refitted().export_onnx(path)

    def to_html(
        self, path: str | os.PathLike[str], *, dataset: str = "data", command: str | None = None
    ) -> Path:
        """Write the report, one self-contained HTML file; see `metabalance.report.render_search_html`."""
        from metabalance.report import write_search_report  # the report is made from this class

        check_is_fitted(self)
        return write_search_report(self, path, dataset=dataset, command=command)

    def to_json(self, path: str | os.PathLike[str]) -> Path:
        """Write all results as JSON; NaN is null.

        Raises
        ------
        ValueError
            If the file cannot be written; one that was there is then as before.
        """
        check_is_fitted(self)
        results = {
            "best_params": self.best_params_,
            "best_score": self.best_score_,
            "n_splits": self.n_splits_,
            "rounds": [each._asdict() for each in self.rounds_],
            "left_out": self.left_out_,
            "search_seconds": self.search_seconds_,
            "rows_drawn": self.rows_drawn_,
            "cv_results": self.cv_results_,
        }
        return write_atomically(path, as_json(results).encode())

    @property
    def classes_(self) -> NDArray[Any]:
        """Labels in the order of the columns of ``predict_proba``."""
        classes: NDArray[Any] = self.best_estimator_.classes_
        return classes

    @property
    def n_features_in_(self) -> int:
        """Columns of the table."""
        return int(self.best_estimator_.n_features_in_)

    @property
    def feature_names_in_(self) -> NDArray[Any]:
        """Column names; only when X had such."""
        names: NDArray[Any] = self.best_estimator_.feature_names_in_
        return names

    @property
    def history_(self) -> list[dict[str, float]]:
        """The epochs of the fit to all rows."""
        return self.best_estimator_.history_

    @property
    def interrupted_(self) -> bool:
        """Whether the user broke the fit to all rows off."""
        return self.best_estimator_.interrupted_

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that missing values are welcome."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _base(self) -> MetaBalanceClassifier:
        base = MetaBalanceClassifier() if self.estimator is None else clone(self.estimator)
        return base.set_params(scoring=self.scoring) if base.scoring is None else base

    def _samplers(self) -> dict[str, Any]:
        return {title(each): each for each in (*self.support_samplers, *self.query_samplers)}

    def _refitted(self) -> MetaBalanceClassifier:
        check_is_fitted(self)
        if "best_estimator_" not in vars(self):
            raise ValueError("this search was made with refit=False: fit an estimator with best_params_")
        return self.best_estimator_
