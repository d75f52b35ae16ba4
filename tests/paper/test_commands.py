"""What the two commands say to mistakes: one line that names what was found, and no traceback."""

import sys

import pytest

from paper import report, run


def said(monkeypatch, capsys, main, *arguments) -> tuple[object, str]:
    monkeypatch.setattr(sys, "argv", ["paper", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code, capsys.readouterr().err


def test_unknown_rows_are_told_what_rows_there_are(monkeypatch, capsys):
    code, errors = said(monkeypatch, capsys, run.main, "table1", "--rows", "naiv")
    assert code == 2
    assert "table1 has no row naiv; it has naive, over" in errors
    code, errors = said(monkeypatch, capsys, run.main, "table2", "--rows", "naive")
    assert "table2 is run whole, leave naive out" in errors


def test_no_data_are_asked_for_by_the_option(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("METABALANCE_DATA", "")
    code, errors = said(monkeypatch, capsys, run.main, "table1", "--task", "loan", "--results", tmp_path)
    assert code == 2
    assert "--data-root" in errors
    assert "METABALANCE_DATA" in errors


def test_all_tables_are_offered(monkeypatch, capsys):
    code, errors = said(monkeypatch, capsys, run.main, "nonsense")
    assert code == 2
    for name in ("table1", "table3", "table5", "figure2", "adaptation"):
        assert name in errors


def test_a_folder_that_cannot_be_is_named(monkeypatch, capsys, tmp_path):
    file = tmp_path / "file"
    file.touch()
    code, errors = said(monkeypatch, capsys, run.main, "table1", "--results", file)
    assert code == 2
    assert errors == f"error: --results {file} cannot be a folder (File exists): name another\n"


def test_a_report_of_nothing_is_an_error(monkeypatch, capsys, tmp_path):
    code, errors = said(monkeypatch, capsys, report.main, "--results", tmp_path, "--out", tmp_path / "out")
    assert code == 2
    assert errors == f"error: --results {tmp_path} has no results of runs: run paper.run first\n"
    assert not (tmp_path / "out").exists()
