from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metabalance.large.folders import open_dataset, parquet_files


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame({"a": np.arange(50.0)})


def test_hidden_files_are_passed_over(frame, tmp_path: Path) -> None:
    for name in ("a.parquet", "b.parquet"):
        frame.to_parquet(tmp_path / name)
    (tmp_path / "_SUCCESS").touch()
    for name in (".rows.parquet", "_temporary/rows.parquet"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("unfinished")
    assert [file.name for file in parquet_files(tmp_path)] == ["a.parquet", "b.parquet"]


def test_links_and_endings_of_any_case(frame, tmp_path: Path) -> None:
    for name in ("real", "rows"):
        (tmp_path / name).mkdir()
    frame[:10].to_parquet(tmp_path / "rows" / "a.parquet")
    frame[10:20].to_parquet(tmp_path / "rows" / "b.PARQUET")
    frame[20:].to_parquet(tmp_path / "real" / "c.parquet")
    (tmp_path / "rows" / "more").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "back").symlink_to(tmp_path / "rows")
    assert open_dataset(tmp_path / "rows").count_rows() == 50
    (tmp_path / "rows" / "gone.parquet").symlink_to(tmp_path / "nowhere.parquet")
    with pytest.raises(ValueError, match=r"gone.parquet"):
        open_dataset(tmp_path / "rows")


def test_no_file_is_there_twice(frame, tmp_path: Path) -> None:
    for month in ("month=1", "month=2"):
        (tmp_path / month).mkdir()
        frame.to_parquet(tmp_path / month / "part.parquet")
    (tmp_path / "a-link").symlink_to("month=1")
    (tmp_path / "latest.parquet").symlink_to("month=2/part.parquet")
    own = [tmp_path / "month=1" / "part.parquet", tmp_path / "month=2" / "part.parquet"]
    assert parquet_files(tmp_path) == own
    (tmp_path / "view").mkdir()
    (tmp_path / "view" / "part.parquet").symlink_to(own[0])
    assert parquet_files(tmp_path / "view") == [tmp_path / "view" / "part.parquet"]


def test_folders_called_like_files_are_looked_into(frame, tmp_path: Path) -> None:
    (tmp_path / "january.parquet").mkdir()
    frame.to_parquet(tmp_path / "january.parquet" / "part-0.parquet")
    assert open_dataset(tmp_path).count_rows() == 50


def test_names_of_folders_above_the_table_are_no_columns(frame, tmp_path: Path) -> None:
    (tmp_path / "run=3" / "parts").mkdir(parents=True)
    frame.to_parquet(tmp_path / "run=3" / "rows.parquet")
    frame.to_parquet(tmp_path / "run=3" / "parts" / "rows.parquet")
    assert open_dataset(tmp_path / "run=3" / "rows.parquet").schema.names == ["a"]
    assert open_dataset(tmp_path / "run=3" / "parts").schema.names == ["a"]
