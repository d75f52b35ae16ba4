"""What is printed fits the terminal and says what the comparison says."""

import io
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from metabalance.cli.tables import (
    leaderboard,
    left_out,
    prediction_summary,
    strategy_table,
    training_summary,
)
from metabalance.evaluation import METRICS, Comparison, FoldResult, MethodInfo
from metabalance.sampling import STRATEGIES

TITLES = {"a": "MetaBalance [natural]/over at θ′", "b": "Histogram gradient boosting"}


def printed(table: Table, width: int) -> str:
    text = io.StringIO()
    Console(file=text, width=width).print(table)
    return text.getvalue()


@pytest.fixture
def comparison() -> Comparison:
    def fold(method: str, split: int, value: float) -> FoldResult:
        metrics = dict.fromkeys(METRICS, value)
        truth, proba = np.array([0, 1]), np.array([[0.9, 0.1], [0.4, 0.6]], dtype=np.float32)
        return FoldResult(method, split, 0, metrics, {"no": 1.0, "yes": value}, 0.5, 0.1, None, truth, proba)

    return Comparison(
        dataset="table [1].csv",
        n_rows=4,
        n_features=2,
        classes=("no", "yes"),
        class_counts={"no": 3, "yes": 1},
        methods=tuple(MethodInfo(name, title, "rival", "what it is") for name, title in TITLES.items()),
        results=(fold("a", 0, 0.5), fold("a", 1, 0.7), fold("b", 0, 0.25), fold("b", 1, 0.25)),
        skipped={"x": "no neighbours", "y": "no tables", "z": "no neighbours"},
        settings={},
        environment={},
        seconds=2.4,
        command=None,
    )


def test_wide_leaderboard(comparison: Comparison) -> None:
    text = printed(leaderboard(comparison, 140), 140)
    assert "table [1].csv: 2 splits × 1 seed " in text
    assert all(title in text for title in TITLES.values())
    assert text.count("0.600 ± 0.100") == 5
    assert text.count("0.250 ± 0.000") == 5
    assert "Macro" in text


def test_narrow_leaderboard(comparison: Comparison) -> None:
    text = printed(leaderboard(comparison, 80), 80)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert text.count(" 0.600 ") == 3
    assert not any("±" in line for line in text.splitlines() if "│" in line)
    assert "A window of 120 columns shows more" in text


def test_the_best_value_stands_out(comparison: Comparison) -> None:
    cells = list(leaderboard(comparison, 140).columns[2].cells)
    assert cells == ["[bold]0.600 ± 0.100[/bold]", "0.250 ± 0.000"]
    calibration_errors = list(leaderboard(comparison, 140).columns[6].cells)
    assert calibration_errors == ["0.600 ± 0.100", "[bold]0.250 ± 0.000[/bold]"]


def test_methods_left_out_for_the_same_reason_share_a_line(comparison: Comparison) -> None:
    assert left_out(comparison) == ["left out: x, z: no neighbours", "left out: y: no tables"]


@pytest.mark.parametrize("width", [80, 140])
def test_strategies_fit_the_width(width: int) -> None:
    text = printed(strategy_table(width), width)
    assert max(map(len, text.splitlines())) <= width
    assert all(f" {name} " in text for name in STRATEGIES)
    assert ("Chawla" in text) == (width == 140)


def epoch(number: int, score: float) -> dict[str, float]:
    return {
        "epoch": number,
        "valid_score": score,
        "valid_majority_recall": 0.9,
        "valid_minority_recall": score / 2,
    }


def test_the_summary_of_a_fit_is_that_of_its_best_epoch() -> None:
    history = [epoch(1, 0.5), epoch(2, 0.8), epoch(3, 0.6)]
    network = SimpleNamespace(history_=history, interrupted_=False, scoring=None)
    assert training_summary(network) == (
        "best epoch 2 of 3; on the held-out rows: refinement 0.8000, if the most probable class is "
        "taken, recall of the majority class 0.900, of the other classes 0.400"
    )


def test_an_interrupted_fit_says_so_and_leaves_its_broken_epoch_out() -> None:
    network = SimpleNamespace(history_=[epoch(1, 0.5), {"epoch": 2}], interrupted_=True, scoring="f1")
    assert training_summary(network).startswith(
        "interrupted; best epoch 1 of 1; on the held-out rows: f1 0.5"
    )
    network.history_ = [{"epoch": 1}]
    with pytest.raises(KeyboardInterrupt):
        training_summary(network)


def test_the_summary_of_predictions_counts_labels() -> None:
    assert prediction_summary(Counter({"ok": 1200, "fraud": 1})) == "1,201 rows: ok 1,200, fraud 1"
    assert prediction_summary(Counter(range(9))).endswith(", 7 1, …")
    assert prediction_summary(Counter()) == "0 rows"
