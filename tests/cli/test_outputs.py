"""Paths are refused before time is spent, tables written as their ending says."""

from pathlib import Path

import pandas as pd
import pytest

from metabalance.cli.outputs import check_folder, check_table_path, write_table


def test_folders_that_are_there_or_can_be_made_are_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_folder(tmp_path, "--out")
    check_folder(tmp_path / "a" / "b", "--out")
    monkeypatch.chdir(tmp_path)
    check_folder(Path("a/b"), "--out")
    assert list(tmp_path.iterdir()) == []


def test_folders_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(dir: Path) -> None:  # the tests may run as a user who may all
        raise PermissionError(13, "Permission denied", str(dir))

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(
        ValueError, match=r"--report .*new: nothing can be written in .* \(Permission denied\)"
    ):
        check_folder(tmp_path / "new", "--report")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc here")
def test_folders_of_the_system() -> None:
    """Permissions allow the super-user to write there."""
    with pytest.raises(ValueError, match="--out /proc/x: nothing can be written in /proc"):
        check_folder(Path("/proc/x"), "--out")


def test_folders_in_the_way_of_files(tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    check_folder(tmp_path, "--report", ["results.json"])
    with pytest.raises(
        ValueError, match=r"--report .*: .*report\.html is a folder, where a file of this name"
    ):
        check_folder(tmp_path, "--report", ["results.json", "report.html"])


def test_table_paths(tmp_path: Path) -> None:
    source = str(tmp_path / "a.csv")
    check_table_path(tmp_path / "new" / "B.CSV", source)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ValueError, match=r"is a folder: give a file in it, such as .*scored\.csv"):
        check_table_path(tmp_path / "folder.csv", source)
    with pytest.raises(ValueError, match="is the file that is read"):
        check_table_path(tmp_path / "folder.csv" / ".." / "a.csv", source)
    with pytest.raises(ValueError, match=r"unknown kind of file to write; end it in \.csv"):
        check_table_path(tmp_path / "scored", source)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "A.CSV.GZ", "a.parquet", "A.PARQUET"])
def test_written_tables_read_back(tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame({"näme; x": ["Zoë, A\nB", "c"], "b": [1.5, -2.0]})
    path = tmp_path / "new" / name
    write_table(frame, path)
    if name.lower().endswith(".parquet"):
        back = pd.read_parquet(path)
    else:
        back = pd.read_csv(path, compression="gzip" if name.lower().endswith(".gz") else None)
    pd.testing.assert_frame_equal(back, frame)


def test_what_was_there_stays_where_a_table_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "scored.parquet"
    path.write_text("known")
    with pytest.raises(Exception, match="mixed"):
        write_table(pd.DataFrame({"mixed": ["text", 1, b"bytes"]}), path)
    assert path.read_text() == "known"
    assert [file.name for file in tmp_path.iterdir()] == ["scored.parquet"]
