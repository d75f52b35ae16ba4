import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from metabalance.encoding.tables import TableEncoder
from metabalance.large import store as stores
from metabalance.large import writing
from metabalance.large.folders import open_dataset
from metabalance.large.sources import Source
from metabalance.large.writing import open_store

FILES = (stores.ROWS, stores.CODES, stores.BY_CLASS)
CPU = torch.device("cpu")


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    city = rng.choice(["Bern", "Rome", "Oslo"], 300)
    return pd.DataFrame({"a": rng.normal(size=300), "city": city, "kind": rng.choice([7, 3, 5], 300)})


@pytest.fixture
def source(frame, tmp_path: Path) -> Source:
    frame.to_parquet(tmp_path / "rows.parquet", row_group_size=40)
    return Source.of(open_dataset(tmp_path / "rows.parquet"), "kind", [])


def opened(source: Source, folder: Path) -> stores.Store:
    return open_store(source, folder, coded=False, progress=False)


def test_a_store_holds_what_the_encoder_makes(source, frame, tmp_path: Path) -> None:
    store = opened(source, tmp_path / "stores")
    X, y = frame[["a", "city"]], frame["kind"].to_numpy()
    assert store.facts.encoder.to_state() == TableEncoder().fit(X).to_state()
    assert store.facts.classes.tolist() == [3, 5, 7]
    assert store.facts.counts.tolist() == [int((y == label).sum()) for label in (3, 5, 7)]
    table = store.table(torch.empty(0, dtype=torch.int64), CPU, 0)
    assert table.x[:].equal(torch.from_numpy(TableEncoder().fit(X).transform(X)))
    assert store.facts.classes[table.y.numpy()].tolist() == y.tolist()
    assert table.by_class.tolist() == np.argsort(y, kind="stable").tolist()
    about = json.loads((store.folder / stores.ABOUT).read_text())
    assert about["identity"]["files"][0][0] == "rows.parquet"
    assert {file.name for file in store.folder.iterdir()} == {*FILES, stores.ABOUT, ".lock"}


def test_a_store_is_found_again(source, tmp_path: Path, monkeypatch) -> None:
    first = opened(source, tmp_path / "stores")
    monkeypatch.setattr(Source, "batches", lambda *_: pytest.fail("the rows are read again"))
    again = opened(source, tmp_path / "stores")
    assert again.folder == first.folder
    assert again.facts.to_state() == first.facts.to_state()


def test_other_columns_and_files_have_other_stores(source, frame, tmp_path: Path) -> None:
    whole = opened(source, tmp_path)
    fewer = opened(Source.of(source.dataset, "kind", ["city"]), tmp_path)
    coded = open_store(source, tmp_path, coded=True, progress=False)
    frame.iloc[::-1].to_parquet(tmp_path / "rows.parquet", row_group_size=40)
    changed = opened(Source.of(open_dataset(tmp_path / "rows.parquet"), "kind", []), tmp_path)
    assert len({store.folder for store in (whole, fewer, coded, changed)}) == 4


@pytest.mark.parametrize("killed_at", [0, 1, 4, 7])
@pytest.mark.parametrize("said", [True, False])
def test_writing_that_was_broken_off_is_gone_on_with(source, tmp_path, monkeypatch, killed_at, said) -> None:
    whole = opened(source, tmp_path / "whole")
    transform, calls = TableEncoder.transform, []

    def dies(self, X):
        calls.append(len(X))
        if len(calls) > killed_at:
            raise KeyboardInterrupt
        return transform(self, X)

    monkeypatch.setattr(writing, "SAVED_EVERY", -1.0 if said else 1e9)
    monkeypatch.setattr(TableEncoder, "transform", dies)
    with pytest.raises(KeyboardInterrupt):
        opened(source, tmp_path / "again")
    monkeypatch.setattr(TableEncoder, "transform", transform)
    monkeypatch.setattr(writing, "_find", lambda *_: pytest.fail("the first pass is done again"))
    encoded = []
    monkeypatch.setattr(
        TableEncoder, "transform", lambda self, X: encoded.append(len(X)) or transform(self, X)
    )
    again = opened(source, tmp_path / "again")
    assert sum(encoded) == 300 - (sum(calls[:killed_at]) if said else 0)
    for name in FILES:
        assert (again.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_an_unfinished_index_is_written_again(source, tmp_path: Path, monkeypatch) -> None:
    whole = opened(source, tmp_path / "whole")
    monkeypatch.setattr(writing, "write_facts", _only_what_is_found(writing.write_facts))
    with pytest.raises(KeyboardInterrupt):
        opened(source, tmp_path / "again")
    monkeypatch.undo()
    again = opened(source, tmp_path / "again")
    for name in FILES:
        assert (again.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def _only_what_is_found(write):
    def written(file, *rest):
        if file.name == stores.ABOUT:
            raise KeyboardInterrupt
        write(file, *rest)

    return written


def test_the_index_is_made_of_pieces(source, tmp_path: Path, monkeypatch) -> None:
    whole = opened(source, tmp_path / "whole")
    monkeypatch.setattr(writing, "INDEXED_AT_ONCE", 7)
    pieces = opened(source, tmp_path / "pieces")
    assert (pieces.folder / stores.BY_CLASS).read_bytes() == (whole.folder / stores.BY_CLASS).read_bytes()


def test_quantiles_of_a_sample(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(writing, "SAMPLE_ROWS", 2000)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(3, 2, size=20_000), "y": rng.random(20_000) < 0.1})
    frame.to_parquet(tmp_path / "rows.parquet")
    store = opened(Source.of(open_dataset(tmp_path / "rows.parquet"), "y", []), tmp_path)
    column = store.facts.encoder.columns_[0]
    low, center, high = np.quantile(frame["a"], [0.25, 0.5, 0.75])
    assert column.center == pytest.approx(center, abs=0.2)
    assert column.scale == pytest.approx(high - low, rel=0.1)
    assert column.center != center
    assert len(writing._sample_rows(10**9, 10**6)) == 1024  # wide tables: fewer rows


def test_there_must_be_room(source, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 100, 100))
    with pytest.raises(ValueError, match=r"the encoded rows take .* more than the .* that are free"):
        opened(source, tmp_path / "stores")
    monkeypatch.undo()
    opened(source, tmp_path / "stores")


def test_a_folder_that_cannot_be_written_to(source, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"cannot write the store .* name another folder"):
        opened(source, tmp_path / "file")


@pytest.mark.parametrize("name", FILES)
def test_files_of_a_store_that_were_cut_short(source, tmp_path: Path, name: str) -> None:
    store = opened(source, tmp_path)
    with open(store.folder / name, "r+b") as file:
        file.truncate(10)
    with pytest.raises(ValueError, match=r"is damaged, it holds 10 bytes .* delete its folder"):
        store.table(torch.empty(0, dtype=torch.int64), CPU, 0)


@pytest.mark.parametrize("name", [stores.CODES, stores.BY_CLASS])
def test_numbers_of_a_store_that_were_changed(source, tmp_path: Path, name: str) -> None:
    store = opened(source, tmp_path)
    content = bytearray((store.folder / name).read_bytes())
    content[100:104] = b"\xff" * 4
    (store.folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=r"is damaged, its numbers are others: delete its folder"):
        store.table(torch.empty(0, dtype=torch.int64), CPU, 0)


@pytest.mark.parametrize("said", ["", "{}", '{"rows": -5}', '{"rows": "many"}'])
def test_what_was_said_in_a_damaged_way_counts_as_nothing(source, tmp_path, said, monkeypatch) -> None:
    monkeypatch.setattr(writing, "_index", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        opened(source, tmp_path)
    monkeypatch.undo()
    (done,) = tmp_path.glob(f"*/{writing.DONE}")
    done.write_text(said)
    assert opened(source, tmp_path).facts.n_rows == 300


def test_a_description_that_was_changed(source, tmp_path: Path) -> None:
    about = opened(source, tmp_path).folder / stores.ABOUT
    about.write_text(about.read_text().replace('"counts": [', '"counts": [1, '))
    with pytest.raises(ValueError, match=r"store.json' is damaged \(it is not what was written\): delete"):
        opened(source, tmp_path)


@pytest.mark.parametrize(
    "change", [{"kind": lambda frame: frame["kind"].replace(7, 8)}, {"a": lambda f: 9 * f["a"]}]
)
def test_files_that_change_while_they_are_read(source, frame, tmp_path: Path, monkeypatch, change) -> None:
    find = writing._find

    def found(*arguments):
        facts = find(*arguments)
        frame.assign(**change).to_parquet(tmp_path / "rows.parquet", row_group_size=40)
        return facts

    monkeypatch.setattr(writing, "_find", found)
    with pytest.raises(ValueError, match=r"the files of the table have changed while they were read"):
        opened(source, tmp_path / "stores")
    assert not list((tmp_path / "stores").glob(f"*/{stores.ABOUT}"))


def test_files_that_are_gone_are_written_again(source, tmp_path: Path, monkeypatch) -> None:
    whole = opened(source, tmp_path / "whole")
    monkeypatch.setattr(writing, "SAVED_EVERY", -1.0)
    monkeypatch.setattr(writing, "_index", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        opened(source, tmp_path / "again")
    monkeypatch.undo()
    (rows,) = (tmp_path / "again").glob(f"*/{stores.ROWS}")
    rows.unlink()
    again = opened(source, tmp_path / "again")
    for name in FILES:
        assert (again.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_two_processes_write_one_store(source, frame, tmp_path: Path) -> None:
    script = f"""
from pathlib import Path
from metabalance.large.folders import open_dataset
from metabalance.large.sources import Source
from metabalance.large.writing import open_store
source = Source.of(open_dataset(Path({str(tmp_path / "rows.parquet")!r})), "kind", [])
open_store(source, Path({str(tmp_path / "both")!r}), coded=False, progress=False)
"""
    both = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(2)]
    assert [each.wait(timeout=120) for each in both] == [0, 0]
    whole, found = opened(source, tmp_path / "whole"), opened(source, tmp_path / "both")
    for name in FILES:
        assert (found.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_many_classes_are_no_cause_for_a_warning(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": np.arange(400.0), "y": np.arange(400) % 30})
    frame.to_parquet(tmp_path / "rows.parquet")
    store = opened(Source.of(open_dataset(tmp_path / "rows.parquet"), "y", []), tmp_path)
    assert store.facts.counts.tolist() == np.bincount(frame["y"]).tolist()


def test_one_class_and_columns_that_say_nothing(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.0] * 20, "y": [0, 1] * 10})
    frame.to_parquet(tmp_path / "rows.parquet")
    with pytest.warns(UserWarning, match=r"no column of the table holds anything to learn from"):
        opened(Source.of(open_dataset(tmp_path / "rows.parquet"), "y", []), tmp_path)
    with pytest.raises(ValueError, match=r"at least 2 classes, got 1 class"):
        opened(Source.of(open_dataset(tmp_path / "rows.parquet"), "a", []), tmp_path)


def test_bars_say_how_far_it_is(source, tmp_path: Path, capsys) -> None:
    open_store(source, tmp_path / "[red]" / "[", coded=False, progress=True)
    shown = capsys.readouterr()
    assert "reading" in shown.err
    assert "300/300 rows" in shown.err
    assert shown.out == ""
