"""The places at which a run is scored: at θ or θ′, each with the prior corrected or not."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

TEST = "test"
CORRECTED = "test, prior corrected"


def places_of(record: Mapping[str, Any]) -> Iterator[tuple[str, list[float]]]:
    """Yield the name of each place in a record of a curve, and the recalls of the test images there.

    Places that diverged are left out.
    """
    for place, scores in (("θ", record), *((n, s) for n, s in record.items() if n.startswith("θ"))):
        if "failure" not in scores:
            yield place, scores[TEST]
            yield f"{place}, prior corrected", scores[CORRECTED]


def best_place(runs: Sequence[Mapping[str, Any]]) -> tuple[float, str]:
    """Return the highest balanced test accuracy at the end, a mean over the runs, and the place that has it.

    A run that diverged counts as 0.
    """
    found: dict[str, list[float]] = {}
    for run in runs:
        for place, recalls in places_of(run["curve"][-1]) if "failure" not in run else ():
            found.setdefault(place, []).append(float(np.mean(recalls)))
    if not found:
        return 0.0, "θ"
    return max((sum(values) / len(runs), place) for place, values in found.items())
