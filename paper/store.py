"""One JSON file per run: results/<task>/<protocol>/<method>/<seed>.json."""

import json
import os
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

RESULTS = Path(__file__).parent / "results"
INPUT_ERROR = 2
PARTS = ("data", "recipe", "network", "scores")


def path_of(root: Path, task: str, protocol: str, method: str, seed: int) -> Path:
    """Where a run is kept; a method may have its family in front, as in ``grid/natural-under``."""
    return root / task / protocol / method / f"{seed}.json"


def make_folder(path: Path, option: str) -> None:
    """Make a folder that an option names, if it does not exist.

    Raises
    ------
    ValueError
        If that cannot be.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{option} {path} cannot be a folder ({error.strerror}): name another") from error


def write_run(path: Path, content: Mapping[str, Any]) -> None:
    """Write a run, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    part.replace(path)


def read_runs(root: Path, task: str, protocol: str, method: str) -> dict[int, dict[str, Any]]:
    """Return seed → everything that is kept of a run, for the runs that are done."""
    folder = path_of(root, task, protocol, method, 0).parent
    if not folder.is_dir():
        return {}
    return {
        int(path.stem): _read(path, path.stat().st_mtime_ns)
        for path in sorted(folder.glob("*.json"))
        if path.stem.isdigit()
    }


def read_json(path: Path) -> Any:
    """Read a file of results; raise ValueError, naming it, if it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged ({error}): delete it, and it will be run again") from error


def fail(error: Exception | str) -> NoReturn:
    """End the command with one line and exit code 2, as the library's own does."""
    print(f"error: {error}", file=sys.stderr)
    sys.exit(INPUT_ERROR)


@cache
def _read(path: Path, changed: int) -> dict[str, Any]:
    """Read a run, once as long as the file does not change: the tables ask for the same ones many times."""
    run: dict[str, Any] = read_json(path)
    if not _is_run(run):
        raise ValueError(f"{path} is not the result of a run: delete it, and it will be run again")
    return run


def _is_run(run: Any) -> bool:
    """Whether this has the parts that tables are made of."""
    if not isinstance(run, dict) or not all(isinstance(run.get(part), dict) for part in PARTS):
        return False
    scores = list(run["scores"].values())
    good = all(isinstance(each, dict) and _is_auc(each.get("test_auc")) for each in scores)
    return run["data"].keys() >= {"title", "rows", "positives"} and good and bool(scores or "failure" in run)


def _is_auc(value: Any) -> bool:
    return isinstance(value, float) and 0 <= value <= 1
