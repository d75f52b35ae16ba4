"""The course of a search: every fold resampled once by every strategy, then round after round of fits."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from joblib import Memory
from sklearn.base import clone

from metabalance.estimators import MetaBalanceClassifier
from metabalance.estimators.kept import KeptResults
from metabalance.sampling import Remembered, resolve_strategy
from metabalance.search.candidates import QUERY, SUPPORT, Params, describe, title
from metabalance.search.halving import Round, best_first
from metabalance.search.results import Entry
from metabalance.search.trials import Fold, Task, Workers, fit_and_score, resample_once


@dataclass(frozen=True)
class Pools:
    """What every strategy is to fits of the search, and the strategies that cannot work on the data.

    Parameters
    ----------
    given : mapping of str to any
        By title, what a candidate's network is given: the strategy, remembered where it makes rows.
    left_out : dict of str to str
        By title, the reason.
    """

    given: Mapping[str, Any]
    left_out: dict[str, str]


def remember_pools(
    base: MetaBalanceClassifier,
    samplers: Mapping[str, Any],
    folds: Sequence[Fold],
    task: Task,
    memory: Memory,
    workers: Workers,
) -> Pools:
    """Let every strategy that makes rows of its own do so, once for each fold.

    Raises
    ------
    ValueError, TypeError
        If no network at all could be fitted to a fold.
    """
    remembered = {
        name: Remembered(each, memory)
        for name, each in samplers.items()
        if resolve_strategy(each).kind != "index"
    }
    # As every candidate prepares them that has one of these strategies, see `prepare`.
    row_maker = next(iter(remembered.values()), None)
    sampler = {} if row_maker is None else {QUERY: row_maker}
    prepared = [seeded_copy(base, fold.seed, **sampler).prepare(*task.rows(fold.train)) for fold in folds]
    names = [name for _ in prepared for name in remembered]
    pieces = {
        f"fold{fold}-{name}": (replace(part, valid=None), remembered[name])
        for fold, part in enumerate(prepared)
        for name in remembered
    }
    attempts = workers.run(resample_once, pieces, "resampling")
    left_out: dict[str, str] = {}
    for name, attempt in zip(names, attempts, strict=True):
        if attempt.failure is not None and name not in left_out:
            left_out[name] = attempt.failure
            warnings.warn(f"{name} is left out of the search: {attempt.failure}", UserWarning, stacklevel=3)
    return Pools({**samplers, **remembered}, left_out)


def run_rounds(
    base: MetaBalanceClassifier,
    candidates: Sequence[Params],
    given: Mapping[str, Any],
    rounds: Sequence[Round],
    folds: Sequence[Fold],
    task: Task,
    workers: Workers,
    kept: KeptResults | None = None,
) -> list[Entry]:
    """Fit and score the candidates on every fold, in each round those that the one before it has left.

    Trials that are kept are not done again.

    A round in which all of them fail is the last, and the one before it decides.

    Raises
    ------
    ValueError
        If all candidates of the first round fail.
    """
    entries: list[Entry] = []
    alive = list(range(len(candidates)))
    for number, (size, epochs) in enumerate(rounds):
        alive = alive[:size]
        pieces = {
            f"round{number}-candidate{place}-fold{which}": (
                _network(base, candidates[place], given, epochs, fold),
                fold,
                task,
            )
            for place in alive
            for which, fold in enumerate(folds)
        }
        heading = f"round {number + 1} of {len(rounds)}: {len(alive)} candidates, {epochs} epochs"
        attempts = workers.run(fit_and_score, pieces, heading, kept)
        current = []
        for place in alive:
            mine, attempts = attempts[: len(folds)], attempts[len(folds) :]
            failure = next((each.failure for each in mine if each.failure is not None), None)
            trials = tuple(each.value for each in mine if each.value is not None)
            current.append(Entry(place, candidates[place], number, epochs, trials, failure))
        entries += current
        alive = [alive[place] for place in best_first([entry.mean for entry in current])]
        _report_failures(current, alive, rounds)
        if not alive:
            break
    return entries


def seeded_copy(base: MetaBalanceClassifier, seed: int, **params: Any) -> MetaBalanceClassifier:
    """Return a copy with these parameters that takes the seed, unless the user has set one."""
    copy: MetaBalanceClassifier = clone(base).set_params(**params)
    return copy.set_params(random_state=seed) if copy.random_state is None else copy


def _network(
    base: MetaBalanceClassifier, params: Params, given: Mapping[str, Any], epochs: int, fold: Fold
) -> MetaBalanceClassifier:
    samplers = {name: given[title(params[name])] for name in (SUPPORT, QUERY)}
    return seeded_copy(base, fold.seed, **{**params, **samplers, "max_epochs": epochs, "verbose": 0})


def _report_failures(entries: Sequence[Entry], alive: Sequence[int], rounds: Sequence[Round]) -> None:
    failed = [entry for entry in entries if entry.failure is not None]
    if not failed:
        return
    reason = f"{describe(failed[0].params)}: {failed[0].failure}"
    before = failed[0].iteration  # rounds that are over; they are counted from 1 in words
    if alive:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        message = f"a candidate failed and is out of the search{more}; {reason}"
    elif before:
        message = (
            f"in round {before + 1} of {len(rounds)} every candidate failed; {reason}; the best of round "
            f"{before} is taken, with its {rounds[before - 1].epochs} epochs"
        )
    else:
        raise ValueError(f"no candidate of the search could be trained; {reason}")
    warnings.warn(message, UserWarning, stacklevel=3)
