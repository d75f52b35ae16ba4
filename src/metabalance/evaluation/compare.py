"""Cross-validated comparison of methods on the same folds."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from sklearn.utils import check_consistent_length

from metabalance.encoding.labels import encode_labels
from metabalance.encoding.tables import refuse_single
from metabalance.estimators.attempts import Attempt
from metabalance.estimators.checkpoints import chosen_checkpoint
from metabalance.estimators.groups import encode_groups, named_groups
from metabalance.estimators.parameters import check_positive_int, check_seed
from metabalance.estimators.splits import Codes, make_splits
from metabalance.estimators.workers import in_processes
from metabalance.evaluation.comparison import Comparison
from metabalance.evaluation.described import (
    collect_warnings,
    describe_choices,
    describe_groups,
    describe_parts,
    describe_settings,
)
from metabalance.evaluation.environment import describe_environment
from metabalance.evaluation.fold_fits import Data, Fitted, Task, by_method, run_task
from metabalance.evaluation.kept_fits import kept_results, run_in_words
from metabalance.evaluation.methods import DEFAULT_METHODS, Method, resolve_method, with_ablations


def compare(
    X: Any,
    y: Any,
    *,
    methods: Sequence[Any] | None = None,
    cv: Any = 5,
    n_seeds: int = 1,
    scoring: Any = None,
    max_epochs: int = 50,
    network: Mapping[str, Any] | None = None,
    balance_by: Any = None,
    report_by: Any = None,
    random_state: int = 0,
    checkpoint: Any = None,
    resume: bool = False,
    n_jobs: int | None = None,
    verbose: int = 0,
    dataset: str = "data",
    command: str | None = None,
) -> Comparison:
    """Train and score methods on the same cross-validation folds.

    Every network gets the same architecture, the same budget of drawn training rows and the same early
    stopping; encoding, resampling and the validation split happen inside each fold's training part. The
    no-adaptation ablation of every MetaBalance method is added where it is not listed: it shows which part of
    a gain is the meta-gradient and which the balanced batches.

    Parameters
    ----------
    X : DataFrame or array of shape (n_rows, …)
    y : array-like of shape (n_rows,)
        Labels. Of two classes, the rarer one is the positive class of ROC-AUC and average precision.
    methods : sequence of str or (str, classifier), optional
        Names (see `method_names`), such as "naive", "smote", "metabalance:natural/under", "lightgbm", or
        pairs of a name and a classifier of your own.
    cv : int, splitter or iterable of (train, test), default=5
        An int means that many stratified, shuffled folds.
    n_seeds : int, default=1
        Fits of each method on each split, with different seeds.
    scoring : str or scorer, optional
        What early stopping follows; None is refinement, minus the calibrated cross-entropy of held-out rows
        (see `NeuralClassifier`).
    max_epochs : int, default=50
        Budget of every network, in epochs (see `NeuralClassifier` for what an epoch is).
    network : dict, optional
        More options for every network: any parameter that `NeuralClassifier`, `MetaBalanceClassifier` and
        `MetaWeightNetClassifier` share, such as ``hidden_sizes`` or ``module``.
    balance_by : array of shape (n_rows,) or (n_rows, k), optional
        Groups, such as sex or region, that every network's sampling strategies balance in the place of
        classes, as in the ``fit`` of `NeuralClassifier`. Networks whose strategy cannot are left out; rivals,
        and classifiers of your own that are none of this library's, are fitted as ever.
    report_by : array of shape (n_rows,) or (n_rows, k), optional
        Groups whose metrics are to be reported, one by one: see `Comparison.group_frame`.
    random_state : int, default=0
        Seed of the folds and of every fit.
    checkpoint : path-like, optional
        A folder to keep the result of every fit in as soon as it is there.
    resume : bool, default=False
        Take what is in the folder of an earlier run with the same data, folds and options, and do the rest;
        methods may be other ones. The numbers are the same as if it had never been broken off.
    n_jobs : int, optional
        Fits at a time, each in a process of its own, as in joblib; -1 uses all cores. The result does not
        depend on it.
    verbose : int, default=0
        1 shows a progress bar.
    dataset : str, default="data"
        Name in the report.
    command : str, optional
        The command line to quote in the report.

    Returns
    -------
    Comparison
        ``.frame`` is the leaderboard; ``.to_html`` and ``.to_json`` write it out.

    Raises
    ------
    ValueError, TypeError
        If the data, the folds or a method's name cannot be used, or if no method can run on the data.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> import metabalance as mb
    >>> X, y = make_classification(400, weights=[0.9], random_state=0)
    >>> comparison = mb.compare(X, y, methods=["naive", "logistic-regression"], cv=2, max_epochs=3)
    >>> sorted(comparison.frame.index)
    ['logistic-regression', 'naive']
    """
    started = time.perf_counter()
    refuse_single(X)
    check_consistent_length(X, y)
    check_positive_int("n_seeds", n_seeds)
    check_seed("random_state", random_state)
    classes, codes = _codes_by_frequency(y)
    labels = [str(label) for label in classes]
    data = Data(
        X,
        codes,
        classes,
        None if balance_by is None else named_groups("balance_by", balance_by, len(codes)),
        None if report_by is None else encode_groups("report_by", report_by, len(codes)),
    )
    splits = make_splits(cv, X, codes, labels, random_state)
    chosen = _choose_methods(DEFAULT_METHODS if methods is None else methods)
    shared = {"max_epochs": max_epochs, "scoring": scoring}
    if not isinstance(network, Mapping | None):
        raise TypeError(f"network must be a dict of options, such as {{'lr': 0.001}}, got {network!r}")
    taken = [name for name in (network or {}) if name in (*shared, "random_state")]
    if taken:
        raise ValueError(f"network holds {taken[0]!r}, which is an argument of compare itself: pass it there")
    shared |= network or {}
    _check_networks(chosen, shared)

    alike: dict[Any, list[Method]] = {}
    for method in chosen:
        alike.setdefault(method.build, []).append(method)
    tasks = [
        Task(tuple(methods_of_fit), split, seed, train, test)
        for split, (train, test) in enumerate(splits)
        for seed in range(n_seeds)
        for methods_of_fit in alike.values()
    ]
    pieces = {task.name: (task, data, shared, random_state) for task in tasks}
    kept_in = chosen_checkpoint(checkpoint, resume, random_state)
    attempts: Iterable[Attempt[list[Fitted]]]
    if kept_in is None:
        kept, attempts = 0, in_processes(run_task, pieces.values(), n_jobs)
    else:
        made_of = run_in_words(data, splits, {**shared, "random_state": random_state}, methods)
        results = kept_results(kept_in, made_of, len(classes))
        kept, attempts = results.count(pieces), results.run(run_task, pieces, n_jobs)
    if verbose:
        attempts = track(attempts, "comparing", total=len(tasks), console=Console(stderr=True))
    finished = [
        outcome for task, tried in zip(tasks, attempts, strict=True) for outcome in by_method(task, tried)
    ]
    skipped = {name: tried.failure for name, tried in finished if tried.failure is not None}
    order = {method.info.name: position for position, method in enumerate(chosen)}
    fitted = sorted(
        (tried.value for name, tried in finished if tried.value is not None and name not in skipped),
        key=lambda each: (each.result.split, each.result.seed, order[each.result.method]),
    )
    if not fitted:
        name, reason = next(iter(skipped.items()))
        raise ValueError(f"no method can run on these data; {name}: {reason}")
    return Comparison(
        dataset=dataset,
        n_rows=len(codes),
        n_features=int(np.prod(np.shape(X)[1:])),
        classes=tuple(labels),
        class_counts=dict(zip(labels, np.bincount(codes).tolist(), strict=True)),
        methods=tuple(method.info for method in chosen if method.info.name not in skipped),
        results=tuple(each.result for each in fitted),
        skipped={name: skipped[name] for name in order if name in skipped},
        settings={
            **describe_settings(cv, len(splits), n_seeds, random_state, scoring, max_epochs, network),
            **describe_choices(fitted),
            "prior": describe_parts(splits, codes),
            **describe_groups("groups balanced in the place of classes", balance_by, len(codes)),
            **describe_groups("groups reported", report_by, len(codes)),
            **({"resumed": f"{kept} of {len(tasks)} fits are those of an earlier run"} if kept else {}),
            "warnings": collect_warnings(finished),
        },
        environment=describe_environment(),
        seconds=time.perf_counter() - started,
        command=command,
    )


def _codes_by_frequency(y: Any) -> tuple[NDArray[Any], Codes]:
    """Classes and codes, the most frequent class first, so that of two the rare one has code 1."""
    classes, codes = encode_labels(y)
    counts = np.bincount(codes)
    by_frequency = np.argsort(-counts, kind="stable")
    rank = np.empty_like(by_frequency)
    rank[by_frequency] = np.arange(len(classes))
    return classes[by_frequency], rank[codes]


def _choose_methods(specs: Sequence[Any]) -> tuple[Method, ...]:
    if isinstance(specs, str) or not specs:
        raise ValueError(f"methods must be a list of at least one method, got {specs!r}")
    chosen = with_ablations(tuple(resolve_method(spec) for spec in specs))
    repeated = [name for name, n in Counter(method.info.name for method in chosen).items() if n > 1]
    if repeated:
        raise ValueError(f"methods are listed more than once: {', '.join(repeated)}")
    return chosen


def _check_networks(methods: Sequence[Method], shared: Mapping[str, Any]) -> None:
    """Raise now for options that no data could be fitted with, rather than leave every network out."""
    for method in methods:
        if method.info.family != "rival":
            method.build(shared, 0).check_parameters()
