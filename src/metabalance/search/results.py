"""What a search measured: scikit-learn's ``cv_results_``, and who won."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from metabalance.search.candidates import QUERY, SUPPORT, Params, title
from metabalance.search.trials import Trial


@dataclass(frozen=True)
class Entry:
    """A candidate in a round: one trial for each fold, or the reason why it has no score."""

    candidate: int
    params: Params
    iteration: int
    epochs: int
    trials: tuple[Trial, ...]
    failure: str | None

    @property
    def scores(self) -> NDArray[np.float64]:
        """The score on every fold."""
        return np.array([trial.score for trial in self.trials])

    @property
    def mean(self) -> float:
        """Mean score over the folds; NaN where it failed on one."""
        return math.nan if self.failure is not None else float(self.scores.mean())


def as_cv_results(entries: Sequence[Entry], n_splits: int) -> dict[str, Any]:
    """Return the entries in scikit-learn's format, one row for each candidate in each round.

    A candidate that failed on a fold has NaN on all of them. Ranks compare within a round, and a later round
    comes before an earlier one: rank 1 is the best of the last round. Candidates that failed in any round
    come last; a round in which all of them failed counts for nothing, and only its own rows come last.
    """
    names = list(dict.fromkeys(name for entry in entries for name in entry.params))
    results: dict[str, Any] = {"iter": np.array([entry.iteration for entry in entries])}
    results["n_resources"] = np.array([entry.epochs for entry in entries])
    for kind in ("fit", "score"):
        seconds = [[getattr(trial, f"{kind}_seconds") for trial in e.trials] or [math.nan] for e in entries]
        results[f"mean_{kind}_time"] = np.array([np.mean(each) for each in seconds])
        results[f"std_{kind}_time"] = np.array([np.std(each) for each in seconds])
    for name in names:
        column = np.ma.MaskedArray(np.empty(len(entries), dtype=object), mask=True)
        for place, entry in enumerate(entries):
            if name in entry.params:
                column[place] = entry.params[name]
        results[f"param_{name}"] = column
    results["params"] = [entry.params for entry in entries]
    scores = np.array(
        [[math.nan] * n_splits if e.failure is not None else e.scores for e in entries], dtype=float
    )
    for split in range(n_splits):
        results[f"split{split}_test_score"] = scores[:, split]
    results["mean_test_score"] = scores.mean(axis=1)
    results["std_test_score"] = scores.std(axis=1)
    results["rank_test_score"] = _ranks(entries)
    return results


def _ranks(entries: Sequence[Entry]) -> NDArray[np.int32]:
    last = _last_round(entries)
    failed = {entry.candidate for entry in entries if entry.failure is not None and entry.iteration <= last}
    keys = [
        (True, 0, 0.0)
        if entry.candidate in failed or entry.iteration > last
        else (False, -entry.iteration, -entry.mean)
        for entry in entries
    ]
    place = {key: number for number, key in enumerate(sorted(set(keys)))}
    ranks: NDArray[np.int32] = rankdata([place[key] for key in keys], method="min").astype(np.int32)
    return ranks


def _last_round(entries: Sequence[Entry]) -> int:
    """The last round with a score, which decides; in one after it every candidate failed."""
    return max(entry.iteration for entry in entries if entry.failure is None)


def as_standings(entries: Sequence[Entry]) -> pd.DataFrame:
    """Return a row for each candidate, as the last round it took part in left it, the best first.

    Of equals the first is the one that comes first in ``entries``, as for ``best_index_``. A round in which
    every candidate failed counts for nothing: the one before it is then the last.

    Columns: support, query, one for each further parameter, score (mean over the folds), error (its standard
    error; NaN with one fold), epochs, finished (whether it has a score of the last round), failure (a reason,
    or empty).
    """
    last = _last_round(entries)
    ranks = _ranks(entries).tolist()
    places = {e.candidate: (ranks[place], place) for place, e in enumerate(entries) if e.iteration <= last}
    rows = [
        {
            "support": title(entry.params[SUPPORT]),
            "query": title(entry.params[QUERY]),
            **{name: value for name, value in entry.params.items() if name not in (SUPPORT, QUERY)},
            "score": entry.mean,
            "error": _standard_error(entry),
            "epochs": entry.epochs,
            "finished": entry.failure is None and entry.iteration == last,
            "failure": entry.failure or "",
        }
        for entry in (entries[place] for _, place in sorted(places.values()))
    ]
    return pd.DataFrame(rows)


def _standard_error(entry: Entry) -> float:
    if entry.failure is not None or len(entry.trials) < 2:
        return math.nan
    return float(entry.scores.std(ddof=1) / math.sqrt(len(entry.trials)))


def as_json(results: Mapping[str, Any]) -> str:
    """Write results as strict JSON: NaN is null, and an object that JSON has not is its ``repr``."""
    return json.dumps(_plain(results), allow_nan=False, ensure_ascii=False, indent=1)


def _plain(value: Any) -> Any:
    match value:
        case np.ma.MaskedArray():
            return [
                None if hidden else _plain(item)
                for item, hidden in zip(value.data, np.ma.getmaskarray(value), strict=True)
            ]
        case np.ndarray() | list() | tuple():
            return [_plain(item) for item in value]
        case np.generic():
            return _plain(value.item())
        case Mapping():
            return {str(name): _plain(item) for name, item in value.items()}
        case float():
            return value if math.isfinite(value) else None
        case None | bool() | int() | str():
            return value
        case _:
            return repr(value)
