"""What the kept runs of the image task say: balanced accuracy, recalls and differences, by row and place."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from paper.images.places import places_of
from paper.statistics import Estimate, estimate
from paper.store import path_of


def count_diverged(root: Path, task: str, imbalance: str, row: str) -> int:
    """Return how many runs of a row diverged."""
    folder = path_of(root, task, imbalance, row, 0).parent
    return sum("failure" in json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json"))


def read_runs(root: Path, task: str, imbalance: str, row: str) -> dict[int, dict[str, Any]]:
    """Return seed → run, for the runs that are whole and did not diverge."""
    folder = path_of(root, task, imbalance, row, 0).parent
    runs = {}
    for path in sorted(folder.glob("*.json")):
        try:
            run = json.loads(path.read_text(encoding="utf-8"))
            if "unfinished" not in run and "failure" not in run:
                runs[int(path.stem)] = run | {"last": run["curve"][-1]}
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise ValueError(f"{path} is damaged ({error}): delete it, and it will be run again") from error
    return runs


@dataclass(frozen=True)
class AtPlace:
    """Recalls of the test images at the end of training, at one place, by seed."""

    recalls: Mapping[int, list[float]]
    majority: Mapping[int, int]

    @property
    def balanced(self) -> dict[int, float]:
        """The mean recall of each run."""
        return {seed: float(np.mean(of_run)) for seed, of_run in self.recalls.items()}

    @property
    def of_majority(self) -> Estimate:
        """Recall of the majority class."""
        return estimate([of_run[self.majority[seed]] for seed, of_run in self.recalls.items()])

    @property
    def of_others(self) -> Estimate:
        """Mean recall of the other classes."""
        return estimate(
            [float(np.mean(np.delete(of_run, self.majority[s]))) for s, of_run in self.recalls.items()]
        )


def at_places(runs: Mapping[int, Mapping[str, Any]]) -> dict[str, AtPlace]:
    """Return what the runs of a row have at each of their places; lengths of steps are left out of names."""
    found: dict[str, dict[int, list[float]]] = {}
    for seed, run in runs.items():
        for place, recalls in places_of(run["last"]):
            found.setdefault(without_length(place), {})[seed] = recalls
    majority = {seed: run["data"]["majority"] for seed, run in runs.items()}
    return {place: AtPlace(recalls, majority) for place, recalls in found.items()}


def without_length(place: str) -> str:
    """θ′ without the length of its step, which is that of the row."""
    if not place.startswith("θ′"):
        return place
    return "θ′," + place.partition(",")[2]


def percent(found: Estimate) -> str:
    """A share in percent, with its standard error where there is one."""
    error = "" if math.isnan(found.error) else f" ± {100 * found.error:.1f}"
    return f"{100 * found.mean:.1f}{error}"
