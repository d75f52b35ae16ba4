"""Run what a table of the paper needs; runs that are done are not repeated.

    python -m paper.run table1 --task loan --protocol sound --runs 10 --data-root DATA
    python -m paper.run table2 --jobs 2

Results go to paper/results/<task>/<protocol>/<method>/<seed>.json; ``python -m paper.report`` makes tables of
them.
"""

import argparse
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from joblib import Parallel, delayed
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from metabalance.datasets import Dataset, load_card_fraud, load_loan_default
from metabalance.evaluation import describe_environment
from paper.curves import Curve
from paper.losses import make_loss
from paper.meta import train_meta
from paper.methods import TABLES, TASKS, Method, families, methods_for, resolve
from paper.plain import train_plain
from paper.protocols import PROTOCOLS, Split, make_split
from paper.rivals import train_rival
from paper.store import RESULTS, path_of, write_run
from paper.weighted import train_weighted

# which families a table needs besides its rows
GRIDS = {"table2": ("grid", "grid-no-adaptation")}
SHARE_OF_FRAUDS = 0.00172


@dataclass(frozen=True)
class Unit:
    """What one process does at a time: the missing runs of a method."""

    task: str
    protocol: str
    method: Method
    seeds: tuple[int, ...]
    root: Path
    pools: Path


def needed(table: str, only: Collection[str] = ()) -> list[str]:
    """The methods that a table is read from, each once; those of some rows only if they are named."""
    if table in GRIDS:
        names = [f"{family}/{member}" for family in GRIDS[table] for member in families()[family][1]]
    else:
        names = [method for row in only or TABLES[table] for method in methods_for(row)]
    return list(dict.fromkeys(names))


def missing_units(
    names: Sequence[str],
    tasks: Sequence[str],
    protocols: Sequence[str],
    runs: int,
    root: Path,
    pools: Path,
    engine: str,
) -> list[Unit]:
    """What is left to do of these methods."""
    units = []
    for task in tasks:
        for protocol in protocols:
            for name in names:
                method = resolve(name, task.removesuffix("-thinned"), protocol)
                if method.kind == "meta":
                    method = Method(method.name, "meta", {**method.recipe, "engine": engine}, method.network)
                seeds = tuple(s for s in range(runs) if not path_of(root, task, protocol, name, s).is_file())
                if seeds:
                    units.append(Unit(task, protocol, method, seeds, root, pools))
    return units


def run_unit(unit: Unit, data: Dataset, environment: Mapping[str, str]) -> None:
    """Train and score the missing runs of a method, and keep each."""
    torch.set_num_threads(1)
    # A weight decay of 0.05 drives unused weights into numbers so small that arithmetic on them is slow.
    torch.set_flush_denormal(True)
    X, y = data.X.to_numpy(np.float64), data.y.astype(np.int64)
    splits = {seed: make_split(X, y, unit.protocol, seed) for seed in unit.seeds}

    def keep(seed: int, curves: Mapping[str, Curve], seconds: float) -> None:
        content = {
            "task": unit.task,
            "data": {"title": data.title, "rows": len(y), "positives": int(y.sum())},
            "protocol": unit.protocol,
            "method": unit.method.name,
            "seed": seed,
            "recipe": dict(unit.method.recipe),
            "network": dict(unit.method.network),
            "scores": {name: curve.summary() for name, curve in curves.items()},
            "seconds": round(seconds, 2),
            "environment": dict(environment),
        }
        write_run(path_of(unit.root, unit.task, unit.protocol, unit.method.name, seed), content)

    TRAIN[unit.method.kind](unit, splits, keep)


Keep = Callable[[int, Mapping[str, Curve], float], None]


def _run_plain(unit: Unit, splits: Mapping[int, Split], keep: Keep) -> None:
    """All runs in step; each is said to take its share of the time."""
    recipe = unit.method.recipe
    started = time.perf_counter()
    curves = train_plain(
        list(splits.values()),
        list(splits),
        recipe,
        unit.method.network,
        make_loss(recipe, _counts(splits)),
        score_with_dropout=unit.protocol == "released",
        pools=unit.pools,
    )
    seconds = (time.perf_counter() - started) / len(splits)
    for seed, curve in zip(splits, curves, strict=True):
        keep(seed, {"plain": curve}, seconds)


def _run_meta(unit: Unit, splits: Mapping[int, Split], keep: Keep) -> None:
    loss_fn = make_loss({}, _counts(splits))
    for seed, split in splits.items():
        started = time.perf_counter()
        curves = train_meta(
            split,
            seed,
            unit.method.recipe,
            unit.method.network,
            loss_fn,
            score_with_dropout=unit.protocol == "released",
            pools=unit.pools,
        )
        keep(seed, curves, time.perf_counter() - started)


def _run_weighted(unit: Unit, splits: Mapping[int, Split], keep: Keep) -> None:
    loss_fn = make_loss({}, _counts(splits))
    for seed, split in splits.items():
        started = time.perf_counter()
        curve = train_weighted(
            split,
            seed,
            unit.method.recipe,
            unit.method.network,
            loss_fn,
            score_with_dropout=unit.protocol == "released",
        )
        keep(seed, {"plain": curve}, time.perf_counter() - started)


def _run_rival(unit: Unit, splits: Mapping[int, Split], keep: Keep) -> None:
    for seed, split in splits.items():
        started = time.perf_counter()
        curve = train_rival(unit.method.name, split, seed)
        keep(seed, {"plain": curve}, time.perf_counter() - started)


TRAIN = {"plain": _run_plain, "meta": _run_meta, "weighted": _run_weighted, "rival": _run_rival}


def _counts(splits: Mapping[int, Split]) -> NDArray[np.int64]:
    """Rows of both classes in training; alike in all runs, since splits are stratified or the same."""
    return np.bincount(next(iter(splits.values())).train.y)


def load(task: str, data_root: Path | None, download: bool) -> Dataset:
    """Load a task; ``fraud-thinned`` has the full file's share of frauds."""
    if task == "loan":
        return load_loan_default(data_root)
    share = SHARE_OF_FRAUDS if task == "fraud-thinned" else None
    return load_card_fraud(data_root, download=download, positive_share=share, random_state=0)


def main() -> None:
    """Run the missing units, some at a time."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", choices=[*TABLES, *GRIDS])
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
    if arguments.runs < 1:
        parser.error(f"--runs must be at least 1, got {arguments.runs}")
    unknown = sorted(set(arguments.rows) - set(TABLES.get(arguments.table, ())))
    if unknown:
        parser.error(f"--rows: {arguments.table} has no row {', '.join(unknown)}")
    try:
        data = {task: load(task, arguments.data_root, arguments.download) for task in arguments.task}
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f"paper.run: {error}")
    environment = describe_environment()
    started = time.perf_counter()
    with TemporaryDirectory() as pools:
        units = missing_units(
            needed(arguments.table, arguments.rows),
            arguments.task,
            arguments.protocol,
            arguments.runs,
            arguments.results,
            Path(pools),
            arguments.engine,
        )
        done = Parallel(n_jobs=arguments.jobs, return_as="generator_unordered")(
            delayed(run_unit)(unit, data[unit.task], environment) for unit in units
        )
        for _ in track(done, arguments.table, total=len(units), console=Console(stderr=True)):
            pass
    runs = sum(len(unit.seeds) for unit in units)
    print(f"{arguments.table}: {runs} runs in {time.perf_counter() - started:.0f} s; the others were there")


if __name__ == "__main__":
    main()
