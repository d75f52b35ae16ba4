"""How a comparison was run, in words for its report."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metabalance.estimators.attempts import one_of_each_kind
from metabalance.estimators.groups import encode_groups
from metabalance.estimators.loops import PATIENCE
from metabalance.estimators.parameters import is_whole_number
from metabalance.estimators.splits import Codes, Split
from metabalance.evaluation.fold_fits import Fitted, Outcome
from metabalance.training import MAX_ROWS_PER_EPOCH, MIN_ROWS_PER_EPOCH


def describe_settings(
    cv: Any,
    n_splits: int,
    n_seeds: int,
    random_state: int,
    scoring: Any,
    max_epochs: int,
    network: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return folds, budget and early stopping."""
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


def describe_parts(splits: Sequence[Split], codes: Codes) -> str:
    """What the training and the test parts look like; a splitter may thin the training parts only."""
    sizes = [len(train) for train, _ in splits]
    counts = [np.bincount(codes[train], minlength=int(codes.max()) + 1) for train, _ in splits]
    ratio = np.median([count.max() / max(1, count[count > 0].min()) for count in counts])
    rows = f"{min(sizes):,}" if min(sizes) == max(sizes) else f"{min(sizes):,} to {max(sizes):,}"
    return (
        f"Training parts have {rows} rows, {ratio:.1f} of the most frequent class for each of the rarest. "
        "Metrics are taken on the test parts as they are, at their own class frequencies. Balanced accuracy, "
        "macro F1 and recalls are those of the predicted class. Networks but the naive one predict as if "
        "classes were equally frequent, and so do balanced and prior-corrected rivals; the others predict "
        "the most probable class, which balanced accuracy does not ask for. ROC-AUC and average precision do "
        "not depend on a threshold."
    )


def describe_groups(title: str, groups: Any, n_rows: int) -> dict[str, str]:
    """How many rows each group has."""
    if groups is None:
        return {}
    names, codes = encode_groups(title, groups, n_rows)
    sizes = zip(names, np.bincount(codes).tolist(), strict=True)
    return {title: ", ".join(f"{name} ({size:,} rows)" for name, size in sizes)}


def describe_choices(fitted: Sequence[Fitted]) -> dict[str, str]:
    """Under a heading for each search, what it chose in each training part and how often."""
    chosen: dict[str, Counter[str]] = {}
    for each in fitted:
        if each.chosen is not None:
            chosen.setdefault(each.result.method, Counter())[each.chosen] += 1
    return {
        f"chosen by {name}": "; ".join(f"{pair} ({times}×)" for pair, times in counts.most_common())
        for name, counts in chosen.items()
    }


def collect_warnings(outcomes: Sequence[Outcome]) -> list[str]:
    """One line for each kind of warning of each method."""
    by_method: dict[str, list[str]] = {}
    for name, tried in outcomes:
        by_method.setdefault(name, []).extend(tried.warnings)
    return [f"{name}: {line}" for name in sorted(by_method) for line in one_of_each_kind(by_method[name])]
