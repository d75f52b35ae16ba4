"""Files as people have them, and one clear line for each that is not what it says."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metabalance.datasets import read_table, split_target

TEXT = "age,city,new\n30,Bern,True\n,Rome,False\n50,,True\n"


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    return read_table(written(tmp_path, "plain.csv", TEXT))


def test_csv(table: pd.DataFrame) -> None:
    assert list(table.columns) == ["age", "city", "new"]
    assert table["age"].fillna(-1).tolist() == [30.0, -1.0, 50.0]
    assert table["city"].fillna("?").tolist() == ["Bern", "Rome", "?"]
    assert table["new"].dtype == bool


def test_every_ending_reads_the_same(tmp_path: Path, table: pd.DataFrame) -> None:
    table.to_parquet(tmp_path / "a.parquet")
    table.to_parquet(tmp_path / "a.pq")
    written(tmp_path, "a.csv.gz", gzip.compress(TEXT.encode(), mtime=0))
    written(tmp_path, "a.tsv", TEXT.replace(",", "\t"))
    written(tmp_path, "UPPER.CSV", TEXT)
    written(tmp_path, "bom.csv", b"\xef\xbb\xbf" + TEXT.encode())
    written(tmp_path, "windows.csv", TEXT.replace("\n", "\r\n"))
    written(tmp_path, "blank_first.csv", "\n" + TEXT)
    filled = {"age": -1, "city": "?"}  # formats differ in how they write what is missing
    for path in tmp_path.iterdir():
        pd.testing.assert_frame_equal(read_table(str(path)).fillna(filled), table.fillna(filled))


def test_quoted_separators_and_utf8(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", '"näme; x","b,c"\n"Zoë, A",1\n')
    frame = read_table(path)
    assert list(frame.columns) == ["näme; x", "b,c"]
    assert frame.iloc[0].tolist() == ["Zoë, A", 1]


def test_single_columns_and_header_only_files_are_tables_too(tmp_path: Path) -> None:
    assert read_table(written(tmp_path, "one.csv", "a\n1\n2\n")).shape == (2, 1)
    assert read_table(written(tmp_path, "none.csv", "a,b\n")).shape == (0, 2)


def test_whole_columns_are_looked_at_before_types_are_chosen(tmp_path: Path) -> None:
    lines = "\n".join(["1"] * 300_000 + ["x"])
    values = read_table(written(tmp_path, "a.csv", f"a\n{lines}\n"))["a"]
    assert {type(value) for value in values} == {str}


def test_missing_file_folder_and_unknown_ending(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.csv: no such file; check"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ValueError, match="is a folder: give one file"):
        read_table(tmp_path / "folder.csv")
    with pytest.raises(ValueError, match=r"unknown kind of file; give one that ends in \.csv, \.csv\.gz"):
        read_table(written(tmp_path, "a.xlsx", "x"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "a.csv is empty"),
        ("a.csv", "\n\n", "is empty: the first line must hold the column names"),
        ("a.csv.gz", gzip.compress(b"", mtime=0), "is empty: the first line"),
        ("a.parquet", TEXT, "ends in .parquet but seems to hold text: name it .csv"),
        ("a.pq", gzip.compress(b"a", mtime=0), "ends in .pq but seems to hold gzip"),
        ("a.csv.gz", TEXT, "ends in .csv.gz but seems to hold text: name it .csv"),
        ("a.csv", b"PAR1" + bytes(20), "ends in .csv but seems to hold Parquet: name it .parquet"),
        ("a.csv", gzip.compress(TEXT.encode(), mtime=0), "seems to hold gzip: name it .csv.gz"),
        ("a.csv", b"PK\x03\x04" + bytes(20), "seems to hold a ZIP archive or an Excel workbook: unpack"),
        ("a.csv", TEXT.encode("utf-16"), "seems to hold UTF-16 text: save it as UTF-8"),
        ("a.parquet", b"PAR1" + bytes(20), "cannot be read as Parquet"),
        (
            "a.csv.gz",
            gzip.compress(TEXT.encode(), mtime=0)[:-12],
            "is damaged .*: compress or download it anew",
        ),
        ("a.csv", "a;b\n1;2\n", "separated by semicolons, not by commas: save it with commas"),
        ("a.csv", "a;b\n1,5;2,5\n", "separated by semicolons"),
        ("a.csv", "a\tb\n1\t2\n", "separated by tabs, not by commas: name it .tsv"),
        ("a.tsv", "a,b\n1,2\n", "separated by commas, not by tabs: name it .csv"),
        ("a.csv", "a,b,a\n1,2,3\n", "column names occur more than once: 'a'; rename"),
        ("a.csv", b"name,b\n1,2\ncaf\xe9,3\n", "is not UTF-8 text .*: save it with that"),
        ("a.csv", b"caf\xe9,b\n1,2\n", "is not UTF-8 text"),
        ("a.csv", "a,b\n1,2\n1,2,3\n", "cannot be read as a table .*line 3.*: correct that line"),
        ("a.csv", "a,b\n1,2,3\n1,2,3\n", "more fields than the header"),
    ],
)
def test_content_that_does_not_fit(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read_table(written(tmp_path, name, content))
    assert "\n" not in str(caught.value)


def test_a_nameless_first_column_is_pointed_out(tmp_path: Path, table: pd.DataFrame) -> None:
    table.to_csv(tmp_path / "a.csv")
    with pytest.warns(UserWarning, match=r"a\.csv: the first column has no name .* index=False, drop it"):
        frame = read_table(tmp_path / "a.csv")
    assert frame.shape == (3, 4)


def test_split_target_parts_features_from_labels(table: pd.DataFrame) -> None:
    X, y = split_target(table, "new")
    assert list(X.columns) == ["age", "city"]
    np.testing.assert_array_equal(y, [True, False, True])
    assert list(table.columns) == ["age", "city", "new"]


@pytest.mark.parametrize(
    ("labels", "dtype"),
    [
        (["a", "b", "a"], None),
        ([0, 1, 0], "Int64"),
        ([True, False, True], "boolean"),
        (["a", "b", "a"], "category"),
    ],
)
def test_labels_become_plain_arrays(labels: list[object], dtype: str | None) -> None:
    _, y = split_target(pd.DataFrame({"x": [1, 2, 3], "y": pd.Series(labels, dtype=dtype)}), "y")
    assert type(y) is np.ndarray
    assert y.tolist() == labels


@pytest.mark.parametrize("target", ["Class", "clas", " class "])
def test_an_absent_target_gets_the_closest_names(target: str) -> None:
    frame = pd.DataFrame({"class": [0, 1], "x": [1, 2]})
    with pytest.raises(ValueError, match=f"no column '{target}': did you mean 'class'"):
        split_target(frame, target)


def test_an_absent_target_without_likeness_gets_all_names() -> None:
    frame = pd.DataFrame(0, index=[0], columns=[f"c{index}" for index in range(12)])
    with pytest.raises(ValueError, match=r"no column 'zzz': it has 'c0', 'c1', .* and 2 more"):
        split_target(frame, "zzz")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "column names but no rows"),
        ([0, None, 1, None], "2 of 4 labels in 'y' are missing, the first in row 2 below the header"),
        (["no", "no"], "every label in 'y' is 'no': at least two classes"),
        (list(np.arange(51) / 7), "'y' looks like a regression target: 51 different values in 51 rows"),
        ([f"person {index}" for index in range(60)], "'y' looks like an identifier: 60 different values"),
    ],
)
def test_labels_that_cannot_be_learned(labels: list[object], message: str) -> None:
    frame = pd.DataFrame({"x": np.zeros(len(labels)), "y": labels})
    with pytest.raises(ValueError, match=message):
        split_target(frame, "y")


def test_few_rows_or_half_unique_labels_are_no_regression() -> None:
    for labels in (np.arange(50), np.arange(60) // 2):
        _, y = split_target(pd.DataFrame({"x": labels, "y": labels}), "y")
        assert len(y) == len(labels)


def test_nothing_but_the_target() -> None:
    with pytest.raises(ValueError, match="no column besides the target 'y'"):
        split_target(pd.DataFrame({"y": [0, 1]}), "y")


def test_files_larger_than_memory_are_refused_before_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "big.csv"
    path.write_text("a,b\n1,2\n")
    with path.open("r+b") as file:
        file.truncate(10**13)  # takes no room on the disk
    with pytest.raises(ValueError, match=r"big.csv take 10,000 GB, more than .* here: .*LargeTable"):
        read_table(path)
