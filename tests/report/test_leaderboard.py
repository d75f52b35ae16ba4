from collections.abc import Callable
from dataclasses import replace

from metabalance.evaluation.comparison import Comparison
from metabalance.evaluation.metrics import METRICS
from metabalance.report.leaderboard import Cell, leaderboard_rows

Make = Callable[..., Comparison]
PLACES = {name: place for place, name in enumerate(METRICS)}


def with_metric(comparison: Comparison, metric: str, values: dict[str, tuple[float, ...]]) -> Comparison:
    results = tuple(
        replace(result, metrics={**result.metrics, metric: values[result.method][result.split]})
        for result in comparison.results
    )
    return replace(comparison, results=results)


def cells(comparison: Comparison, metric: str) -> dict[str, Cell]:
    return {row.method.name: row.cells[PLACES[metric]] for row in leaderboard_rows(comparison)}


def test_less_is_better_where_the_metric_says_so(make_comparison: Make) -> None:
    values = {"method-0": (0.3, 0.3), "method-1": (0.1, 0.14), "method-2": (0.13, 0.13)}
    found = cells(with_metric(make_comparison(3, n_splits=2), "brier", values), "brier")
    assert found == {
        "method-0": Cell("0.300", "0.000", best=False, close=False),
        "method-1": Cell("0.120", "0.020", best=True, close=False),
        "method-2": Cell("0.130", "0.000", best=False, close=True),
    }


def test_equal_bests_are_all_best(make_comparison: Make) -> None:
    values = {"method-0": (0.5,), "method-1": (0.7,), "method-2": (0.7,)}
    found = cells(with_metric(make_comparison(3, n_splits=1), "roc_auc", values), "roc_auc")
    assert {name: cell.best for name, cell in found.items()} == {
        "method-0": False,
        "method-1": True,
        "method-2": True,
    }
    assert not any(cell.close or cell.error for cell in found.values())


def test_undefined_metrics_are_a_dash_and_nobodys_best(make_comparison: Make) -> None:
    nan = float("nan")
    values = {"method-0": (nan, nan), "method-1": (nan, nan)}
    found = cells(with_metric(make_comparison(2, n_splits=2), "roc_auc", values), "roc_auc")
    assert set(found.values()) == {Cell("–", "", best=False, close=False)}


def test_rows_carry_rank_cost_and_line(make_comparison: Make) -> None:
    rows = leaderboard_rows(make_comparison(9, n_splits=1))
    assert [float(row.rank) for row in rows] == sorted(float(row.rank) for row in rows)
    assert [row.line is None for row in rows] == [False] * 8 + [True]
    assert {row.rows_drawn for row in rows if row.method.family == "rival"} == {"–"}
    assert {row.rows_drawn for row in rows if row.method.family != "rival"} == {"64,000"}
    assert next(row for row in rows if row.method.name == "method-3").fit_seconds == "3.4 s"
