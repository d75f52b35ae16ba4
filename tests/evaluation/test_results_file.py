import math
from pathlib import Path

import numpy as np
import pytest

from metabalance.evaluation.results_file import (
    numbers_from_json,
    read_results_file,
    write_atomically,
    write_results_file,
)


def test_what_is_written_is_read_without_the_header(tmp_path: Path) -> None:
    content = {"text": "ä", "list": (1, 2.5), "nested": {"flag": True, "none": None}, 3: np.float64(0.5)}
    path = write_results_file(tmp_path / "file.json", content)
    assert read_results_file(path) == {
        "text": "ä",
        "list": [1, 2.5],
        "nested": {"flag": True, "none": None},
        "3": 0.5,
    }


def test_numbers_that_json_lacks_come_back(tmp_path: Path) -> None:
    numbers = {"nan": math.nan, "up": math.inf, "down": -math.inf, "small": 5e-324, "count": np.int64(3)}
    path = write_results_file(tmp_path / "file.json", {"numbers": numbers})
    restored = numbers_from_json(read_results_file(path)["numbers"])
    assert restored == pytest.approx(numbers, rel=0, abs=0, nan_ok=True)


def test_writing_replaces_a_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    write_atomically(path, b"old")
    assert write_atomically(path, b"new") == path
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named_and_keeps_what_it_has(tmp_path: Path) -> None:
    occupied = tmp_path / "folder"
    occupied.mkdir()
    with pytest.raises(ValueError, match=r"cannot write .*folder .*; choose a path you can write to"):
        write_atomically(occupied, b"content")
    assert list(tmp_path.iterdir()) == [occupied]

    file = tmp_path / "file"
    file.write_bytes(b"kept")
    with pytest.raises(ValueError, match="cannot write"):
        write_atomically(file / "below.txt", b"content")
    assert file.read_bytes() == b"kept"
