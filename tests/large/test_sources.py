import os
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest

from metabalance.large import sources
from metabalance.large.folders import open_dataset
from metabalance.large.sources import Source


@pytest.fixture
def frame() -> pd.DataFrame:
    numbers = np.arange(50.0)
    return pd.DataFrame({"a": numbers, "city": np.resize(["Bern", "Rome"], 50), "late": numbers > 40})


@pytest.fixture
def folder(frame, tmp_path: Path) -> Path:
    place = tmp_path / "rows"
    place.mkdir()
    frame[:30].to_parquet(place / "a.parquet", row_group_size=8)
    frame[30:].to_parquet(place / "b.parquet", row_group_size=100)
    (place / "_SUCCESS").touch()
    (place / "notes.txt").write_text("not a table")
    return place


def source_of(path: Path, **options) -> Source:
    return Source.of(open_dataset(path), options.pop("target", "late"), options.pop("drop", []))


def joined(source: Source, first: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    parts = list(source.batches(first))
    frames = [frame.astype({"city": object}) for frame, _ in parts]
    return pd.concat(frames, ignore_index=True), pd.concat([y for _, y in parts], ignore_index=True)


def test_all_files_in_order(folder: Path, frame) -> None:
    source = source_of(folder)
    assert (source.features, source.n_rows) == (["a", "city"], 50)
    assert [piece.rows for piece in source.pieces] == [8, 8, 8, 6, 20]
    x, y = joined(source)
    pd.testing.assert_frame_equal(x, frame[["a", "city"]].astype({"city": object}))
    assert y.tolist() == frame["late"].tolist()


@pytest.mark.parametrize("first", [0, 3, 8, 29, 30, 49])
def test_from_a_row_on(folder: Path, frame, first: int) -> None:
    x, y = joined(source_of(folder), first)
    assert x["a"].tolist() == frame["a"][first:].tolist()
    assert y.tolist() == frame["late"][first:].tolist()


def test_after_the_last_row_there_is_nothing(folder: Path) -> None:
    assert list(source_of(folder).batches(50)) == []


def test_folders_that_say_a_value_are_a_column(frame, tmp_path: Path) -> None:
    for city, part in frame.groupby("city"):
        (tmp_path / f"city={city}").mkdir()
        part.drop(columns="city").to_parquet(tmp_path / f"city={city}" / "rows.parquet", index=False)
    x, _ = joined(source_of(tmp_path))
    assert x["city"].tolist() == ["Bern"] * 25 + ["Rome"] * 25
    assert sorted(x["a"]) == frame["a"].tolist()


def test_a_data_set_of_another_format(frame, tmp_path: Path) -> None:
    frame.to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(TypeError, match=r"the data set is of csv files: name a text file by its path"):
        Source.of(pads.dataset(tmp_path / "rows.csv", format="csv"), "late", [])


def test_a_data_set_whose_schema_loses_something(frame, tmp_path: Path) -> None:
    frame.to_parquet(tmp_path / "0.parquet")
    frame.assign(late=np.arange(50) % 3).to_parquet(tmp_path / "1.parquet")
    with pytest.raises(
        ValueError, match=r"1.parquet holds int64 in column 'late', which the data set takes for bool"
    ):
        Source.of(pads.dataset(tmp_path, format="parquet"), "late", [])
    frame.drop(columns="city").to_parquet(tmp_path / "1.parquet")
    dataset = pads.dataset(tmp_path, format="parquet")
    with pytest.raises(ValueError, match=r"1.parquet has no column 'city'"):
        Source.of(dataset, "late", [])
    assert Source.of(dataset, "late", ["city"]).n_rows == 100


def test_rows_are_told_apart_where_names_sizes_and_times_are_the_same(frame, tmp_path: Path) -> None:
    found = []
    for seed in range(2):
        rows = frame.assign(a=np.random.default_rng(seed).permutation(frame["a"]))
        rows.to_parquet(tmp_path / "part.parquet", compression=None)
        os.utime(tmp_path / "part.parquet", ns=(7, 7))
        found.append(source_of(tmp_path / "part.parquet").identity())
        assert source_of(tmp_path / "part.parquet").identity() == found[-1]
    assert [each["files"][0][:4] for each in found] == [found[0]["files"][0][:4]] * 2
    assert found[0] != found[1]


def test_a_file_that_cannot_be_told_from_others(folder: Path, monkeypatch) -> None:
    source = source_of(folder)

    def broken(*_):
        raise OSError("Input/output error")

    monkeypatch.setattr(sources, "digest_of_ends", broken)
    with pytest.raises(ValueError, match=r"a.parquet cannot be read \(Input/output error\): write it anew"):
        source.identity()


@pytest.mark.parametrize("kind", [pa.list_(pa.int64()), pa.binary(), pa.timestamp("s")])
def test_labels_of_a_type_that_is_none(kind, tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1.0], "y": pa.array([None], kind)}), tmp_path / "rows.parquet")
    with pytest.raises(TypeError, match=r"'y', the column to predict, has dtype"):
        source_of(tmp_path / "rows.parquet", target="y")


def test_row_names_that_pandas_has_written_are_no_feature(frame, tmp_path: Path) -> None:
    frame.set_index("a").to_parquet(tmp_path / "rows.parquet")
    assert source_of(tmp_path / "rows.parquet").features == ["city"]
    frame.iloc[::2].to_parquet(tmp_path / "some.parquet")
    assert source_of(tmp_path / "some.parquet").features == ["a", "city"]


def test_what_tells_a_source_from_others(folder: Path, frame) -> None:
    known = source_of(folder).identity()
    assert known == source_of(folder).identity()
    os.utime(folder / "b.parquet", ns=(1, 1))
    assert source_of(folder).identity() != known
    assert source_of(folder, drop=["city"]).identity() != source_of(folder).identity()
    assert source_of(folder, target="city").identity() != source_of(folder).identity()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "Late"}, "target='Late': the table has no such column; did you mean 'late'"),
        ({"target": "zzz"}, "target='zzz': the table has no such column; it has 'a', 'city', 'late'"),
        ({"drop": ["x"]}, "drop='x': the table has no such column"),
        ({"drop": ["late"]}, "drop='late': this is the target column"),
        ({"drop": ["a", "city"]}, "no column is left besides the target 'late'"),
    ],
)
def test_columns_that_are_not_there(folder: Path, options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        source_of(folder, **options)


def test_columns_of_one_name(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2]), pa.array([0])], ["a", "a", "late"])
    pq.write_table(table, tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match=r"duplicate field names"):
        source_of(tmp_path / "rows.parquet")


def test_filtered_and_other_data_sets(folder: Path, frame) -> None:
    whole = open_dataset(folder)
    with pytest.raises(TypeError, match=r"filtered or projected, .* pyarrow.dataset.write_dataset"):
        Source.of(whole.filter(pads.field("a") > 3), "late", [])
    with pytest.raises(TypeError, match=r"in memory: pass the rows themselves"):
        Source.of(pads.dataset(pa.Table.from_pandas(frame)), "late", [])


def test_files_that_cannot_be_read(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no such file or folder"):
        open_dataset(tmp_path / "none.parquet")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"holds no Parquet file"):
        open_dataset(tmp_path / "empty")
    (tmp_path / "text.parquet").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"text.parquet cannot be read as Parquet \(.*: write it anew"):
        open_dataset(tmp_path / "text.parquet")
    source = source_of(folder)
    damaged = bytearray((folder / "a.parquet").read_bytes())
    damaged[4:400] = bytes(396)
    (folder / "a.parquet").write_bytes(damaged)
    with pytest.raises(ValueError, match=r"a.parquet cannot be read \(.*: write it anew"):
        list(source.batches())


def test_files_with_other_columns(folder: Path, frame) -> None:
    frame.assign(new=1.0).to_parquet(folder / "c.parquet")
    with pytest.raises(ValueError, match=r"a.parquet has no column 'new', which other files have"):
        source_of(folder)
    assert source_of(folder, drop=["new"]).n_rows == 100
    frame.drop(columns="city").to_parquet(folder / "c.parquet")
    with pytest.raises(ValueError, match=r"c.parquet has no column 'city', which other files have"):
        source_of(folder)


def test_a_missing_column_is_not_one_that_a_folder_happens_to_spell(frame, tmp_path: Path) -> None:
    for town in ("Bern", "Rome"):
        (tmp_path / f"capital={town}").mkdir()
        frame.to_parquet(tmp_path / f"capital={town}" / "rows.parquet")
    frame.drop(columns="a").to_parquet(tmp_path / "capital=Rome" / "rows.parquet")
    with pytest.raises(ValueError, match=r"Rome.rows.parquet has no column 'a'"):
        source_of(tmp_path)


def test_types_that_hold_what_all_files_hold(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1, 2], "b": [None, None], "y": [0, 1]}).to_parquet(tmp_path / "0.parquet")
    pd.DataFrame({"b": ["x", "z"], "y": [0, 1], "a": [0.5, 1.5]}).to_parquet(tmp_path / "1.parquet")
    source = source_of(tmp_path, target="y")
    x = pd.concat([frame.astype({"b": object}) for frame, _ in source.batches()], ignore_index=True)
    assert x["a"].tolist() == [1.0, 2.0, 0.5, 1.5]
    assert x["b"].isna().tolist() == [True, True, False, False]
    assert x["b"].tolist()[2:] == ["x", "z"]
    pd.DataFrame({"a": ["text"], "b": ["x"], "y": [0]}).to_parquet(tmp_path / "2.parquet")
    with pytest.raises(ValueError, match=r"different things in the same column .*: write them alike"):
        open_dataset(tmp_path)


def test_a_renamed_folder_is_another_source(frame, tmp_path: Path) -> None:
    for city in ("Bern", "Rome"):
        (tmp_path / f"city={city}").mkdir()
        frame.drop(columns="city").to_parquet(tmp_path / f"city={city}" / "rows.parquet")
    known = source_of(tmp_path).identity()
    (tmp_path / "city=Bern").rename(tmp_path / "city=Basel")
    assert source_of(tmp_path).identity() != known


def test_files_whose_time_is_not_known(frame) -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    with memory.open("/rows.parquet", "wb") as file:
        frame.to_parquet(file)
    source = Source.of(pads.dataset("/rows.parquet", filesystem=memory, format="parquet"), "late", [])
    with pytest.raises(ValueError, match=r"its file system does not know when it was changed, .*: copy"):
        source.identity()


@pytest.mark.parametrize("first", [0, 5, 17, 29])
def test_a_piece_of_several_batches(folder: Path, frame, first: int, monkeypatch) -> None:
    monkeypatch.setattr(sources, "BATCH_ROWS", 3)
    x, _ = joined(source_of(folder), first)
    assert x["a"].tolist() == frame["a"][first:].tolist()
    assert max(len(part) for part, _ in source_of(folder).batches()) == 3


def test_decimal_numbers_are_read_as_numbers(tmp_path: Path) -> None:
    prices = pa.array([Decimal("1.25"), None, Decimal("3.50")], pa.decimal128(5, 2))
    pq.write_table(pa.table({"price": prices, "y": [0, 1, 0]}), tmp_path / "rows.parquet")
    ((x, _),) = source_of(tmp_path / "rows.parquet", target="y").batches()
    assert x["price"].dtype == float
    assert x["price"].tolist()[::2] == [1.25, 3.5]
