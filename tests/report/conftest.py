"""Comparisons of made-up methods, of any size: scores that separate the classes more or less well."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from metabalance.evaluation.comparison import Comparison, FoldResult, MethodInfo
from metabalance.evaluation.metrics import recall_per_class, score_predictions

FAMILIES = ("metabalance", "network", "rival")
HISTORY_KEYS = (
    "train_majority_recall",
    "train_minority_recall",
    "valid_majority_recall",
    "valid_minority_recall",
)


def make_comparison(
    n_methods: int = 3,
    classes: tuple[str, ...] = ("no", "yes"),
    *,
    n_splits: int = 3,
    n_seeds: int = 1,
    families: tuple[str, ...] = FAMILIES,
    titles: tuple[str, ...] | None = None,
    n_rows: int = 240,
    **changes: object,
) -> Comparison:
    made = _make(n_methods, classes, n_splits, n_seeds, families, titles, n_rows)
    return replace(made, **changes)  # type: ignore[arg-type]


@cache
def _make(
    n_methods: int,
    classes: tuple[str, ...],
    n_splits: int,
    n_seeds: int,
    families: tuple[str, ...],
    titles: tuple[str, ...] | None,
    n_rows: int,
) -> Comparison:
    rng = np.random.default_rng(0)
    share = 0.4 ** np.arange(len(classes))
    counts = np.maximum(share / share.sum() * n_rows, 4).astype(int)
    labels = np.repeat(np.arange(len(classes)), counts)
    methods = tuple(
        MethodInfo(
            name=f"method-{i}",
            title=titles[i] if titles else f"Method {i}",
            family=families[i % len(families)],
            description=f"description {i}",
        )
        for i in range(n_methods)
    )
    results = []
    for i, method in enumerate(methods):
        for split in range(n_splits):
            for seed in range(n_seeds):
                separation = 2.5 - 1.5 * i / n_methods
                logits = rng.normal(size=(len(labels), len(classes)))
                logits[np.arange(len(labels)), labels] += separation
                proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
                network = method.family != "rival"
                results.append(
                    FoldResult(
                        method=method.name,
                        split=split,
                        seed=seed,
                        metrics=score_predictions(labels, proba),
                        recall=dict(zip(classes, recall_per_class(labels, proba).tolist(), strict=True)),
                        fit_seconds=0.4 + i,
                        predict_seconds=0.01,
                        rows_drawn=64_000 if network else None,
                        y_true=labels,
                        proba=proba.astype(np.float32),
                        history=_history(8 + 3 * split) if network else (),
                    )
                )
    return Comparison(
        dataset="made-up",
        n_rows=int(counts.sum()),
        n_features=7,
        classes=classes,
        class_counts=dict(zip(classes, counts.tolist(), strict=True)),
        methods=methods,
        results=tuple(results),
        skipped={},
        settings={"cv": n_splits, "budget": "Every network draws at most 64,000 rows."},
        environment={"metabalance": "0.1.0", "cpu": "a processor"},
        seconds=12.3,
        command="metabalance compare made-up --target class",
    )


def _history(n_epochs: int) -> tuple[dict[str, float], ...]:
    progress = np.linspace(0, 1, n_epochs)
    curves = {
        "train_majority_recall": 0.7 + 0.25 * progress,
        "train_minority_recall": 0.5 + 0.5 * progress,
        "valid_majority_recall": 0.7 + 0.2 * progress,
        "valid_minority_recall": 0.5 + 0.4 * progress - 0.5 * progress**2,
    }
    return tuple(
        {"epoch": epoch + 1, "train_loss": 1.0, "valid_score": 0.5}
        | {key: float(curves[key][epoch]) for key in HISTORY_KEYS}
        for epoch in range(n_epochs)
    )


@pytest.fixture(name="make_comparison", scope="session")
def _make_comparison() -> Callable[..., Comparison]:
    return make_comparison
