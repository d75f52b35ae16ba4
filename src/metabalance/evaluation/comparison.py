"""The result of a comparison: every fold's numbers, and the leaderboard made from them.

The dataclasses hold what was measured and nothing derived from it: means, errors and ranks are computed on
demand, so that a file written today can be summarised differently tomorrow.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from metabalance.evaluation.by_group import group_frame
from metabalance.evaluation.confidence import Confidence
from metabalance.evaluation.metrics import METRICS
from metabalance.evaluation.results_file import numbers_from_json, read_results_file, write_results_file

FAMILIES = ("metabalance", "network", "rival")
RANKED_BY = ("roc_auc", "average_precision", "balanced_accuracy")
MAX_STORED_NUMBERS = 2_000_000


@dataclass(frozen=True)
class MethodInfo:
    """What one row of the leaderboard is.

    Parameters
    ----------
    name : str
        The name it was asked for by, such as ``"metabalance:natural/under"`` or ``"lightgbm"``.
    title : str
        The name a reader sees.
    family : {"metabalance", "network", "rival"}
        MetaBalance, any other network, or anything else.
    description : str
        One line.
    """

    name: str
    title: str
    family: str
    description: str

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(
                f"family of method {self.name!r} is {self.family!r}; it must be one of {FAMILIES}"
            )


@dataclass(frozen=True, eq=False)
class FoldResult:
    """One method, trained on one split from one seed, and measured on that split's test part.

    Parameters
    ----------
    method : str
        Name of a :class:`MethodInfo`.
    split, seed : int
        Which split and which initialisation.
    metrics : mapping of str to float
        Values of :data:`metabalance.evaluation.metrics.METRICS`; NaN where undefined.
    recall : mapping of str to float
        Recall on the test part by class; NaN for a class that does not occur in it.
    fit_seconds, predict_seconds : float
        Wall-clock time.
    rows_drawn : int or None
        Training rows a network drew (with repetition); None for rivals.
    y_true : ndarray of shape (n_test,), int64
        Codes into ``Comparison.classes``; empty where the predictions were not kept.
    proba : ndarray of shape (n_test, n_classes), float32
        Predicted probabilities; empty where they were not kept.
    history : tuple of mappings
        One per epoch with the keys epoch, train_loss, train_majority_recall, train_minority_recall,
        valid_majority_recall, valid_minority_recall and valid_score; empty for rivals.
    by_group : mapping of str to mappings
        ``metrics`` among the test rows of each group; empty where no groups were given.
    uncalibrated : Confidence or None
        What the network's probabilities were before calibration; None where there was none.
    """

    method: str
    split: int
    seed: int
    metrics: Mapping[str, float]
    recall: Mapping[str, float]
    fit_seconds: float
    predict_seconds: float
    rows_drawn: int | None
    y_true: npt.NDArray[np.int64]
    proba: npt.NDArray[np.float32]
    history: tuple[Mapping[str, float], ...] = ()
    by_group: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    uncalibrated: Confidence | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """Methods measured on the same splits of one data set.

    Parameters
    ----------
    dataset : str
        What the data are called.
    n_rows, n_features : int
        Their size.
    classes : tuple of str
        Labels, the most frequent first; of two, ``classes[1]`` is the rare, positive one.
    class_counts : mapping of str to int
        Rows by class.
    methods : tuple of MethodInfo
        What was run.
    results : tuple of FoldResult
        One for every method, split and seed.
    skipped : mapping of str to str
        Methods that could not run on these data, with the reason in one line.
    settings : mapping of str to JSON-able values
        How it was run. The report quotes the sentences under the keys ``prior``, ``budget`` and
        ``early_stopping``, and lists the rest.
    environment : mapping of str to str
        Versions and hardware.
    seconds : float
        Wall-clock time of the whole comparison.
    command : str or None
        The command line that made it.

    Examples
    --------
    >>> import numpy as np
    >>> def fold(method, split, auc):
    ...     return FoldResult(method, split, 0, {"roc_auc": auc}, {"no": 1.0, "yes": auc}, 0.5, 0.1, None,
    ...                       np.array([0, 1]), np.array([[0.9, 0.1], [0.4, 0.6]], dtype=np.float32))
    >>> comparison = Comparison(
    ...     "toy", 4, 2, ("no", "yes"), {"no": 3, "yes": 1},
    ...     (MethodInfo("a", "A", "rival", "the first"), MethodInfo("b", "B", "rival", "the second")),
    ...     (fold("a", 0, 0.5), fold("a", 1, 0.7), fold("b", 0, 0.8), fold("b", 1, 0.8)),
    ...     skipped={}, settings={}, environment={}, seconds=2.4, command=None)
    >>> comparison.frame[["roc_auc", "roc_auc_se"]].round(3)
            roc_auc  roc_auc_se
    method
    b           0.8         0.0
    a           0.6         0.1
    """

    dataset: str
    n_rows: int
    n_features: int
    classes: tuple[str, ...]
    class_counts: Mapping[str, int]
    methods: tuple[MethodInfo, ...]
    results: tuple[FoldResult, ...]
    skipped: Mapping[str, str]
    settings: Mapping[str, Any]
    environment: Mapping[str, str]
    seconds: float
    command: str | None

    def __post_init__(self) -> None:
        repeated = [
            name for name, times in Counter(method.name for method in self.methods).items() if times > 1
        ]
        if repeated:
            raise ValueError(f"methods are listed more than once: {repeated}; give every method its own name")
        unknown = {result.method for result in self.results} - {method.name for method in self.methods}
        if unknown:
            raise ValueError(
                f"results of methods that are not described: {sorted(unknown)}; add a MethodInfo"
            )

    def __repr__(self) -> str:
        """Return the leaderboard in short, and what was left out."""
        shown = self.frame[["rank", *(metric for metric in RANKED_BY if metric in self.frame)]].round(4)
        left_out = [f"left out: {name}: {reason}" for name, reason in self.skipped.items()]
        title = f"{self.dataset}: {self.n_splits} splits × {self.n_seeds} seeds"
        return "\n".join([title, shown.to_string(), *left_out])

    @property
    def n_splits(self) -> int:
        """Number of different splits among the results."""
        return len({result.split for result in self.results})

    @property
    def n_seeds(self) -> int:
        """Number of different seeds among the results."""
        return len({result.seed for result in self.results})

    @property
    def frame(self) -> pd.DataFrame:
        """The leaderboard: one row per method that has results, the best rank first.

        Columns
        -------
        rank
            For each of ROC-AUC, average precision and balanced accuracy, and in each split, the methods are
            ranked by the metric averaged over the seeds (1 is the best; ties share the mean of their ranks; a
            missing or NaN value ranks last). ``rank`` is the mean over splits, then over the three metrics.
        <metric>, <metric>_se
            Mean, and standard error of the mean. The seeds of a split are averaged first; the error is the
            standard deviation (n - 1) of these values over the splits, divided by the square root of their
            number. With a single split it is taken over the seeds instead. It is NaN where there is only one
            value. NaN values are left out of both.
        fit_seconds, rows_drawn
            Means over all fits; ``rows_drawn`` is rounded, and missing for methods that draw no batches.
        """
        return self._leaderboard.copy()

    @cached_property
    def _leaderboard(self) -> pd.DataFrame:
        names = list(METRICS)
        folds = self._fold_table(names)
        by_split = folds.groupby(["method", "split"])[names].mean()
        means = by_split.groupby("method").mean()
        errors = (by_split if self.n_splits > 1 else folds).groupby("method")[names].sem()
        costs = folds.groupby("method")[["fit_seconds", "rows_drawn"]].mean()

        order = [method.name for method in self.methods if method.name in means.index]
        frame = pd.DataFrame(index=pd.Index(order, name="method"))
        frame["rank"] = _mean_rank(by_split)
        for name in names:
            frame[name] = means[name]
            frame[f"{name}_se"] = errors[name]
        frame["fit_seconds"] = costs["fit_seconds"]
        frame["rows_drawn"] = costs["rows_drawn"].round().astype("Int64")
        return frame.sort_values("rank", kind="stable")

    @property
    def recall_frame(self) -> pd.DataFrame:
        """Recall by class (columns) and method (rows, as in :attr:`frame`), averaged like its metrics."""
        folds = self._fold_table([])
        recalls = pd.DataFrame([dict(result.recall) for result in self.results], index=folds.index)
        recalls = recalls.reindex(columns=list(self.classes)).astype(float)
        by_split = recalls.groupby([folds["method"], folds["split"]]).mean()
        return by_split.groupby("method").mean().reindex(self.frame.index)

    def group_frame(self, metric: str = "balanced_accuracy") -> pd.DataFrame:
        """Return a metric of each group by method (rows, as in :attr:`frame`), and the gap between groups.

        Parameters
        ----------
        metric : str
            A key of ``METRICS``.

        Returns
        -------
        DataFrame
            With columns ("mean", group) and ("se", group): mean over the splits where the group has one
            (seeds of a split are averaged first), and its standard error, NaN for a single one. ("gap",
            "mean") is how far the groups with the highest and the lowest mean are apart, NaN where one has
            none (ROC-AUC needs rows of two classes in the group), ("gap", "se") the standard error of their
            difference over the splits where both have a value.

        Raises
        ------
        ValueError
            If the metric is unknown, or there are no groups: give `compare` ``report_by=``.
        """
        frame = group_frame(self.results, metric)
        return frame.reindex(self.frame.index)

    @property
    def has_groups(self) -> bool:
        """Whether metrics were taken by group."""
        return any(result.by_group for result in self.results)

    def to_json(self, path: str | os.PathLike[str]) -> Path:
        """Write everything into one strict JSON file, from which :meth:`from_json` rebuilds this object.

        Probabilities are written so that they read back as the same float32 values. Beyond two million
        numbers the predictions (``y_true`` and ``proba``) are left out, and the file says so. NaN is
        written as null. The file appears complete or not at all.

        Returns
        -------
        pathlib.Path
            The file written; its folder is made where needed.

        Raises
        ------
        TypeError
            If ``settings`` hold something that JSON cannot.
        ValueError
            If the file cannot be written.
        """
        numbers = sum(result.y_true.size + result.proba.size for result in self.results)
        keep = numbers <= MAX_STORED_NUMBERS
        left_out = f"left out: {numbers:,} numbers, and a file holds at most {MAX_STORED_NUMBERS:,}"
        content: dict[str, Any] = {"predictions": "kept" if keep else left_out}
        content |= {each.name: getattr(self, each.name) for each in fields(self)}
        content["methods"] = [asdict(method) for method in self.methods]
        content["results"] = [fold_to_json(result, keep) for result in self.results]
        return write_results_file(path, content)

    @classmethod
    def from_json(cls, path: str | os.PathLike[str]) -> Comparison:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is not a comparison, or of a version this library does not read.
        """
        content = read_results_file(path)
        try:
            del content["predictions"]
            content["classes"] = tuple(content["classes"])
            content["methods"] = tuple(MethodInfo(**method) for method in content["methods"])
            content["results"] = tuple(
                fold_from_json(result, len(content["classes"])) for result in content["results"]
            )
            return cls(**content)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is damaged ({error}); run the comparison again") from error

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the report, one self-contained HTML file; see :func:`metabalance.report.write_report`."""
        from metabalance.report import write_report  # the report is made from this module's classes

        return write_report(self, path)

    def _fold_table(self, metrics: list[str]) -> pd.DataFrame:
        rows = [
            {
                "method": result.method,
                "split": result.split,
                "fit_seconds": result.fit_seconds,
                "rows_drawn": math.nan if result.rows_drawn is None else float(result.rows_drawn),
                **{name: result.metrics.get(name, math.nan) for name in metrics},
            }
            for result in self.results
        ]
        return pd.DataFrame(rows, columns=["method", "split", "fit_seconds", "rows_drawn", *metrics])


def _mean_rank(by_split: pd.DataFrame) -> pd.Series:
    ranks = [
        by_split[metric]
        .unstack("split")
        .rank(ascending=False, method="average", na_option="bottom")
        .mean(axis=1)
        for metric in RANKED_BY
    ]
    return pd.concat(ranks, axis=1).mean(axis=1)


def fold_to_json(result: FoldResult, keep_predictions: bool = True) -> dict[str, Any]:
    """Return what a JSON file holds of a result."""
    stored = {each.name: getattr(result, each.name) for each in fields(result)}
    stored["uncalibrated"] = None if result.uncalibrated is None else asdict(result.uncalibrated)
    stored["y_true"] = result.y_true.tolist() if keep_predictions else []
    stored["proba"] = _shortest(result.proba).tolist() if keep_predictions else []
    return stored


def _shortest(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the shortest decimals that read back as the same float32 values (0.1, not 0.100000001490…)."""
    shortest: npt.NDArray[np.float64] = values.astype(np.float32).astype(str).astype(np.float64)
    return shortest


def fold_from_json(stored: dict[str, Any], n_classes: int) -> FoldResult:
    """Undo `fold_to_json`."""
    stored["metrics"] = numbers_from_json(stored["metrics"])
    stored["recall"] = numbers_from_json(stored["recall"])
    stored["by_group"] = {
        group: numbers_from_json(metrics) for group, metrics in stored.get("by_group", {}).items()
    }
    before = stored.get("uncalibrated")
    stored["uncalibrated"] = None if before is None else Confidence.from_json(before)
    stored["history"] = tuple(numbers_from_json(epoch) for epoch in stored["history"])
    stored["y_true"] = np.asarray(stored["y_true"], dtype=np.int64)
    stored["proba"] = np.asarray(stored["proba"], dtype=np.float32).reshape(-1, n_classes)
    return FoldResult(**stored)
