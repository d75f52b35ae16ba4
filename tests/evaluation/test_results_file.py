import math
from pathlib import Path

import numpy as np
import pytest

from metabalance.evaluation.results_file import (
    numbers_from_json,
    read_results_file,
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
