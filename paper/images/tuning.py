"""Choose settings for the tuned rows of Table 3 on majority classes that the table does not have.

    python -m paper.run tuning --scale cpu --data-root DATA

Of each family of configs/images/tuning.toml settings are drawn at random and tried on one majority class, and
the best of them on two others; the one with the highest balanced test accuracy over all three is chosen. The
test images are those of the table, but what is chosen has been trained on none of the table's training sets.
Results go to paper/results/cifar10-<scale>-tuning/<family>/<setting>/<seed>.json.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metabalance.datasets import load_cifar10
from metabalance.training import resolve_device
from paper.images.options import parse, parser_of
from paper.images.places import best_place
from paper.images.source import Images
from paper.images.units import Unit, load_config, run_missing, unit_of
from paper.store import fail, make_folder

SEED = 0  # of the draw of settings


def drawn_settings(recipe: Mapping[str, Any], count: int) -> dict[str, dict[str, Any]]:
    """Settings by name, each entry drawn from its list; no two alike."""
    there_are = math.prod(len(values) for values in recipe.values() if isinstance(values, list))
    if count > there_are:
        raise ValueError(f"{count} settings are wanted of a family that has {there_are}")
    rng = np.random.default_rng(SEED)
    settings: dict[str, dict[str, Any]] = {}
    while len(settings) < count:
        drawn = {
            name: values[rng.integers(len(values))]
            for name, values in recipe.items()
            if isinstance(values, list)
        }
        name = ",".join(f"{key}={value}" for key, value in drawn.items() if value != "")
        settings[name] = {**recipe, **drawn}
    return settings


def main(arguments_given: Sequence[str] | None = None) -> None:
    """Run both rounds and print what is chosen."""
    config = load_config("tuning")
    families = {name: entry for name, entry in config.items() if isinstance(entry, dict)}
    parser = parser_of(__doc__)
    parser.add_argument("--scale", choices=("cpu", "short", "full"), default="cpu")
    parser.add_argument("--families", nargs="+", choices=families, default=list(families))
    arguments = parse(parser, arguments_given)
    task = f"cifar10-{arguments.scale}-tuning"

    def units(family: str, settings: Mapping[str, Mapping[str, Any]], seeds: list[int]) -> list[Unit]:
        return [
            unit_of(task, arguments.scale, "severe", f"{family}/{name}", seed, own)
            for seed in seeds
            for name, own in settings.items()
        ]

    def score_of(unit_list: list[Unit]) -> tuple[float, str]:
        runs = [json.loads(unit.path(arguments.results).read_text(encoding="utf-8")) for unit in unit_list]
        return best_place(runs)

    drawn = {
        name: drawn_settings(families[name]["recipe"], families[name]["settings"])
        for name in arguments.families
    }
    first, *others = config["seeds"]
    try:
        make_folder(arguments.results, "--results")
        device = resolve_device(arguments.device)
        source = Images(*(load_cifar10(arguments.data_root, part=part) for part in ("train", "test")))
        run_missing(
            [unit for family, settings in drawn.items() for unit in units(family, settings, [first])],
            source,
            arguments.results,
            device,
            arguments.jobs,
        )
        kept = {}
        for family, settings in drawn.items():
            ranked = sorted(
                settings, key=lambda name: -score_of(units(family, {name: settings[name]}, [first]))[0]
            )
            kept[family] = {name: settings[name] for name in ranked[: families[family]["kept"]]}
        run_missing(
            [unit for family, settings in kept.items() for unit in units(family, settings, others)],
            source,
            arguments.results,
            device,
            arguments.jobs,
        )
    except (OSError, ValueError) as error:
        fail(error)
    for family, settings in kept.items():
        for name, own in settings.items():
            accuracy, place = score_of(units(family, {name: own}, config["seeds"]))
            print(f"{family}: {accuracy:.4f} {place}: {name}")


if __name__ == "__main__":
    main()
