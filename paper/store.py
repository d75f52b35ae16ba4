"""One JSON file per run: results/<task>/<protocol>/<method>/<seed>.json."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def path_of(root: Path, task: str, protocol: str, method: str, seed: int) -> Path:
    """Where a run is kept; a method may have its family in front, as in ``grid/natural-under``."""
    return root / task / protocol / method / f"{seed}.json"


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
        int(path.stem): json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.json"), key=lambda path: int(path.stem))
    }


def read_scores(root: Path, task: str, protocol: str, method: str) -> dict[int, dict[str, Any]]:
    """Return seed → {"meta": scores, "adapted": scores} or {"plain": scores} of the runs that are done."""
    return {seed: run["scores"] for seed, run in read_runs(root, task, protocol, method).items()}
