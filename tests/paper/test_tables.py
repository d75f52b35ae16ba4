"""From kept runs to tables."""

import re

import pytest
from paper.chosen import choices_of, scores_of
from paper.layout import Table
from paper.methods import TABLES, families, methods_for, resolve, rows
from paper.protocols import OVERLAP
from paper.report import as_files, make_tables, read_published
from paper.statistics import estimate, paired_difference, standard_errors_apart
from paper.store import RESULTS, path_of, write_run
from paper.units import needed

from metabalance.search import PAPER_STRATEGIES
from paper import report

DATA = {"title": "Loans", "rows": 1000, "positives": 10}


def keep(root, protocol, method, seed, test, valid=None, kind="meta", **other):
    """Keep a run whose scores at θ′ are 0.1 higher on the test rows and the other way round on validation."""
    scores, adapted = (
        {"test_auc": auc, "last_test_auc": auc, "oracle_auc": auc} for auc in (test, test + 0.1)
    )
    if valid is not None:
        scores["valid_auc"], adapted["valid_auc"] = valid, -valid
    kinds = {"meta": scores, "adapted": adapted} if kind == "meta" else {kind: scores}
    content = {"data": DATA, "recipe": {}, "network": {}, "scores": kinds, **other}
    write_run(path_of(root, "loan", protocol, method, seed), content)


def test_every_row_of_the_tables_has_runs_behind_it():
    for table in (*TABLES, "table2"):
        for name in needed(table):
            for task in ("fraud", "loan"):
                assert resolve(name, task, "paper").kind in ("plain", "meta", "meta-weight-net", "rival")
    assert set(rows()) == {row for names in TABLES.values() for row in names}
    titles = [about["title"] for about in rows().values()]
    assert len(set(titles)) == len(titles)
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
    sgd = resolve("under-sgd", "fraud", "paper").recipe
    assert (sgd["optimizer"], sgd["lr"], sgd["weight_decay"], sgd["batch_size"]) == ("sgd", 0.1, 0.05, 24)
    assert resolve("under-sgd", "fraud", "released").recipe["weight_decay"] == 5e-4


def test_the_best_of_a_family_is_chosen_by_validation_where_there_is_any(tmp_path):
    methods = methods_for("ms-no-adaptation")
    for protocol in ("sound", "paper"):
        for place, method in enumerate(methods):
            for seed in (0, 1):
                best = place == (seed if protocol == "sound" else 2)
                keep(tmp_path, protocol, method, seed, test=place / 10, valid=1.0 if best else 0.5)
    assert scores_of(tmp_path, "loan", "sound", "ms-no-adaptation") == {0: 0.0, 1: 0.1}
    last = (len(PAPER_STRATEGIES) - 1) / 10
    assert scores_of(tmp_path, "loan", "paper", "ms-no-adaptation") == {0: last, 1: last}
    assert choices_of(tmp_path, "loan", "grid-no-adaptation") == {"natural": 1, "over": 1}


def test_rows_at_the_adapted_parameters_have_scores_of_their_own(tmp_path):
    for protocol, kept in (("paper", None), ("sound", 0.5)):
        keep(tmp_path, protocol, "grid/natural-under", 0, 0.25, kept)
        assert scores_of(tmp_path, "loan", protocol, "metabalance") == {0: 0.25}
        assert scores_of(tmp_path, "loan", protocol, "metabalance-adapted") == {0: 0.35}


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
    row = dict(zip(means.heads, means.rows[PAPER_STRATEGIES.index("over")], strict=True))
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


def test_a_row_that_is_the_best_by_test_scores_is_marked_and_has_no_interval(tmp_path):
    for seed in (0, 1):
        keep(tmp_path, "paper", "naive", seed, 0.5 + seed / 10, kind="plain")
        for place, method in enumerate(methods_for("inner-lr-chosen")):
            keep(tmp_path, "paper", method, seed, 0.6 + place / 100)
    (table,) = make_tables(tmp_path, {})["table1"]
    cells = {row[0]: row for row in table.rows}
    assert cells["MetaBalance, γ chosen among 0.01, 0.1, 0.5, 1 †"][3] == "+0.0800"
    assert cells["MetaBalance, γ = 1"][3].startswith("+0.0800 ± ")
    assert cells["MetaBalance, γ = 1"][2] == "2, all alike"
    assert cells["Naive"][3] == ""


def test_diverged_runs_are_counted_and_left_out(tmp_path):
    for seed in (0, 1):
        keep(tmp_path, "paper", "inner-lr-1", seed, 0.5 + seed / 10)
    keep(tmp_path, "paper", "inner-lr-1", 2, 0.0, scores={}, failure="training has diverged")
    (table,) = make_tables(tmp_path, {})["table1"]
    (cells,) = table.rows
    assert cells[1:3] == ["0.5500 ± 0.0500", "2 (1 diverged)"]


def test_rows_without_common_runs_have_no_difference(tmp_path):
    keep(tmp_path, "paper", "naive", 0, 0.5, kind="plain")
    keep(tmp_path, "paper", "under", 1, 0.6, kind="plain")
    (table,) = make_tables(tmp_path, {})["table1"]
    assert [row[3] for row in table.rows] == ["", ""]


def test_results_of_different_data_do_not_make_a_table(tmp_path):
    keep(tmp_path, "paper", "naive", 0, 0.5, kind="plain")
    keep(tmp_path, "paper", "under", 0, 0.6, kind="plain", data={**DATA, "rows": 999})
    with pytest.raises(ValueError, match="loan results under paper are of different data"):
        make_tables(tmp_path, {})


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"data": 1}',
        '{"data": {}, "recipe": {}, "network": {}, "scores": {}, "failure": ""}',
        '{"data": {"title": "", "rows": 1, "positives": 1}, "recipe": {}, "network": {}, "scores": {}}',
        '{"data": {"title": "", "rows": 1, "positives": 1}, "recipe": {}, "network": {}, "scores": {"a": 1}}',
        '{"data": {"title": "", "rows": 1, "positives": 1}, "recipe": {}, "network": {}, '
        '"scores": {"meta": {"test_auc": 1.7}}}',
        '{"data": {"title": "", "rows": 1, "positives": 1}, "recipe": {}, "network": {}, '
        '"scores": {"meta": {"test_auc": NaN}}}',
    ],
)
def test_a_damaged_result_is_named(tmp_path, text):
    path = path_of(tmp_path, "loan", "paper", "naive", 3)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(ValueError, match=r"naive.3\.json is .*: delete it"):
        make_tables(tmp_path, {})


def test_other_files_beside_the_results_are_let_be(tmp_path):
    keep(tmp_path, "paper", "naive", 0, 0.5, kind="plain")
    folder = path_of(tmp_path, "loan", "paper", "naive", 0).parent
    (folder / "0 (copy).json").write_text("{")
    (folder / "1.77.part").write_text("{")
    assert scores_of(tmp_path, "loan", "paper", "naive") == {0: 0.5}


def test_the_papers_grid_stands_beside_ours(tmp_path):
    for seed in (0, 1):
        keep(tmp_path, "paper", "grid/natural-under", seed, 0.6 + seed / 10)
    tables = make_tables(tmp_path, read_published("[table2.loan]\nnatural-under = [0.6, 0.0]"))
    assert tables["table2"][0].rows[0][3] == "**0.6500** (0.6000 ± 0.0000, +1.0)"
    assert tables["table6"][0].rows[0][3] == "0.0500 (0.0000)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[table2.loan]\nnatural = [0.5, 0.1]", "there is no table2.loan.natural"),
        ("[table1.iris]\nnaive = [0.5, 0.1]", "there is no table1.iris.naive"),
        ("[table6.loan]\nnaive = [0.5, 0.1]", "there is no table6.loan.naive"),
        ("[table1.loan]\nnaive = 0.5", r"must be \[AUC, standard error\]"),
        ('[table1.loan]\nnaive = ["a", 0.1]', r"must be \[AUC, standard error\]"),
        ("[table1]\nnaive = [0.65, 0.1]", "table1.naive must be a table of figures"),
        ("table1 = 3", "table1 must be a table of figures"),
        ("[table1.loan]\nnaive = [0.5,", r"published\.toml: "),
    ],
)
def test_figures_that_no_table_has_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        read_published(text)


def test_intervals_of_the_sound_protocol_are_wider():
    assert {
        "paper": 0.0,
        "released": 0.0,
        "sound": pytest.approx(0.25),  # a fifth of the rows over four fifths
    } == OVERLAP


def test_what_the_choice_of_the_epoch_does(tmp_path):
    for protocol, last, best in (("paper", 0.5, 0.75), ("sound", 0.25, 0.375)):
        scores = {"test_auc": 0.5, "last_test_auc": last, "oracle_auc": best, "valid_auc": 0.5}
        for seed in (0, 1):
            keep(tmp_path, protocol, "naive", seed, 0, kind="plain", scores={"plain": scores})
    (table,) = make_tables(tmp_path, {})["epochs"]
    assert [cell[:6] for cell in table.rows[0]] == ["Naive", "0.5000", "0.7500", "0.2500", "0.5000"]


def test_signs_without_latex_are_refused():
    with pytest.raises(ValueError, match="no LaTeX is known for"):
        Table("é", ["a"], []).to_latex()


def test_committed_tables_are_those_of_the_committed_results():
    published = read_published((report.HERE / "published.toml").read_text(encoding="utf-8"))
    for name, text in as_files(make_tables(RESULTS, published)).items():
        assert (report.HERE / "tables" / name).read_text(encoding="utf-8") == text, (
            f"run paper.report: {name}"
        )


def test_figures_of_the_findings_are_those_of_the_tables():
    tables = "".join(
        path.read_text(encoding="utf-8") for path in sorted((report.HERE / "tables").glob("*.md"))
    )
    findings = (report.HERE / "FINDINGS.md").read_text(encoding="utf-8")
    figures = re.findall(r"[+−]?\d\.\d{4}(?: ± \d\.\d{4})?", findings)
    percentages = re.findall(r"\d\d\.\d ± \d\.\d", findings)
    assert len(figures) > 50
    assert len(percentages) > 15
    figures += percentages
    assert [figure for figure in figures if figure not in tables] == []


def test_a_single_run_has_no_standard_error(tmp_path):
    keep(tmp_path, "paper", "naive", 0, 0.6, kind="plain")
    row = make_tables(tmp_path, {})["table1"][0].rows[0]
    assert "0.6000" in row
    assert not any("nan" in cell for cell in row)
