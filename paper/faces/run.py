"""Run the rows of Table 5, identification of faces with few images of women; runs that are done are kept.

    python -m paper.run table5 --scale cpu --runs 4 --data-root DATA

Each run has other people to identify and other images of women, and is one file:
paper/results/celeba-<scale>/thinned/<row>/<seed>.json.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metabalance.datasets import FaceSet, load_celeba
from metabalance.training import resolve_device
from paper.faces.task import Faces
from paper.images.options import parse, parser_of
from paper.images.units import load_config, run_missing, unit_of
from paper.store import fail, make_folder

FOLDER = "faces"
IMBALANCE = "thinned"


def load_faces(size: Mapping[str, Any], data_root: Path | None, cache: Path | None) -> FaceSet:
    """Load the images that a scale is about."""
    return load_celeba(
        data_root,
        size=(size["image_size"], size["image_size"]),
        at_least=size["at_least"],
        min_detector_weight=size.get("min_detector_weight"),
        cache=cache,
        progress=sys.stderr.isatty(),
    )


def main(arguments_given: Sequence[str] | None = None) -> None:
    """Run the missing runs, some at a time."""
    config, rows = load_config("celeba", FOLDER), load_config("rows", FOLDER)
    parser = parser_of(__doc__)
    parser.add_argument(
        "--rows", nargs="+", choices=rows, default=list(rows), metavar="ROW", help=", ".join(rows)
    )
    parser.add_argument("--scale", choices=("cpu", "full"), default="cpu")
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--cache", type=Path, help="folder to keep decoded images in, for many of them")
    arguments = parse(parser, arguments_given, "runs")
    size = config[arguments.scale]
    units = [
        unit_of(f"celeba-{arguments.scale}", arguments.scale, IMBALANCE, row, seed, rows[row], config)
        for seed in range(arguments.runs)
        for row in arguments.rows
    ]
    try:
        make_folder(arguments.results, "--results")
        device = resolve_device(arguments.device)
        source = Faces(load_faces(size, arguments.data_root, arguments.cache), size)
        run_missing(units, source, arguments.results, device, arguments.jobs)
    except (OSError, ValueError) as error:
        fail(error)


if __name__ == "__main__":
    main()
