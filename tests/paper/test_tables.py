"""From kept runs to tables."""

import pytest
from paper.chosen import choices_of, scores_of
from paper.layout import Table
from paper.methods import STRATEGIES, TABLES, families, methods_for, resolve, rows
from paper.report import make_tables
from paper.run import missing_units, needed
from paper.statistics import estimate, paired_difference, standard_errors_apart
from paper.store import path_of, write_run


def keep(root, protocol, method, seed, test, valid=None, kind="meta"):
    scores = {"test_auc": test} | ({} if valid is None else {"valid_auc": valid})
    about = {"data": {"title": "Loans", "rows": 1000, "positives": 10}, "protocol": protocol}
    content = {**about, "scores": {kind: scores, "adapted": scores}}
    write_run(path_of(root, "loan", protocol, method, seed), content)


def test_every_row_of_the_tables_has_runs_behind_it():
    for table in (*TABLES, "table2"):
        for name in needed(table):
            for task in ("fraud", "loan"):
                assert resolve(name, task, "paper").kind in ("plain", "meta", "weighted", "rival")
    assert set(rows()) == {row for names in TABLES.values() for row in names}
    assert len(families()["grid"][1]) == len(families()["tuning"][1]) == 49


def test_recipes_are_the_papers():
    fraud = resolve("grid/natural-under", "fraud", "sound").recipe
    assert (fraud["lr"], fraud["weight_decay"], fraud["inner_lr"], fraud["beta"]) == (0.1, 0.05, 0.01, 0.0)
    assert (fraud["meta_steps"], fraud["support_batch_size"], fraud["query_batch_size"]) == (80, 24, 16)
    loan = resolve("grid/natural-under", "loan", "sound").recipe
    assert (loan["weight_decay"], loan["beta"]) == (5e-4, 0.01)
    released = resolve("grid/natural-under", "fraud", "released").recipe
    assert (released["order"], released["beta"], released["weight_decay"]) == ("first", 0.01, 5e-4)
    assert resolve("naive", "loan", "paper").recipe["lr"] == 1e-3
    assert resolve("tuning/over-0.003-0.001", "loan", "paper").recipe["lr"] == 3e-3


def test_runs_that_are_done_are_not_repeated(tmp_path):
    def units():
        return missing_units(needed("table7"), ["loan"], ["sound"], 2, tmp_path, tmp_path, "compiled")

    assert [unit.seeds for unit in units()] == [(0, 1)] * 5
    keep(tmp_path, "sound", "adasyn", 0, 0.5)
    keep(tmp_path, "sound", "nearmiss", 0, 0.5)
    keep(tmp_path, "sound", "nearmiss", 1, 0.5)
    left = {unit.method.name: unit.seeds for unit in units()}
    assert left["adasyn"] == (1,)
    assert "nearmiss" not in left


def test_the_best_of_a_family_is_chosen_by_validation_where_there_is_any(tmp_path):
    methods = methods_for("ms-no-adaptation")
    for protocol in ("sound", "paper"):
        for place, method in enumerate(methods):
            for seed in (0, 1):
                best = place == (seed if protocol == "sound" else 2)
                keep(tmp_path, protocol, method, seed, test=place / 10, valid=1.0 if best else 0.5)
    assert scores_of(tmp_path, "loan", "sound", "ms-no-adaptation") == {0: 0.0, 1: 0.1}
    last = (len(STRATEGIES) - 1) / 10
    assert scores_of(tmp_path, "loan", "paper", "ms-no-adaptation") == {0: last, 1: last}
    assert choices_of(tmp_path, "loan", "sound", "grid-no-adaptation") == {"natural": 1, "over": 1}


def test_a_family_that_is_not_complete_gives_no_row(tmp_path):
    keep(tmp_path, "sound", "grid-no-adaptation/under", 0, 0.5, 0.5)
    assert scores_of(tmp_path, "loan", "sound", "ms-no-adaptation") == {}
    assert scores_of(tmp_path, "loan", "sound", "no-adaptation") == {0: 0.5}


def test_tables_show_differences_of_paired_runs_and_the_papers_figures(tmp_path):
    for seed, score in enumerate((0.6, 0.7, 0.8)):
        keep(tmp_path, "paper", "naive", seed, score, kind="plain")
        keep(tmp_path, "paper", "under", seed, score + 0.01, kind="plain")
    (table,) = make_tables(tmp_path, {"table1": {"loan": {"under": [0.5, 0.0]}}})["table1"]
    assert table.heads[3:5] == ["paper", "difference in s. e."]
    naive, under = table.rows
    assert under[:5] == ["Under-sampling", "0.7100 ± 0.0577", "3", "0.5000 ± 0.0000", "+3.6"]
    assert under[5] == "+0.0100 ± 0.0000"
    assert naive[3:6] == ["", "", ""]
    assert table.caption.startswith("Table 1, Loans, 1,000 rows with 10 positives, protocol “paper”.")
    assert "Not run: over, smote" in table.caption
    (without,) = make_tables(tmp_path, {})["table1"]
    assert "paper" not in without.heads


def test_the_grid_marks_its_best_pair(tmp_path):
    for seed in (0, 1):
        keep(tmp_path, "paper", "grid/over-under", seed, 0.7 + seed / 10)
        keep(tmp_path, "paper", "grid/under-over", seed, 0.6)
    tables = make_tables(tmp_path, {})
    (means,), (errors,) = tables["table2"], tables["table6"]
    row = dict(zip(means.heads, means.rows[STRATEGIES.index("over")], strict=True))
    assert row["under"] == "**0.7500**"
    assert row["over"] == ""
    assert dict(zip(errors.heads, errors.rows[1], strict=True))["under"] == "0.0500"


def test_statistics():
    found = estimate([1.0, 2.0, 3.0])
    assert found == (2.0, pytest.approx(1 / 3**0.5), 3)
    assert standard_errors_apart(found, 1.0, 0.0) == pytest.approx(3**0.5)
    mean, half = paired_difference({0: 1.0, 1: 2.0, 2: 4.0, 9: 7.0}, {0: 0.0, 1: 0.0, 2: 0.0})
    assert mean == pytest.approx(7 / 3)
    assert half == pytest.approx(4.302653 * 1.527525 / 3**0.5, rel=1e-6)
    wider = paired_difference({0: 1.0, 1: 2.0, 2: 4.0}, {0: 0.0, 1: 0.0, 2: 0.0}, overlap=0.25)
    assert wider == (mean, pytest.approx(4.302653 * 1.527525 * (1 / 3 + 0.25) ** 0.5, rel=1e-6))


def test_layout():
    table = Table("50 % ± θ′.", ["a_b", "c"], [["**x**", "1 & 2"]])
    assert table.to_markdown() == "50 % ± θ′.\n\n| a_b | c |\n| --- | --- |\n| **x** | 1 & 2 |\n"
    latex = table.to_latex()
    assert r"\caption{50 \% $\pm$ $\theta'$.}" in latex
    assert r"\textbf{x} & 1 \& 2 \\" in latex
    assert r"\begin{tabular}{lr}" in latex
