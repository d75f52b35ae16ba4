"""Cross-validated comparison of methods on the same folds."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from sklearn.base import clone
from sklearn.utils import _safe_indexing, check_consistent_length

from metabalance.estimators.attempts import Attempt, attempt, one_of_each_kind
from metabalance.estimators.base import ImbalancedClassifier
from metabalance.estimators.groups import encode_groups, named_groups
from metabalance.estimators.labels import encode_labels
from metabalance.estimators.loops import PATIENCE
from metabalance.estimators.parameters import check_positive_int, check_seed, is_whole_number
from metabalance.estimators.splits import Codes, Split, make_splits
from metabalance.estimators.workers import in_processes
from metabalance.evaluation.by_group import score_groups
from metabalance.evaluation.comparison import Comparison, FoldResult
from metabalance.evaluation.environment import describe_environment
from metabalance.evaluation.methods import DEFAULT_METHODS, Method, resolve_method, with_ablations
from metabalance.evaluation.metrics import recall_per_class, score_predictions
from metabalance.evaluation.tuned_network import TunedNetwork
from metabalance.search import MSMetaBalanceClassifier
from metabalance.search.candidates import describe
from metabalance.training import MAX_ROWS_PER_EPOCH, MIN_ROWS_PER_EPOCH


@dataclass(frozen=True)
class _Data:
    """The rows, the codes of their labels into ``classes``, and groups where there are such.

    Of those to balance, a name for each row; of those to report, all names and a code for each row.
    """

    X: Any
    codes: Codes
    classes: NDArray[Any]
    balance_by: NDArray[Any] | None
    report_by: tuple[list[str], Codes] | None


@dataclass(frozen=True)
class _Task:
    """One fit on a split with a seed, for all methods that are built alike and differ in what comes after."""

    methods: tuple[Method, ...]
    split: int
    seed: int
    train: NDArray[np.intp]
    test: NDArray[np.intp]


@dataclass(frozen=True)
class _Fitted:
    """What a fit came to: its result, and the candidate that it chose where it is a search."""

    result: FoldResult
    chosen: str | None


# What came of a task for one of its methods, with the name of that.
_Outcome = tuple[str, Attempt[_Fitted]]


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
    check_consistent_length(X, y)
    check_positive_int("n_seeds", n_seeds)
    check_seed("random_state", random_state)
    classes, codes = _codes_by_frequency(y)
    labels = [str(label) for label in classes]
    data = _Data(
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
        _Task(tuple(methods_of_fit), split, seed, train, test)
        for split, (train, test) in enumerate(splits)
        for seed in range(n_seeds)
        for methods_of_fit in alike.values()
    ]
    pieces = [(task, data, shared, random_state) for task in tasks]
    outcomes: Iterable[list[_Outcome]] = in_processes(_run, pieces, n_jobs)
    if verbose:
        outcomes = track(outcomes, "comparing", total=len(tasks), console=Console(stderr=True))
    finished: list[_Outcome] = [outcome for of_task in outcomes for outcome in of_task]
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
            **_settings(cv, len(splits), n_seeds, random_state, scoring, max_epochs, network),
            **_choices(fitted),
            "prior": _describe_parts(splits, codes),
            **_sizes("groups balanced in the place of classes", balance_by, len(codes)),
            **_sizes("groups reported", report_by, len(codes)),
            "warnings": _collected_warnings(finished),
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


def _run(task: _Task, data: _Data, shared: Mapping[str, Any], random_state: int) -> list[_Outcome]:
    """Fit once and score each method."""
    tried = attempt(lambda: _fit_and_score(task, data, shared, random_state))
    found = [None] * len(task.methods) if tried.value is None else tried.value
    return [
        (method.info.name, Attempt(value, tried.failure, tried.warnings))
        for method, value in zip(task.methods, found, strict=True)
    ]


def _fit_and_score(task: _Task, data: _Data, shared: Mapping[str, Any], random_state: int) -> list[_Fitted]:
    # Seeds differ between splits and repetitions, not between methods, which thus start alike.
    entropy = np.random.SeedSequence([random_state, task.split, task.seed])
    classifier = clone(task.methods[0].build(shared, int(entropy.generate_state(1)[0] % 2**31)))
    search = classifier if isinstance(classifier, MSMetaBalanceClassifier | TunedNetwork) else None
    network = classifier if isinstance(classifier, ImbalancedClassifier) else search
    started = time.perf_counter()
    y_train = data.classes[data.codes[task.train]]
    grouped = (
        {} if network is None or data.balance_by is None else {"balance_by": data.balance_by[task.train]}
    )
    classifier.fit(_safe_indexing(data.X, task.train), y_train, **grouped)
    fitted = time.perf_counter()
    if network is not None and network.interrupted_:
        raise KeyboardInterrupt
    given = np.asarray(classifier.predict_proba(_safe_indexing(data.X, task.test)), dtype=np.float64)
    predicted = time.perf_counter()
    counts = np.bincount(np.searchsorted(classifier.classes_, y_train))
    y_test = data.codes[task.test]
    found = []
    for method in task.methods:
        proba = given if method.post_hoc is None else method.post_hoc(given, counts)
        proba = _columns_for_all(proba, classifier.classes_, data.classes)
        result = FoldResult(
            method=method.info.name,
            split=task.split,
            seed=task.seed,
            metrics=score_predictions(y_test, proba),
            recall=dict(zip(map(str, data.classes), recall_per_class(y_test, proba).tolist(), strict=True)),
            fit_seconds=fitted - started,
            predict_seconds=predicted - fitted,
            rows_drawn=None if network is None else network.rows_drawn_,
            y_true=y_test,
            proba=proba.astype(np.float32),
            history=() if network is None else tuple(network.history_),
            by_group=_by_group(data, task, y_test, proba),
        )
        found.append(_Fitted(result, None if search is None else describe(search.best_params_)))
    return found


def _by_group(
    data: _Data, task: _Task, y_test: Codes, proba: NDArray[np.float64]
) -> dict[str, dict[str, float]]:
    if data.report_by is None:
        return {}
    names, groups = data.report_by
    return score_groups(y_test, proba, groups[task.test], names)


def _collected_warnings(outcomes: Sequence[_Outcome]) -> list[str]:
    """One line for each kind of warning of each method."""
    by_method: dict[str, list[str]] = {}
    for name, tried in outcomes:
        by_method.setdefault(name, []).extend(tried.warnings)
    return [f"{name}: {line}" for name in sorted(by_method) for line in one_of_each_kind(by_method[name])]


def _choices(fitted: Sequence[_Fitted]) -> dict[str, str]:
    """Under a heading for each search, what it chose in each training part and how often."""
    chosen: dict[str, Counter[str]] = {}
    for each in fitted:
        if each.chosen is not None:
            chosen.setdefault(each.result.method, Counter())[each.chosen] += 1
    return {
        f"chosen by {name}": "; ".join(f"{pair} ({times}×)" for pair, times in counts.most_common())
        for name, counts in chosen.items()
    }


def _columns_for_all(
    proba: NDArray[np.float64], trained: NDArray[Any], classes: NDArray[Any]
) -> NDArray[np.float64]:
    """Probabilities with a column for every class, also those that the training part did not have."""
    position = {label: code for code, label in enumerate(classes.tolist())}
    full = np.zeros((len(proba), len(classes)))
    full[:, [position[label] for label in np.asarray(trained).tolist()]] = proba
    return full


def _describe_parts(splits: Sequence[Split], codes: Codes) -> str:
    """What the training and the test parts look like; a splitter may thin the training parts only."""
    sizes = [len(train) for train, _ in splits]
    counts = [np.bincount(codes[train], minlength=int(codes.max()) + 1) for train, _ in splits]
    ratio = np.median([count.max() / max(1, count[count > 0].min()) for count in counts])
    rows = f"{min(sizes):,}" if min(sizes) == max(sizes) else f"{min(sizes):,} to {max(sizes):,}"
    return (
        f"Training parts have {rows} rows, {ratio:.1f} of the most frequent class for each of the rarest. "
        "Metrics are taken on the test parts as they are, at their own class frequencies. Balanced accuracy, "
        "macro F1 and recalls are those of the most probable class, which favours methods whose "
        "probabilities speak of equal class frequencies: all networks here but the naive one, and balanced "
        "rivals. ROC-AUC and average precision do not depend on a threshold."
    )


def _sizes(title: str, groups: Any, n_rows: int) -> dict[str, str]:
    """How many rows each group has."""
    if groups is None:
        return {}
    names, codes = encode_groups(title, groups, n_rows)
    sizes = zip(names, np.bincount(codes).tolist(), strict=True)
    return {title: ", ".join(f"{name} ({size:,} rows)" for name, size in sizes)}


def _settings(
    cv: Any,
    n_splits: int,
    n_seeds: int,
    random_state: int,
    scoring: Any,
    max_epochs: int,
    network: Mapping[str, Any] | None,
) -> dict[str, Any]:
    early = (network or {}).get("early_stopping", True)
    followed = "refinement (calibrated cross-entropy)" if scoring is None else scoring
    patience = PATIENCE if early is True else early
    return {
        "cv": f"{cv} stratified folds" if is_whole_number(cv) else f"{n_splits} splits of {cv!r:.200}",
        "n_seeds": n_seeds,
        "random_state": random_state,
        "scoring": "refinement" if scoring is None else str(scoring),
        "budget": (
            f"Every network may draw the same number of training rows: epochs: {max_epochs} at most, each of "
            f"as many rows as its training part has, but from {MIN_ROWS_PER_EPOCH:,} to "
            f"{MAX_ROWS_PER_EPOCH:,} (support and query rows count). "
            "Each network of a search has that budget. "
            "Networks of your own run as given; the rivals fit all rows of the training part "
            "but what they hold out themselves, some after choosing settings on parts of it."
        ),
        "early_stopping": (
            f"Every network stops after {patience} epochs without a better {followed} on held-out rows of "
            "its training part (each member of the default network has its own), and keeps its best epoch."
            if early
            else "No early stopping: every network trains for all its epochs."
        ),
        "network": {name: repr(value) for name, value in (network or {}).items()},
    }
