"""What is left to run for a table, and how a method's runs are made and kept."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from metabalance.datasets import Dataset
from metabalance.estimators.losses import choose_loss
from metabalance.nn import LossFunction, class_logits
from paper.curves import Curve
from paper.meta import train_meta
from paper.meta_weight_net import train_meta_weight_net
from paper.methods import TABLES, Method, families, methods_for, resolve
from paper.plain import train_plain
from paper.protocols import Split, make_split
from paper.rivals import train_rival
from paper.store import path_of, read_runs, write_run

# which families a table needs besides its rows
GRIDS = {"table2": ("grid", "grid-no-adaptation")}


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
    data: Mapping[str, Dataset],
    protocols: Sequence[str],
    runs: int,
    root: Path,
    pools: Path,
    engine: str,
) -> list[Unit]:
    """What is left to do of these methods on these tasks.

    Raises
    ------
    ValueError
        If runs that are there were made from other data or by another recipe than they would be now.
    """
    units = []
    for task, dataset in data.items():
        for protocol in protocols:
            for name in names:
                method = resolve(name, task.removesuffix("-thinned"), protocol)
                kept = read_runs(root, task, protocol, name)
                for seed, run in kept.items():
                    _check_same(run, method, dataset, path_of(root, task, protocol, name, seed))
                if method.kind == "meta":
                    method = Method(method.name, "meta", {**method.recipe, "engine": engine}, method.network)
                seeds = tuple(seed for seed in range(runs) if seed not in kept)
                if seeds:
                    units.append(Unit(task, protocol, method, seeds, root, pools))
    return units


def _check_same(run: Mapping[str, Any], method: Method, dataset: Dataset, path: Path) -> None:
    recipe = {name: value for name, value in run["recipe"].items() if name != "engine"}
    now = {"data": describe_data(dataset), "recipe": dict(method.recipe), "network": dict(method.network)}
    for name, found in {"data": run["data"], "recipe": recipe, "network": run["network"]}.items():
        if found != now[name]:
            raise ValueError(
                f"{path} was made with {name} {found}, and would now be made with {now[name]}: delete the "
                "runs of this method, or keep the new ones elsewhere with --results"
            )


def describe_data(dataset: Dataset) -> dict[str, Any]:
    """What a result says of its data."""
    return {"title": dataset.title, "rows": len(dataset.y), "positives": int(dataset.y.sum())}


def run_unit(unit: Unit, data: Dataset, environment: Mapping[str, str]) -> None:
    """Train and score the missing runs of a method, and keep each; one that diverges is kept as such."""
    torch.set_num_threads(1)
    # A weight decay of 0.05 drives unused weights into numbers so small that arithmetic on them is slow.
    torch.set_flush_denormal(True)
    X, y = data.X.to_numpy(np.float64), data.y.astype(np.int64)
    splits = {seed: make_split(X, y, unit.protocol, seed) for seed in unit.seeds}

    def keep(seed: int, curves: Mapping[str, Curve], seconds: float) -> None:
        failures = [curve.failure for curve in curves.values() if curve.failure is not None]
        scores = {} if failures else {name: curve.summary() for name, curve in curves.items()}
        content = {
            "task": unit.task,
            "data": describe_data(data),
            "protocol": unit.protocol,
            "method": unit.method.name,
            "seed": seed,
            "recipe": dict(unit.method.recipe),
            "network": dict(unit.method.network),
            "scores": scores,
            "seconds": round(seconds, 2),
            "environment": dict(environment),
        }
        if failures:
            content["failure"] = failures[0]
        write_run(path_of(unit.root, unit.task, unit.protocol, unit.method.name, seed), content)

    if unit.method.kind == "plain":
        _run_stacked(unit, splits, keep)
    else:
        _run_one_by_one(unit, splits, keep)


Keep = Callable[[int, Mapping[str, Curve], float], None]


def _run_stacked(unit: Unit, splits: Mapping[int, Split], keep: Keep) -> None:
    """All runs in step; each is said to take its share of the time."""
    started = time.perf_counter()
    curves = train_plain(
        list(splits.values()),
        list(splits),
        unit.method.recipe,
        unit.method.network,
        # All runs have as many training rows of each class: splits are stratified, or the same.
        loss_for(unit.method, next(iter(splits.values()))),
        score_with_dropout=unit.protocol == "released",
        pools=unit.pools,
    )
    seconds = (time.perf_counter() - started) / len(splits)
    for seed, curve in zip(splits, curves, strict=True):
        keep(seed, {"plain": curve}, seconds)


def _run_one_by_one(unit: Unit, splits: Mapping[int, Split], keep: Keep) -> None:
    for seed, split in splits.items():
        started = time.perf_counter()
        try:
            curves = _curves(unit, split, seed)
        except FloatingPointError as error:
            curves = {"plain": Curve(failure=str(error))}
        keep(seed, curves, time.perf_counter() - started)


def _curves(unit: Unit, split: Split, seed: int) -> dict[str, Curve]:
    method, score_with_dropout = unit.method, unit.protocol == "released"
    if method.kind == "rival":
        return {"plain": train_rival(method.name, split, seed)}
    arguments = (split, seed, method.recipe, method.network, loss_for(method, split))
    if method.kind == "meta":
        return train_meta(*arguments, score_with_dropout=score_with_dropout, pools=unit.pools)
    return {"plain": train_meta_weight_net(*arguments, score_with_dropout=score_with_dropout)}


def loss_for(method: Method, split: Split) -> LossFunction:
    """The loss that a recipe names, with the class frequencies of the training rows."""
    labels: NDArray[np.int64] = np.array([0, 1])
    name, weight = method.recipe.get("loss", "cross_entropy"), method.recipe.get("class_weight")
    chosen = choose_loss(name, weight, labels, np.bincount(split.train.y), torch.device("cpu"))
    return lambda output, target: chosen(class_logits(output), target)
