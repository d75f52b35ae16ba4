"""Run what a table of the paper needs; runs that are done are not repeated.

    python -m paper.run table1 --task loan --protocol sound --runs 10 --data-root DATA
    python -m paper.run table2 --jobs 2
    python -m paper.run table3 --scale cpu --data-root DATA

Table 3 is that of the images, as are table8, figure1, figure2, section6, adaptation and tuning, and table5 is
that of the faces: ``python -m paper.run table3 --help``.
Results go to paper/results/<task>/<protocol>/<method>/<seed>.json; ``python -m paper.report`` makes tables of
them.
"""

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from joblib import Parallel, delayed
from rich.console import Console
from rich.progress import track

from metabalance.datasets import Dataset, load_card_fraud, load_loan_default
from metabalance.evaluation import describe_environment
from paper.faces.run import main as run_faces
from paper.images.run import main as run_images
from paper.images.study import main as study_adaptation
from paper.images.tuning import main as tune_images
from paper.methods import TABLES, TASKS
from paper.protocols import PROTOCOLS
from paper.store import RESULTS, fail, make_folder
from paper.units import GRIDS, missing_units, needed, run_unit

SHARE_OF_FRAUDS = 0.00172
INTERRUPTED = 130  # as shells have it


def load(task: str, data_root: Path | None, download: bool) -> Dataset:
    """Load a task; ``fraud-thinned`` has the full file's share of frauds."""
    if task == "loan":
        return load_loan_default(data_root)
    share = SHARE_OF_FRAUDS if task == "fraud-thinned" else None
    return load_card_fraud(data_root, download=download, positive_share=share, random_state=0)


IMAGES = {
    **dict.fromkeys(("table3", "table8", "figure1", "figure2", "section6"), run_images),
    "adaptation": study_adaptation,
    "tuning": tune_images,
    "table5": run_faces,
}
"""Commands of the image tasks, which have options of their own."""


def main() -> None:
    """Run what the first argument names: a table of the credit tasks, or something of the image task."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in IMAGES:
        IMAGES[name](sys.argv[2:])
    else:
        run_tables()


def run_tables() -> None:
    """Run the missing units, some at a time."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "table",
        choices=[*TABLES, *GRIDS, *IMAGES],
        help="table6, the standard errors, comes from the runs of table2; the options here are those of "
        f"{', '.join([*TABLES, *GRIDS])}",
    )
    parser.add_argument("--rows", nargs="+", default=[], metavar="ROW", help="only these rows of the table")
    parser.add_argument("--task", nargs="+", choices=[*TASKS, "fraud-thinned"], default=list(TASKS))
    parser.add_argument("--protocol", nargs="+", choices=PROTOCOLS, default=["paper", "sound"])
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2, help="processes, of one thread each")
    parser.add_argument("--data-root", type=Path, help="folder of the data (default: METABALANCE_DATA)")
    parser.add_argument("--download", action="store_true", help="fetch the fraud data from OpenML if need be")
    parser.add_argument("--engine", choices=["compiled", "vectorized"], default="compiled")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    for name, least in (("runs", 1), ("jobs", 1)):
        if getattr(arguments, name) < least:
            parser.error(f"--{name} must be at least {least}, got {getattr(arguments, name)}")
    known = TABLES.get(arguments.table, ())
    unknown = sorted(set(arguments.rows) - set(known))
    if unknown:
        parser.error(
            f"--rows: {arguments.table} has no row {', '.join(unknown)}; it has {', '.join(known)}"
            if known
            else f"--rows: {arguments.table} is run whole, leave {', '.join(unknown)} out"
        )
    started = time.perf_counter()
    with TemporaryDirectory() as pools:
        try:
            make_folder(arguments.results, "--results")
            data = {task: load(task, arguments.data_root, arguments.download) for task in arguments.task}
            units = missing_units(
                needed(arguments.table, arguments.rows),
                data,
                arguments.protocol,
                arguments.runs,
                arguments.results,
                Path(pools),
                arguments.engine,
            )
        except (OSError, ValueError) as error:
            fail(error)
        environment = describe_environment()
        done = Parallel(n_jobs=arguments.jobs, return_as="generator_unordered")(
            delayed(run_unit)(unit, data[unit.task], environment) for unit in units
        )
        try:
            for _ in track(
                done, arguments.table, total=len(units), console=Console(stderr=True), disable=not units
            ):
                pass
        except KeyboardInterrupt:
            print(
                "paper.run: interrupted; runs that have ended are kept, the same command goes on",
                file=sys.stderr,
            )
            sys.exit(INTERRUPTED)
    runs = sum(len(unit.seeds) for unit in units)
    print(f"{arguments.table}: {runs} runs in {time.perf_counter() - started:.0f} s; the others were there")


if __name__ == "__main__":
    main()
