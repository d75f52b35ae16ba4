import gzip
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from metabalance.datasets import read_table
from metabalance.large import converting
from metabalance.large.converting import to_parquet

TEXT = (
    "id,amount,paid,city,when,note,late\n"
    '01,3,true,"Bern, CH",2024-01-01,,0\n'
    '02,,false,Rome,2024-01-02,"two\nlines",1\n'
    "03,2.5,true,NA,2024-01-03,,0\n"
)


@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz", "ROWS.CSV.GZ", "ROWS.TSV"])
def test_text_becomes_what_read_table_makes_of_it(tmp_path: Path, name: str) -> None:
    text = TEXT.replace(",", "\t").replace("Bern\t", "Bern,") if "TSV" in name else TEXT
    content = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.lower().endswith("gz") else content)
    converted = to_parquet(tmp_path / name, tmp_path / "stores")
    frame, expected = pd.read_parquet(converted), read_table(tmp_path / name)
    assert frame["amount"].dtype == float
    assert frame["late"].dtype == np.int64
    assert frame["paid"].dtype == bool
    assert frame["when"].tolist() == ["2024-01-01", "2024-01-02", "2024-01-03"]
    pd.testing.assert_frame_equal(frame, expected, check_dtype=False)


def test_it_is_converted_once(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "rows.csv").write_text(TEXT)
    first = to_parquet(tmp_path / "rows.csv", tmp_path)
    known = first.stat().st_mtime_ns
    monkeypatch.setattr(converting, "_convert", lambda *_: pytest.fail("it is converted again"))
    assert to_parquet(tmp_path / "rows.csv", tmp_path) == first
    monkeypatch.undo()
    first.unlink()  # and if it is, the store is found again, by the file's time
    assert to_parquet(tmp_path / "rows.csv", tmp_path).stat().st_mtime_ns == known
    (tmp_path / "rows.csv").write_text(TEXT.replace("Rome", "Oslo"))
    os.utime(tmp_path / "rows.csv", ns=(5, 5))
    assert to_parquet(tmp_path / "rows.csv", tmp_path) != first


def test_files_of_the_same_name_size_and_time_are_told_apart(tmp_path: Path) -> None:
    converted = []
    for content in ("a,y\n1,0\n2,1\n", "a,y\n3,0\n4,1\n"):
        (tmp_path / "rows.csv").write_text(content)
        os.utime(tmp_path / "rows.csv", ns=(7, 7))
        converted.append(to_parquet(tmp_path / "rows.csv", tmp_path))
    assert [pd.read_parquet(file)["a"].tolist() for file in converted] == [[1, 2], [3, 4]]


def test_a_file_that_grows_while_it_is_read(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,y\n1,0\n2,1\n")
    write = converting._write

    def write_and_let_grow(*arguments):
        types = write(*arguments)
        with path.open("a") as file:
            file.write("3,1\n")
        return types

    with monkeypatch.context() as patched:
        patched.setattr(converting, "_write", write_and_let_grow)
        with pytest.raises(ValueError, match=r"have changed while they were read"):
            to_parquet(path, tmp_path / "store")
    assert [file.suffix for file in (tmp_path / "store").iterdir()] == [".lock"]
    converted = to_parquet(path, tmp_path / "store")
    assert len(pd.read_parquet(converted)) == 3
    assert converted.stat().st_mtime_ns == path.stat().st_mtime_ns


def test_whole_numbers_and_gaps_may_give_way_to_other_numbers(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(converting, "BLOCK_BYTES", 64)
    rows = ["1,,0"] * 40 + ["2.5,7,1"] * 40
    (tmp_path / "rows.csv").write_text("\n".join(["a,b,late", *rows]))
    frame = pd.read_parquet(to_parquet(tmp_path / "rows.csv", tmp_path))
    assert frame["a"].tolist() == [1.0] * 40 + [2.5] * 40
    assert frame["b"].isna().sum() == 40


def test_a_later_row_may_show_that_a_column_is_text(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(converting, "BLOCK_BYTES", 64)
    rows = ["1,,true,0.5,0"] * 40 + ["much,Bern,maybe,1,1", "2,Rome,false,half,unknown"]
    (tmp_path / "rows.csv").write_text("\n".join(["a,b,c,d,late", *rows]))
    frame = pd.read_parquet(to_parquet(tmp_path / "rows.csv", tmp_path / "stores"))
    expected = read_table(tmp_path / "rows.csv")
    assert frame["a"].tolist() == ["1"] * 40 + ["much", "2"]
    assert frame["b"].tolist()[-2:] == ["Bern", "Rome"]
    assert frame["c"].tolist()[-2:] == ["maybe", "false"]
    assert frame["d"].tolist()[-2:] == ["1", "half"]
    assert frame["late"].tolist() == expected["late"].tolist()
    left = sorted(file.suffix for file in (tmp_path / "stores").iterdir())
    assert left == [".lock", ".parquet"]


def test_one_core_learns_of_other_types_as_well(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(converting, "BLOCK_BYTES", 64)
    (tmp_path / "rows.csv").write_text("\n".join(["a,late", *["1,0"] * 40, "1.5,1"]))
    threads = pa.cpu_count()
    try:
        pa.set_cpu_count(1)
        frame = pd.read_parquet(to_parquet(tmp_path / "rows.csv", tmp_path))
    finally:
        pa.set_cpu_count(threads)
    assert frame["a"].tolist() == [1.0] * 40 + [1.5]


def test_columns_without_a_name_are_called_as_in_memory(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1.0, 2.0], "late": [0, 1]}).to_csv(tmp_path / "rows.csv")
    with pytest.warns(UserWarning, match=r"the first column has no name"):
        frame = pd.read_parquet(to_parquet(tmp_path / "rows.csv", tmp_path))
    with pytest.warns(UserWarning, match=r"the first column has no name"):
        assert list(frame.columns) == list(read_table(tmp_path / "rows.csv").columns)


@pytest.mark.parametrize("keep", [5, 20, -40])
def test_packed_files_that_are_damaged(tmp_path: Path, keep: int) -> None:
    rng = np.random.default_rng(0)
    rows = "\n".join(["a,late", *(f"{value},{value > 0:d}" for value in rng.normal(size=20_000))])
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(rows.encode())[:keep])
    with pytest.raises(ValueError, match=r"rows.csv.gz is damaged .*: write or pack it anew"):
        to_parquet(tmp_path / "rows.csv.gz", tmp_path / "stores")
    assert not list((tmp_path / "stores").glob("*.parquet"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"rows.csv is empty"),
        (b"PAR1....", r"seems to hold Parquet: name it .parquet"),
        (b"a;b\n1;2\n", r"seems to be separated by semicolons"),
        (b"a,b\r1,2\r", r"rows.csv cannot be read as a table .*: correct its first line"),
        (b"a,a\n1,2\n", r"column names occur more than once: 'a'"),
        (b"a,b\n1,2,3\n", r"cannot be read as a table .*Expected 2 columns, got 3"),
        (b"a,b\n\xff\xfe\xfa,2\n", r"rows.csv is not UTF-8 text: save it"),
        (b"\xff\xfe\xfa,b\n1,2\n", r"is damaged|is not UTF-8 text|UTF-16"),
        ("größe,b\n1,2\n".encode("latin-1"), r"rows.csv is not UTF-8 text .*: save it with that encoding"),
    ],
)
def test_text_that_is_no_table(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "rows.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        to_parquet(tmp_path / "rows.csv", tmp_path)
