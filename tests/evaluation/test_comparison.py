import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metabalance.evaluation import comparison as comparison_module
from metabalance.evaluation.comparison import Comparison, FoldResult, MethodInfo
from metabalance.evaluation.metrics import METRICS

NAN = math.nan


def fold(method: str, split: int = 0, seed: int = 0, **values: object) -> FoldResult:
    metrics = {name: float(values.get(name, 0.5)) for name in METRICS}  # type: ignore[arg-type]
    return FoldResult(
        method=method,
        split=split,
        seed=seed,
        metrics=metrics,
        recall=values.get("recall", {"no": 0.9, "yes": 0.4}),  # type: ignore[arg-type]
        fit_seconds=values.get("fit_seconds", 1.0),  # type: ignore[arg-type]
        predict_seconds=0.25,
        rows_drawn=values.get("rows_drawn"),  # type: ignore[arg-type]
        y_true=np.array([0, 0, 1]),
        proba=np.array([[0.9, 0.1], [1 / 3, 2 / 3], [0.2, 0.8]], dtype=np.float32),
        history=values.get("history", ()),  # type: ignore[arg-type]
    )


def compared(*results: FoldResult, **changes: object) -> Comparison:
    names = dict.fromkeys(result.method for result in results)
    fields = {
        "dataset": "toy",
        "n_rows": 6,
        "n_features": 2,
        "classes": ("no", "yes"),
        "class_counts": {"no": 4, "yes": 2},
        "methods": tuple(MethodInfo(name, name.title(), "rival", "a method") for name in names),
        "results": results,
        "skipped": {"adasyn": "class yes has 2 rows"},
        "settings": {"cv": 2, "prior": "as they are"},
        "environment": {"python": "3"},
        "seconds": 3.5,
        "command": None,
    }
    return Comparison(**(fields | changes))  # type: ignore[arg-type]


def test_means_and_errors_average_the_seeds_of_a_split_first() -> None:
    values = {(0, 0): 0.6, (0, 1): 0.8, (1, 0): 0.9, (1, 1): 0.9, (2, 0): 0.5, (2, 1): 0.5}
    frame = compared(*(fold("a", split, seed, roc_auc=v) for (split, seed), v in values.items())).frame
    per_split = np.array([0.7, 0.9, 0.5])
    assert frame.loc["a", "roc_auc"] == pytest.approx(0.7)
    assert frame.loc["a", "roc_auc_se"] == pytest.approx(per_split.std(ddof=1) / math.sqrt(3))


def test_with_one_split_the_error_is_over_seeds() -> None:
    frame = compared(*(fold("a", 0, seed, ece=v) for seed, v in enumerate([0.1, 0.2, 0.6]))).frame
    assert frame.loc["a", "ece"] == pytest.approx(0.3)
    assert frame.loc["a", "ece_se"] == pytest.approx(np.std([0.1, 0.2, 0.6], ddof=1) / math.sqrt(3))


def test_a_single_value_has_no_error() -> None:
    frame = compared(fold("a")).frame
    assert frame.loc["a", "roc_auc"] == 0.5
    assert math.isnan(frame.loc["a", "roc_auc_se"])


def test_undefined_values_are_left_out_of_mean_and_error() -> None:
    results = [fold("a", split, average_precision=v) for split, v in enumerate([0.2, NAN, 0.4])]
    frame = compared(*results).frame
    assert frame.loc["a", "average_precision"] == pytest.approx(0.3)
    assert frame.loc["a", "average_precision_se"] == pytest.approx(0.1)


def test_rank_averages_splits_and_the_three_metrics() -> None:
    # ROC-AUC: a first in both splits. Average precision: tied in split 0, b first in split 1.
    # Balanced accuracy: b first in both. So a: (1 + 1.75 + 2) / 3, b: (2 + 1.25 + 1) / 3.
    results = [
        fold("a", 0, roc_auc=0.9, average_precision=0.5, balanced_accuracy=0.6),
        fold("a", 1, roc_auc=0.8, average_precision=0.5, balanced_accuracy=0.6),
        fold("b", 0, roc_auc=0.7, average_precision=0.5, balanced_accuracy=0.7),
        fold("b", 1, roc_auc=0.7, average_precision=0.6, balanced_accuracy=0.7),
    ]
    frame = compared(*results).frame
    assert list(frame.index) == ["b", "a"]
    assert frame["rank"].tolist() == pytest.approx([4.25 / 3, 4.75 / 3])


def test_undefined_and_missing_values_rank_last() -> None:
    results = [
        fold("undefined", 0, roc_auc=NAN, average_precision=NAN, balanced_accuracy=NAN),
        fold("undefined", 1, roc_auc=0.9, average_precision=0.9, balanced_accuracy=0.9),
        fold("absent", 1, roc_auc=0.8, average_precision=0.8, balanced_accuracy=0.8),
        fold("poor", 0, roc_auc=0.1, average_precision=0.1, balanced_accuracy=0.1),
        fold("poor", 1, roc_auc=0.1, average_precision=0.1, balanced_accuracy=0.1),
    ]
    rank = compared(*results).frame["rank"]
    # Split 0: poor 1, the other two share 2.5. Split 1: undefined 1, absent 2, poor 3.
    assert rank.to_dict() == pytest.approx({"undefined": 1.75, "poor": 2.0, "absent": 2.25})


def test_changing_the_frame_does_not_change_the_comparison() -> None:
    comparison = compared(fold("a"))
    frame = comparison.frame
    frame.loc["a", "rank"] = 7.0
    assert comparison.frame.loc["a", "rank"] == 1.0


def test_equal_methods_keep_the_order_they_were_given_in() -> None:
    assert list(compared(fold("z"), fold("a"), fold("m")).frame.index) == ["z", "a", "m"]


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_ranks_sum_to_what_places_sum_to(scores: list[float]) -> None:
    results = [fold(f"m{i}", roc_auc=score) for i, score in enumerate(scores)]
    assert compared(*results).frame["rank"].sum() == pytest.approx(len(scores) * (len(scores) + 1) / 2)


def test_columns_of_the_frame() -> None:
    frame = compared(
        fold("net", 0, fit_seconds=1.0, rows_drawn=100),
        fold("net", 1, fit_seconds=2.0, rows_drawn=201),
        fold("rival", 0),
        fold("rival", 1),
    ).frame
    metrics = [column for name in METRICS for column in (name, f"{name}_se")]
    assert list(frame.columns) == ["rank", *metrics, "fit_seconds", "rows_drawn"]
    assert frame.loc["net", "fit_seconds"] == 1.5
    assert frame.loc["net", "rows_drawn"] == 150
    assert frame["rows_drawn"].isna().to_dict() == {"net": False, "rival": True}


def test_recall_frame_has_a_column_for_each_class_and_skips_absent_ones() -> None:
    comparison = compared(
        fold("a", 0, recall={"yes": 0.2, "no": 1.0}, roc_auc=0.1),
        fold("a", 1, recall={"yes": NAN, "no": 0.5}, roc_auc=0.1),
        fold("b", 0),
        fold("b", 1),
    )
    recall = comparison.recall_frame
    assert list(recall.columns) == ["no", "yes"]
    assert list(recall.index) == list(comparison.frame.index) == ["b", "a"]
    assert recall.loc["a"].tolist() == [0.75, 0.2]


def test_a_comparison_without_results_has_an_empty_leaderboard() -> None:
    comparison = compared()
    assert comparison.frame.empty
    assert comparison.recall_frame.empty


def test_json_brings_everything_back(tmp_path: Path) -> None:
    history = ({"epoch": 1, "train_loss": math.inf, "valid_score": NAN}, {"epoch": 2, "train_loss": 0.1})
    original = compared(
        fold("net", rows_drawn=100, roc_auc=1 / 3, average_precision=NAN, history=history),
        fold("rival", recall={"no": 1.0, "yes": NAN}),
        command="metabalance compare toy",
    )
    restored = Comparison.from_json(original.to_json(tmp_path / "new" / "results.json"))
    for name in Comparison.__dataclass_fields__:
        if name != "results":
            assert getattr(restored, name) == getattr(original, name), name
    for before, after in zip(original.results, restored.results, strict=True):
        assert after.proba.dtype == np.float32
        np.testing.assert_array_equal(after.proba, before.proba)
        np.testing.assert_array_equal(after.y_true, before.y_true)
        for name in ("method", "split", "seed", "fit_seconds", "predict_seconds", "rows_drawn"):
            assert getattr(after, name) == getattr(before, name), name
        for stored, given_ in zip(
            (after.metrics, after.recall, *after.history),
            (before.metrics, before.recall, *before.history),
            strict=True,
        ):
            assert stored == pytest.approx(given_, rel=0, abs=0, nan_ok=True)


@given(st.lists(st.floats(0, 1, width=32), min_size=2, max_size=8))
def test_probabilities_read_back_as_the_same_float32(
    tmp_path_factory: pytest.TempPathFactory, values: list[float]
) -> None:
    proba = np.array([values, values], dtype=np.float32).T
    result = replace(fold("a"), proba=proba, y_true=np.zeros(len(values), dtype=np.int64))
    path = compared(result).to_json(tmp_path_factory.mktemp("json") / "results.json")
    np.testing.assert_array_equal(Comparison.from_json(path).results[0].proba, proba)


def test_the_file_is_strict_json(tmp_path: Path) -> None:
    path = compared(fold("a", roc_auc=NAN), settings={"limit": NAN}).to_json(tmp_path / "results.json")

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    content = json.loads(path.read_text(), parse_constant=refuse)
    assert content["results"][0]["metrics"]["roc_auc"] is None
    assert content["predictions"] == "kept"


def test_many_predictions_are_left_out_and_the_file_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison_module, "MAX_STORED_NUMBERS", 8)
    original = compared(fold("a"))
    path = original.to_json(tmp_path / "results.json")
    assert json.loads(path.read_text())["predictions"] == "left out: 9 numbers, and a file holds at most 8"
    restored = Comparison.from_json(path)
    assert restored.results[0].proba.shape == (0, 2)
    assert restored.results[0].y_true.shape == (0,)
    assert restored.frame.equals(original.frame)


def test_settings_that_are_no_json_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"set is not JSON serializable; settings may hold numbers"):
        compared(fold("a"), settings={"methods": {"a", "b"}}).to_json(tmp_path / "results.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no json", "is not a JSON file"),
        ("[1, 2]", "is not a metabalance comparison"),
        ('{"format": "another"}', "is not a metabalance comparison"),
        ('{"format": "metabalance-comparison", "version": 99}', "format version 99 .* reads version 1"),
        ('{"format": "metabalance-comparison", "version": 1}', "is damaged"),
    ],
)
def test_foreign_files_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        Comparison.from_json(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.json"):
        Comparison.from_json(tmp_path / "absent.json")


def test_to_html_writes_the_report(tmp_path: Path) -> None:
    path = compared(fold("a")).to_html(tmp_path / "out" / "report.html")
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_inconsistent_comparisons_are_refused() -> None:
    method = MethodInfo("a", "A", "rival", "a method")
    with pytest.raises(ValueError, match=r"more than once: \['a'\]"):
        compared(methods=(method, method))
    with pytest.raises(ValueError, match=r"not described: \['b'\]"):
        compared(fold("b"), methods=(method,))
    with pytest.raises(ValueError, match="family of method 'a' is 'tree'; it must be one of"):
        MethodInfo("a", "A", "tree", "a method")
