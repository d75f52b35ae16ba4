"""Runs of the image task: what each is made of, whether it is there, and running those that are missing."""

import os
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from joblib import Parallel, delayed

from metabalance.evaluation import describe_environment
from paper.images.adaptation import Way
from paper.images.source import Source
from paper.images.training import Training
from paper.store import path_of, read_json, write_run

CONFIGS = Path(__file__).parent.parent / "configs"
STEP_WITHOUT_ADAPTATION = 0.01  # to θ′, where training has none
CHECKPOINT_SECONDS = 30.0  # at least, between two checkpoints
INTERRUPTED = 130  # as shells have it


@dataclass(frozen=True)
class Unit:
    """One network of one row: where its result belongs, its recipe, and the scale (network, rows, scores)."""

    task: str
    imbalance: str
    row: str
    seed: int
    recipe: Mapping[str, Any]
    size: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.task}, {self.imbalance}, {self.row}, seed {self.seed}"

    def path(self, root: Path) -> Path:
        """The file of its result."""
        return path_of(root, self.task, self.imbalance, self.row, self.seed)


def load_config(name: str, folder: str = "images") -> dict[str, Any]:
    """Read a TOML file of the image task, or of another one."""
    return tomllib.loads((CONFIGS / folder / f"{name}.toml").read_text(encoding="utf-8"))


def unit_of(
    task: str,
    scale: str,
    imbalance: str,
    row: str,
    seed: int,
    own: Mapping[str, Any],
    config: Mapping[str, Any] | None = None,
) -> Unit:
    """Complete a row's own entries to a whole recipe, from a configuration or that of CIFAR-10."""
    config = config or load_config("cifar10")
    size = dict(config[scale])
    meta_steps = size.pop("meta_steps")
    recipe = {"meta_steps": meta_steps} if own["kind"] == "meta" else {}
    recipe |= {**config[own["kind"]], **own}
    for name in ("title", "report"):
        recipe.pop(name, None)
    if own["kind"] == "meta":
        recipe["score_at"] = recipe["inner_lr"] or STEP_WITHOUT_ADAPTATION
    return Unit(task, imbalance, row, seed, recipe, size)


def run_unit(
    unit: Unit,
    source: Source,
    root: Path,
    device: torch.device,
    environment: Mapping[str, str],
    ways: Mapping[str, Way] | None = None,
) -> None:
    """Train and score one network, and keep what came of it; one that diverges is kept as such."""
    torch.set_num_threads(1)  # there is one process for each core
    task = source.make(unit.imbalance, unit.seed, device)
    content = {
        "task": unit.task,
        "protocol": unit.imbalance,
        "method": unit.row,
        "seed": unit.seed,
        "data": source.describe(task),
        "recipe": dict(unit.recipe),
        **unit.size,
        "environment": dict(environment),
    }
    training = Training(
        task,
        unit.recipe,
        unit.size["network"],
        unit.seed,
        rows=unit.size["rows"],
        scores=unit.size["scores"],
        half=device.type == "cuda" and unit.size["cuda_precision"] == "bfloat16",
        ways=ways,
        scoring=source.scoring,
    )
    path, saved = unit.path(root), unit.path(root).with_suffix(".checkpoint")
    made_of = {"recipe": dict(unit.recipe), **unit.size, "data": content["data"]}
    if saved.exists():
        state = torch.load(saved, map_location=device, weights_only=True)
        if state.pop("made_of") == made_of:  # or else it is of a run that was deleted
            training.load_state_dict(state)
            done = training.curve[-1]["update"]
            print(f"{unit}: goes on at update {done} of {training.updates}", file=sys.stderr)
    kept_at = time.monotonic()
    try:
        for _ in training.run():
            if time.monotonic() - kept_at > CHECKPOINT_SECONDS and not training.finished:
                write_run(path, content | {"curve": training.curve, "unfinished": training.updates})
                _save(saved, training.state_dict() | {"made_of": made_of})
                kept_at = time.monotonic()
    except FloatingPointError as error:
        content["failure"] = str(error)
    write_run(path, content | {"curve": training.curve})
    saved.unlink(missing_ok=True)
    print(f"{unit}: done, {training.seconds:.0f} s of training", file=sys.stderr)


def _save(path: Path, state: Mapping[str, Any]) -> None:
    """Save a state, whole or not at all."""
    part = path.with_suffix(f".{os.getpid()}.part")
    torch.save(state, part)
    part.replace(path)


def is_done(unit: Unit, root: Path, title: str) -> bool:
    """Whether a whole run is there; raise ValueError if it was made by another recipe or of other images."""
    path = unit.path(root)
    if not path.exists():
        return False
    run = read_json(path)
    wanted = {"recipe": dict(unit.recipe), **unit.size, "title": title}
    found = {name: run[name] for name in ("recipe", *unit.size)} | {"title": run["data"]["title"]}
    for name, value in wanted.items():
        if found[name] != value:
            raise ValueError(
                f"{path} was made with {name} {found[name]}, and would now be made with {value}: delete it, "
                "or keep the new ones elsewhere with --results"
            )
    return "unfinished" not in run


def run_missing(
    units: Sequence[Unit],
    source: Source,
    root: Path,
    device: torch.device,
    jobs: int,
    ways: Mapping[str, Way] | None = None,
) -> None:
    """Run the units that are not done, some at a time; where the user breaks off, say so and exit."""
    started = time.perf_counter()
    missing = [unit for unit in units if not is_done(unit, root, source.title)]
    environment = describe_environment()
    try:
        for _ in Parallel(n_jobs=jobs, return_as="generator_unordered")(
            delayed(run_unit)(unit, source, root, device, environment, ways) for unit in missing
        ):
            pass
    except KeyboardInterrupt:
        print(
            "interrupted: runs that have ended are kept, and of others what they had when they were last "
            "scored; the same command goes on",
            file=sys.stderr,
        )
        sys.exit(INTERRUPTED)
    print(f"{len(missing)} runs in {time.perf_counter() - started:.0f} s; the others were there")
