"""What is drawn: the figures are asked, not looked at."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from metabalance.evaluation.comparison import Comparison
from metabalance.evaluation.confidence import Confidence
from metabalance.report import (
    calibration_figure,
    precision_recall_figure,
    recall_figure,
    render_html,
    roc_figure,
    save_figure,
    training_figure,
)
from metabalance.report.calibration import calibration_rows, pooled
from metabalance.report.saving import inline_svg
from metabalance.report.style import MAX_CURVES, method_lines
from metabalance.report.training import MAX_PANELS, mean_history

Make = Callable[..., Comparison]
FIGURES = (roc_figure, precision_recall_figure, recall_figure, training_figure, calibration_figure)
CURVE_FIGURES = (roc_figure, precision_recall_figure, calibration_figure)


def legend_texts(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def without_predictions(comparison: Comparison) -> Comparison:
    empty = {"y_true": np.empty(0, np.int64), "proba": np.empty((0, len(comparison.classes)), np.float32)}
    return replace(
        comparison, results=tuple(replace(result, **empty, history=()) for result in comparison.results)
    )


@pytest.mark.parametrize("draw", FIGURES)
@pytest.mark.parametrize(
    ("n_methods", "classes", "title"),
    [
        (1, ("no", "yes"), "A"),
        (3, ("$a_$", "_b", "<script>", "中文"), "a very long name of a method that does not end " * 4),
        (16, tuple(f"a class with a long name {i}" for i in range(10)), "_underscore $x$"),
        (2, tuple(f"class {i}" for i in range(40)), ""),
    ],
)
def test_all_sizes_are_drawn_without_a_warning(
    make_comparison: Make,
    draw: Callable[[Comparison], Figure],
    n_methods: int,
    classes: tuple[str, ...],
    title: str,
) -> None:
    comparison = make_comparison(n_methods, classes, n_splits=2, n_rows=200, titles=(title,) * n_methods)
    svg = inline_svg(draw(comparison))
    assert svg.startswith("<svg")
    assert "<script" not in svg


@pytest.mark.parametrize("draw", CURVE_FIGURES)
def test_curves_are_those_of_the_best_methods(
    make_comparison: Make, draw: Callable[[Comparison], Figure]
) -> None:
    comparison = make_comparison(11, n_splits=2)
    figure = draw(comparison)
    best = comparison.frame.index[:MAX_CURVES]
    titles = {method.name: method.title for method in comparison.methods}
    texts = legend_texts(figure)
    assert [text.split("  ")[1] for text in texts] == [titles[name] for name in best]
    assert figure.legends[0].get_title().get_text().endswith("(the best 8 of 11 methods by rank)")

    lines = method_lines(comparison)
    drawn = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}
    dashes = {"solid": "-", "dashed": "--", "dotted": ":"}
    assert {(line.color, dashes[line.dashes]) for line in lines.values()} <= drawn


def test_the_legend_holds_the_mean_of_the_metric(make_comparison: Make) -> None:
    comparison = make_comparison(2)
    values = [comparison.frame["roc_auc"], comparison.frame["average_precision"]]
    # A calibration error is that of all test parts together: means over small parts are larger.
    values.append([pooled(comparison, name).error for name in comparison.frame.index])
    for draw, expected in zip(CURVE_FIGURES, values, strict=True):
        shown = [text.split("  ")[0] for text in legend_texts(draw(comparison))]
        assert shown == [f"{value:.3f}" for value in expected]


def test_every_method_has_its_own_colour_and_its_familys_dashes(make_comparison: Make) -> None:
    comparison = make_comparison(8, n_splits=1)
    lines = method_lines(comparison)
    assert len({line.color for line in lines.values()}) == len(lines) == 8
    dashes = {"metabalance": "solid", "network": "dashed", "rival": "dotted"}
    for method in comparison.methods:
        assert lines[method.name].dashes == dashes[method.family]


def test_recall_has_bars_for_few_classes_and_a_heat_map_for_many(make_comparison: Make) -> None:
    few = make_comparison(3, ("a", "b", "c"))
    figure = recall_figure(few)
    for axes, label in zip(figure.axes, few.classes, strict=True):
        assert axes.get_title(loc="left") == f"{label} ({few.class_counts[label]:,} rows)"
        widths = [bar.get_width() for bar in axes.patches]
        assert widths == pytest.approx(few.recall_frame[label].tolist())

    many = make_comparison(3, tuple("abcdefg"))
    mesh = recall_figure(many).axes[0].collections[0]
    np.testing.assert_allclose(mesh.get_array().reshape(3, 7), many.recall_frame.to_numpy())


def test_recall_of_a_class_that_never_occurs_is_not_available(make_comparison: Make) -> None:
    comparison = make_comparison(1, n_splits=1)
    absent = replace(comparison.results[0], recall={"no": 1.0, "yes": np.nan})
    axes = recall_figure(replace(comparison, results=(absent,))).axes[1]
    assert [text.get_text() for text in axes.texts] == ["n/a"]


def test_training_has_a_panel_for_each_network(make_comparison: Make) -> None:
    comparison = make_comparison(6)
    networks = [method for method in comparison.methods if method.family != "rival"]
    panels = [axes for axes in training_figure(comparison).axes if axes.get_visible()]
    assert {axes.get_title(loc="left") for axes in panels} == {method.title for method in networks}
    assert all(len(axes.lines) == 4 for axes in panels)


def test_training_says_which_networks_are_left_out(make_comparison: Make) -> None:
    figure = training_figure(make_comparison(14, n_splits=1, families=("network",)))
    assert len(figure.axes) == MAX_PANELS
    assert figure.get_supxlabel() == "Epoch (the best 12 of 14 networks by rank)"


def test_mean_history_ends_where_fewer_than_half_of_the_runs_are_left(make_comparison: Make) -> None:
    comparison = make_comparison(1, n_splits=3)
    runs = ([0.1, 0.2], [0.3, 0.6, np.nan, 0.9], [0.5, 0.7, 0.8, 0.7, 1.0])
    results = tuple(
        replace(result, history=tuple({"recall": value} for value in run))
        for result, run in zip(comparison.results, runs, strict=True)
    )
    mean = mean_history(replace(comparison, results=results), "method-0", "recall")
    np.testing.assert_allclose(mean, [0.3, 0.5, 0.8, 0.8])
    np.testing.assert_array_equal(mean_history(comparison, "method-0", "absent"), [np.nan] * 11)
    assert mean_history(comparison, "another", "recall").shape == (0,)


def test_reliability_agrees_with_the_calibration_error(make_comparison: Make) -> None:
    comparison = make_comparison(1, ("a", "b", "c"), n_splits=1, n_rows=900)
    diagram = pooled(comparison, "method-0")
    assert sum(diagram.rows) == len(comparison.results[0].y_true)
    assert diagram.error == pytest.approx(comparison.results[0].metrics["ece"], abs=1e-5)


def test_parts_taken_together_are_one_part(make_comparison: Make) -> None:
    comparison = make_comparison(1, ("a", "b", "c"), n_splits=3, n_rows=300)
    codes, proba = (
        np.concatenate([getattr(fold, name) for fold in comparison.results]) for name in ("y_true", "proba")
    )
    whole, together = Confidence.of(codes, proba), pooled(comparison, "method-0")
    assert (whole.rows, whole.right) == (together.rows, together.right)
    assert together.error == pytest.approx(whole.error)
    assert together.brier == pytest.approx(whole.brier)


def test_what_networks_said_before_calibration_is_shown_beside(make_comparison: Make) -> None:
    comparison = make_comparison(3)
    assert len(calibration_figure(comparison).axes) == 1
    assert calibration_rows(comparison) == []
    assert "Calibration, before and after" not in render_html(comparison)
    said = [
        replace(fold, uncalibrated=Confidence.of(fold.y_true, np.square(fold.proba) / 2 + fold.proba / 2))
        if fold.method == "method-1"
        else fold
        for fold in comparison.results
    ]
    comparison = replace(comparison, results=tuple(said))
    figure = calibration_figure(comparison)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "Networks before calibration",
        "As predicted",
    ]
    (row,) = calibration_rows(comparison)
    assert row.title == "Method 1"
    assert row.error_before != row.error == f"{pooled(comparison, 'method-1').error:.4f}"
    page = render_html(comparison)
    assert "Calibration, before and after" in page
    assert f"<td>{row.brier_before}</td>" in page


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (roc_figure, "No curves: the predictions were not kept"),
        (precision_recall_figure, "No curves: the predictions were not kept"),
        (calibration_figure, "No curves: the predictions were not kept"),
        (training_figure, "No training curves: no network was run."),
    ],
)
def test_what_is_missing_is_said(
    make_comparison: Make, draw: Callable[[Comparison], Figure], words: str
) -> None:
    figure = draw(without_predictions(make_comparison(2)))
    assert not figure.axes
    assert figure.texts[0].get_text().startswith(words)


def test_no_results_are_no_error(make_comparison: Make) -> None:
    comparison = replace(make_comparison(1), results=())
    for draw in FIGURES:
        assert draw(comparison).texts[0].get_text().startswith("No ")


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_saved_figures_are_the_same_every_time(tmp_path: Path, make_comparison: Make, ending: str) -> None:
    comparison = make_comparison(2, n_splits=1)
    first, second = (
        save_figure(roc_figure(comparison), tmp_path / f"{i}" / f"figure.{ending}").read_bytes()
        for i in range(2)
    )
    assert first == second
    assert first.startswith({"png": b"\x89PNG", "svg": b"<?xml"}[ending])


def test_other_formats_are_refused(tmp_path: Path, make_comparison: Make) -> None:
    with pytest.raises(ValueError, match=r"figure\.gif'; end the name with \.png or \.svg"):
        save_figure(roc_figure(make_comparison(1)), tmp_path / "figure.gif")


def test_the_users_own_settings_neither_matter_nor_change(make_comparison: Make) -> None:
    comparison = make_comparison(2, n_splits=1)
    plain = inline_svg(recall_figure(comparison))
    with matplotlib.rc_context({"figure.facecolor": "black", "font.size": 30, "axes.grid": False}):
        before = dict(matplotlib.rcParams)
        assert inline_svg(recall_figure(comparison)) == plain
        assert dict(matplotlib.rcParams) == before
