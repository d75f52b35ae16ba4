"""Fits of a comparison that are kept in a folder: what they are of, and what they are in a file."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import joblib

from metabalance.estimators.checkpoints import Checkpoint, versions
from metabalance.estimators.in_words import in_words
from metabalance.estimators.kept import KeptResults
from metabalance.estimators.prepared import with_rows
from metabalance.estimators.splits import Split
from metabalance.evaluation.comparison import fold_from_json, fold_to_json
from metabalance.evaluation.fold_fits import Data, Fitted
from metabalance.evaluation.results_file import strict


def run_in_words(
    data: Data, splits: Sequence[Split], options: Mapping[str, Any], methods: Sequence[Any] | None
) -> dict[str, str]:
    """Return what decides the result of a fit, beside the method where this library knows it by name."""
    own = [method for method in methods or () if not isinstance(method, str)]
    return {
        **{name: in_words(value) for name, value in options.items()},
        **versions(),
        "data": joblib.hash((with_rows(data.X), data.codes, data.classes, data.balance_by, data.report_by)),
        "folds": joblib.hash(list(splits)),
        "classifiers of your own": in_words(own),
    }


def kept_results(checkpoint: Checkpoint, made_of: Mapping[str, str], n_classes: int) -> KeptResults:
    """Return the folder of a comparison's fits."""
    return KeptResults.opened(checkpoint, made_of, _to_json, partial(_from_json, n_classes=n_classes))


def _to_json(fitted: Sequence[Fitted]) -> Any:
    return [{"result": strict(fold_to_json(each.result)), "chosen": each.chosen} for each in fitted]


def _from_json(stored: Sequence[Mapping[str, Any]], n_classes: int) -> list[Fitted]:
    return [Fitted(fold_from_json(each["result"], n_classes), each["chosen"]) for each in stored]
