"""The work of a search, one piece at a time: resampling a fold's rows, and fitting a candidate on them."""

import pickle
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from sklearn.utils import _safe_indexing

from metabalance.encoding.labels import encode_known_labels
from metabalance.estimators import MetaBalanceClassifier
from metabalance.estimators.attempts import Attempt, attempt
from metabalance.estimators.kept import KeptResults
from metabalance.estimators.prepared import Prepared
from metabalance.estimators.scoring import choose_score
from metabalance.estimators.workers import in_processes
from metabalance.sampling import MetaBatchStream, Remembered


@dataclass(frozen=True)
class Fold:
    """Row numbers to train and to score on, and the seed that all fits of this fold share."""

    train: NDArray[np.intp]
    test: NDArray[np.intp]
    seed: int


@dataclass(frozen=True)
class Task:
    """The data of a search, labels as codes into ``classes``, what a score is, and groups to balance by."""

    X: Any
    codes: NDArray[np.int64]
    classes: NDArray[Any]
    scoring: Any
    groups: NDArray[Any] | None = None

    def rows(self, numbers: NDArray[np.intp]) -> tuple[Any, ...]:
        """Return these rows, their labels and, where there are such, their groups."""
        groups = () if self.groups is None else (self.groups[numbers],)
        return _safe_indexing(self.X, numbers), self.classes[self.codes[numbers]], *groups


class Trial(NamedTuple):
    """What one fit on one fold came to."""

    score: float
    fit_seconds: float
    score_seconds: float
    rows_drawn: int


def resample_once(prepared: Prepared, strategy: Remembered) -> Attempt[None]:
    """Resample a fold's training part, as the fits of this fold would do, so that it is remembered."""

    def draw() -> None:
        try:
            MetaBatchStream(
                *prepared.train.for_streams,
                support=strategy,
                query=strategy,
                device=prepared.device,
                **prepared.stream_options,
            )
        except pickle.PicklingError as error:
            raise TypeError(
                f"the sampler cannot be pickled, which sharing its rows needs: {error}"
            ) from error

    return attempt(draw)


def fit_and_score(net: MetaBalanceClassifier, fold: Fold, task: Task) -> Attempt[Trial]:
    """Fit a candidate on a fold's training part and score it on the test part."""

    def run() -> Trial:
        started = time.perf_counter()
        net.fit(*task.rows(fold.train))
        if net.interrupted_:
            raise KeyboardInterrupt
        fitted = time.perf_counter()
        score = choose_score(task.scoring, task.classes, np.bincount(task.codes))
        proba = net.predict_proba(_safe_indexing(task.X, fold.test))
        predicted = encode_known_labels(net.decide(proba), task.classes)
        value = score(proba, task.codes[fold.test], predicted)
        return Trial(value, fitted - started, time.perf_counter() - fitted, net.rows_drawn_)

    return attempt(run)


@dataclass
class Workers:
    """Do many pieces of work at a time, show how far they are, and collect what they warned of."""

    n_jobs: int | None
    verbose: int
    warnings: list[str] = field(default_factory=list)

    def run(
        self,
        work: Callable[..., Attempt[Any]],
        pieces: Mapping[str, tuple[Any, ...]],
        title: str,
        kept: KeptResults | None = None,
    ) -> list[Attempt[Any]]:
        """Do the work for each tuple of arguments; the results come in the order of the pieces.

        Those that are kept under the names of the pieces are not done again.
        """
        results: Iterable[Attempt[Any]]
        if kept is None:
            results = in_processes(work, pieces.values(), self.n_jobs)
        else:
            results = kept.run(work, pieces, self.n_jobs)
        if self.verbose:
            results = track(results, title, total=len(pieces), console=Console(stderr=True))
        finished = list(results)
        self.warnings.extend(text for attempt in finished for text in attempt.warnings)
        return finished
