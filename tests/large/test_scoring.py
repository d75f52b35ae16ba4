from pathlib import Path

import pandas as pd
import pytest

from metabalance.large.scoring import score_parquet


@pytest.mark.parametrize("zone", [None, "Europe/Rome"])
def test_times_are_written_alike_in_all_parts_of_a_text_file(tmp_path: Path, zone: str | None) -> None:
    (tmp_path / "rows").mkdir()
    texts = ["2024-01-01", None, "2024-01-02 10:00:00", "2024-07-03 00:00:01.25"]
    times = pd.Series(pd.to_datetime(texts, format="ISO8601"))
    frame = pd.DataFrame({"a": range(4), "seen": times.dt.tz_localize(zone), "b": range(4)})
    frame[:2].to_parquet(tmp_path / "rows" / "0.parquet")
    frame[2:].to_parquet(tmp_path / "rows" / "1.parquet")
    counts = score_parquet(
        tmp_path / "rows",
        tmp_path / "scored.csv",
        lambda part: pd.DataFrame({"late": part["a"] > 2}, index=part.index),
    )
    assert counts == {False: 3, True: 1}
    scored = pd.read_csv(tmp_path / "scored.csv")
    assert scored.columns.tolist() == ["a", "seen", "b", "late"]
    assert scored["seen"].dropna().str.len().nunique() == 1
    read = pd.to_datetime(scored["seen"], utc=zone is not None)

    assert ((read == frame["seen"]) | read.isna()).all()
    assert read.isna().tolist() == [False, True, False, False]
