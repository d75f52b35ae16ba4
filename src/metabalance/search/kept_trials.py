"""Trials of a search that are kept in a folder: what they are of, and what they are in a file."""

from collections.abc import Sequence
from typing import Any

import joblib

from metabalance.estimators import Checkpoint, MetaBalanceClassifier
from metabalance.estimators.checkpoints import parameters_in_words, refuse_callbacks, versions
from metabalance.estimators.kept import KeptResults
from metabalance.search.trials import Fold, Task, Trial

ELSEWHERE = ("estimator", "refit")  # what the networks are is told apart; the last fit has its own checkpoint


def kept_trials(
    checkpoint: Checkpoint, search: Any, base: MetaBalanceClassifier, task: Task, folds: Sequence[Fold]
) -> KeptResults:
    """Return the folder of a search's trials.

    Raises
    ------
    ValueError
        If it is the folder of another search, or the networks have callbacks.
    """
    refuse_callbacks(base.callbacks)
    made_of = {
        **{f"estimator__{name}": value for name, value in parameters_in_words(base).items()},
        **{name: value for name, value in parameters_in_words(search).items() if name not in ELSEWHERE},
        **versions(),
        "data": joblib.hash((task.X, task.codes, task.classes, task.groups)),
        "folds": joblib.hash([(fold.train, fold.test, fold.seed) for fold in folds]),
    }
    return KeptResults.opened(checkpoint, made_of, _to_json, _from_json)


def _to_json(trial: Trial) -> Any:
    return trial._asdict()


def _from_json(stored: Any) -> Trial:
    return Trial(**stored)
