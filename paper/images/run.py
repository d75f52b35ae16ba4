"""Run the rows of Table 3 on CIFAR-10 with one majority class; runs that are done are not repeated.

    python -m paper.run table3 --scale cpu --imbalance severe --runs 4 --data-root DATA

Table 8, Figures 1 and 2 and section 6 are made of the same runs. Each run has another majority class, and is
one file: paper/results/cifar10-<scale>/<imbalance>/<row>/<seed>.json.
"""

from collections.abc import Sequence

from metabalance.datasets import load_cifar10
from metabalance.training import resolve_device
from paper.images.options import parse, parser_of
from paper.images.source import Images
from paper.images.task import MINORITY_COUNT
from paper.images.units import load_config, run_missing, unit_of
from paper.store import fail, make_folder


def main(arguments_given: Sequence[str] | None = None) -> None:
    """Run the missing runs, some at a time."""
    rows = load_config("rows")
    parser = parser_of(__doc__)
    parser.add_argument(
        "--rows", nargs="+", choices=rows, default=list(rows), metavar="ROW", help=", ".join(rows)
    )
    parser.add_argument("--scale", choices=("cpu", "short", "full"), default="cpu")
    parser.add_argument("--imbalance", nargs="+", choices=MINORITY_COUNT, default=list(MINORITY_COUNT))
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--download", action="store_true", help="fetch CIFAR-10 if need be")
    arguments = parse(parser, arguments_given, "runs")
    units = [
        unit_of(f"cifar10-{arguments.scale}", arguments.scale, imbalance, row, seed, rows[row])
        for imbalance in arguments.imbalance
        for seed in range(arguments.runs)
        for row in arguments.rows
    ]
    try:
        make_folder(arguments.results, "--results")
        device = resolve_device(arguments.device)
        parts = (
            load_cifar10(arguments.data_root, part=part, download=arguments.download)
            for part in ("train", "test")
        )
        run_missing(units, Images(*parts), arguments.results, device, arguments.jobs)
    except (OSError, ValueError) as error:
        fail(error)


if __name__ == "__main__":
    main()
