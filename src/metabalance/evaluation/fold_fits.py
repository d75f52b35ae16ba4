"""One fit of a comparison: train on a part of the rows, and score each method that the fit is for."""

import re
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils import _safe_indexing

from metabalance.encoding.labels import encode_known_labels
from metabalance.estimators.attempts import Attempt, attempt
from metabalance.estimators.base import ImbalancedClassifier
from metabalance.estimators.splits import Codes
from metabalance.evaluation.by_group import score_groups
from metabalance.evaluation.comparison import FoldResult
from metabalance.evaluation.confidence import Confidence
from metabalance.evaluation.methods import Method
from metabalance.evaluation.metrics import recall_per_class, score_predictions
from metabalance.evaluation.tuned_network import TunedNetwork
from metabalance.search import MSMetaBalanceClassifier
from metabalance.search.candidates import describe

LONGEST_NAME = 60  # of methods in the name of a file


@dataclass(frozen=True)
class Data:
    """The rows, the codes of their labels into ``classes``, and groups where there are such.

    Of those to balance, a name for each row; of those to report, all names and a code for each row.
    """

    X: Any
    codes: Codes
    classes: NDArray[Any]
    balance_by: NDArray[Any] | None
    report_by: tuple[list[str], Codes] | None


@dataclass(frozen=True)
class Task:
    """One fit on a split with a seed, for all methods that are built alike and differ in what comes after."""

    methods: tuple[Method, ...]
    split: int
    seed: int
    train: NDArray[np.intp]
    test: NDArray[np.intp]

    @property
    def name(self) -> str:
        """What the fit is called in a folder, whatever else is fitted."""
        methods = "+".join(method.info.name for method in self.methods)
        short = re.sub(r"[^\w.-]+", "_", methods)[:LONGEST_NAME]
        return f"split{self.split}-seed{self.seed}-{short}-{zlib.crc32(methods.encode()):08x}"


@dataclass(frozen=True)
class Fitted:
    """What a fit came to: its result, and the candidate that it chose where it is a search."""

    result: FoldResult
    chosen: str | None


# What came of a task for one of its methods, with the name of that.
Outcome = tuple[str, Attempt[Fitted]]


def run_task(task: Task, data: Data, shared: Mapping[str, Any], random_state: int) -> Attempt[list[Fitted]]:
    """Fit once and score each method."""
    return attempt(lambda: _fit_and_score(task, data, shared, random_state))


def by_method(task: Task, tried: Attempt[list[Fitted]]) -> list[Outcome]:
    """Return what came of a task for each of its methods."""
    found = [None] * len(task.methods) if tried.value is None else tried.value
    return [
        (method.info.name, Attempt(value, tried.failure, tried.warnings))
        for method, value in zip(task.methods, found, strict=True)
    ]


def _fit_and_score(task: Task, data: Data, shared: Mapping[str, Any], random_state: int) -> list[Fitted]:
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
    X_test = _safe_indexing(data.X, task.test)
    net = classifier if isinstance(classifier, ImbalancedClassifier) else search and search.best_estimator_
    before = None if net is None else net.predict_uncalibrated(X_test)
    given = np.asarray(classifier.predict_proba(X_test) if net is None else net.calibrate(before), np.float64)
    predicted = time.perf_counter()
    labels = classifier.predict(X_test) if net is None else net.decide(given)
    trained = classifier.classes_
    counts = np.bincount(np.searchsorted(trained, y_train))
    y_test = data.codes[task.test]
    uncalibrated = None
    if net is not None and before is not None and net.calibrations_["meta"] is not None:
        uncalibrated = Confidence.of(y_test, _columns_for_all(before, trained, data.classes))
    found = []
    for method in task.methods:
        proba = given if method.post_hoc is None else method.post_hoc(given, counts)
        proba = _columns_for_all(proba, trained, data.classes)
        # What is done to probabilities is done for the decision.
        decided = encode_known_labels(labels, data.classes) if method.post_hoc is None else None
        result = FoldResult(
            method=method.info.name,
            split=task.split,
            seed=task.seed,
            metrics=score_predictions(y_test, proba, decided),
            recall=dict(
                zip(map(str, data.classes), recall_per_class(y_test, proba, decided).tolist(), strict=True)
            ),
            fit_seconds=fitted - started,
            predict_seconds=predicted - fitted,
            rows_drawn=None if network is None else network.rows_drawn_,
            y_true=y_test,
            proba=proba.astype(np.float32),
            history=() if network is None else tuple(network.history_),
            by_group=_by_group(data, task, y_test, proba, decided),
            uncalibrated=uncalibrated if method.post_hoc is None else None,
        )
        found.append(Fitted(result, None if search is None else describe(search.best_params_)))
    return found


def _by_group(
    data: Data, task: Task, y_test: Codes, proba: NDArray[np.float64], decided: Codes | None
) -> dict[str, dict[str, float]]:
    if data.report_by is None:
        return {}
    names, groups = data.report_by
    return score_groups(y_test, proba, groups[task.test], names, decided)


def _columns_for_all(
    proba: NDArray[np.float64], trained: NDArray[Any], classes: NDArray[Any]
) -> NDArray[np.float64]:
    """Probabilities with a column for every class, also those that the training part did not have."""
    position = {label: code for code, label in enumerate(classes.tolist())}
    full = np.zeros((len(proba), len(classes)))
    full[:, [position[label] for label in np.asarray(trained).tolist()]] = proba
    return full
