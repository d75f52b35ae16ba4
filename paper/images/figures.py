"""Figures 1 and 2 of the paper, by the functions that draw the report of any comparison."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from metabalance.evaluation import Comparison, FoldResult, MethodInfo
from metabalance.report import recall_figure, save_figure, training_figure
from paper.images.places import TEST
from paper.images.runs import read_runs
from paper.images.units import load_config


def as_comparison(root: Path, task: str, imbalance: str, seed: int) -> Comparison | None:
    """The runs of one seed, which share their majority class, as a comparison of one split."""
    rows = load_config("rows")
    runs = {row: read_runs(root, task, imbalance, row).get(seed) for row in rows}
    done = {row: run for row, run in runs.items() if run is not None}
    if not done:
        return None
    data = next(iter(done.values()))["data"]
    order = np.argsort(data["train"], kind="stable")[::-1].tolist()
    classes = tuple(data["classes"][k] for k in order)
    return Comparison(
        dataset=f"{data['title']}, {imbalance} imbalance, majority class {classes[0]}",
        n_rows=sum(data["train"]),
        n_features=3 * 32 * 32,
        classes=classes,
        class_counts={data["classes"][k]: data["train"][k] for k in order},
        methods=tuple(MethodInfo(row, rows[row]["title"], _family(rows[row]), "") for row in done),
        results=tuple(_as_fold(row, run) for row, run in done.items()),
        skipped={},
        settings={},
        environment=next(iter(done.values()))["environment"],
        seconds=math.fsum(run["last"]["seconds"] for run in done.values()),
        command=None,
    )


def write_figures(root: Path, task: str, out: Path) -> list[Path]:
    """Write Figures 1 and 2 of every imbalance that has runs of the first majority class, as PNG and SVG."""
    written = []
    for imbalance in ("severe", "moderate"):
        comparison = as_comparison(root, task, imbalance, seed=0)
        if comparison is not None:
            figures = {"figure1": recall_figure(comparison), "figure2": training_figure(comparison)}
            for name, figure in figures.items():
                for ending in ("png", "svg"):
                    written.append(save_figure(figure, out / f"{name}-{task}-{imbalance}.{ending}"))
    return written


def _as_fold(row: str, run: Mapping[str, Any]) -> FoldResult:
    """A run by its last scores, with its curve as history: an epoch is the stretch between two scores."""
    data, last = run["data"], run["last"]
    majority = data["majority"]

    def groups(part: str, recalls: list[float]) -> dict[str, float]:
        others = float(np.mean(np.delete(recalls, majority)))
        return {f"{part}_majority_recall": recalls[majority], f"{part}_minority_recall": others}

    history = tuple(
        {"epoch": float(k), **groups("train", record["train"]), **groups("valid", record[TEST])}
        for k, record in enumerate(run["curve"], start=1)
    )
    return FoldResult(
        method=row,
        split=0,
        seed=run["seed"],
        metrics={"balanced_accuracy": float(np.mean(last[TEST]))},
        recall=dict(zip(data["classes"], last[TEST], strict=True)),
        fit_seconds=last["seconds"],
        predict_seconds=math.nan,
        rows_drawn=last["rows"],
        y_true=np.empty(0, dtype=np.int64),
        proba=np.empty((0, len(data["classes"])), dtype=np.float32),
        history=history,
    )


def _family(about: Mapping[str, Any]) -> str:
    return "metabalance" if about["kind"] == "meta" and about.get("inner_lr") != 0.0 else "network"
