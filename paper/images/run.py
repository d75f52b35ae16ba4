"""Run the rows of Table 3 on CIFAR-10 with one majority class; runs that are done are not repeated.

    python -m paper.images.run --scale cpu --imbalance severe --runs 4 --data-root DATA

Each run has another majority class, and is one file:
paper/results/cifar10-<scale>/<imbalance>/<row>/<seed>.json.
"""

import argparse
import json
import sys
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from joblib import Parallel, delayed

from metabalance.datasets import ImageSet, load_cifar10
from metabalance.evaluation import describe_environment
from metabalance.training import resolve_device
from paper.images.task import MINORITY_COUNT, make_task
from paper.images.training import train
from paper.store import RESULTS, make_folder, path_of, write_run

CONFIGS = Path(__file__).parent.parent / "configs" / "images"
STEP_WITHOUT_ADAPTATION = 0.01  # to θ′, where training has none
INTERRUPTED = 130  # as shells have it


def load_config(name: str) -> dict[str, Any]:
    """Read a TOML file of the image task."""
    return tomllib.loads((CONFIGS / f"{name}.toml").read_text(encoding="utf-8"))


def recipe_of(row: str, scale: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the whole recipe of a row, and the scale: network, rows and scores."""
    config, own = load_config("cifar10"), dict(load_config("rows")[row])
    size = dict(config[scale])
    meta_steps = size.pop("meta_steps")
    recipe = {**config[own["kind"]], **own}
    recipe.pop("title")
    if own["kind"] == "meta":
        recipe["meta_steps"] = meta_steps
        recipe["score_at"] = [recipe["inner_lr"] or STEP_WITHOUT_ADAPTATION]
    return recipe, size


def run_one(
    row: str,
    scale: str,
    imbalance: str,
    seed: int,
    data: tuple[ImageSet, ImageSet],
    root: Path,
    device: torch.device,
    environment: Mapping[str, str],
) -> None:
    """Train and score one network, and keep what came of it; one that diverges is kept as such."""
    if device.type == "cpu":
        torch.set_num_threads(1)
    task = make_task(*data, imbalance, seed, device)
    recipe, size = recipe_of(row, scale)
    content = {
        "task": f"cifar10-{scale}",
        "protocol": imbalance,
        "method": row,
        "seed": seed,
        "data": {"title": data[1].title, "train": task.counts.tolist(), "majority": task.majority},
        "recipe": recipe,
        **size,
        "curve": [],
        "environment": dict(environment),
    }
    try:
        content["curve"] = list(
            train(
                task,
                recipe,
                size["network"],
                seed,
                rows=size["rows"],
                scores=size["scores"],
                half=device.type == "cuda",
            )
        )
    except FloatingPointError as error:
        content["failure"] = str(error)
    write_run(path_of(root, f"cifar10-{scale}", imbalance, row, seed), content)


def is_done(path: Path, row: str, scale: str, title: str) -> bool:
    """Whether a run is there; raise ValueError if it was made by another recipe, or of other images."""
    if not path.exists():
        return False
    recipe, size = recipe_of(row, scale)
    run = json.loads(path.read_text(encoding="utf-8"))
    wanted = {"recipe": recipe, **size, "title": title}
    found = {name: run[name] for name in ("recipe", *size)} | {"title": run["data"]["title"]}
    for name, value in wanted.items():
        if found[name] != value:
            raise ValueError(
                f"{path} was made with {name} {found[name]}, and would now be made with {value}: delete it, "
                "or keep the new ones elsewhere with --results"
            )
    return True


def main() -> None:
    """Run the missing runs, some at a time."""
    rows = list(load_config("rows"))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", nargs="+", choices=rows, default=rows, metavar="ROW", help=", ".join(rows))
    parser.add_argument("--scale", choices=("cpu", "short", "full"), default="cpu")
    parser.add_argument("--imbalance", nargs="+", choices=MINORITY_COUNT, default=list(MINORITY_COUNT))
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=2, help="processes, of one thread each on the CPU")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--data-root", type=Path, help="folder of the data (default: METABALANCE_DATA)")
    parser.add_argument("--download", action="store_true", help="fetch CIFAR-10 if need be")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    for name in ("runs", "jobs"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(arguments, name)}")
    started = time.perf_counter()
    try:
        make_folder(arguments.results, "--results")
        device = resolve_device(arguments.device)
        train_set, test_set = (
            load_cifar10(arguments.data_root, part=part, download=arguments.download)
            for part in ("train", "test")
        )
        missing = [
            (row, arguments.scale, imbalance, seed)
            for imbalance in arguments.imbalance
            for seed in range(arguments.runs)
            for row in arguments.rows
            if not is_done(
                path_of(arguments.results, f"cifar10-{arguments.scale}", imbalance, row, seed),
                row,
                arguments.scale,
                test_set.title,
            )
        ]
    except (OSError, ValueError) as error:
        sys.exit(f"paper.images.run: {error}")
    common = ((train_set, test_set), arguments.results, device, describe_environment())
    try:
        for _ in Parallel(n_jobs=arguments.jobs, return_as="generator_unordered")(
            delayed(run_one)(*each, *common) for each in missing
        ):
            pass
    except KeyboardInterrupt:
        print(
            "paper.images.run: interrupted; runs that have ended are kept, the same command goes on",
            file=sys.stderr,
        )
        sys.exit(INTERRUPTED)
    print(f"{len(missing)} runs in {time.perf_counter() - started:.0f} s; the others were there")


if __name__ == "__main__":
    main()
