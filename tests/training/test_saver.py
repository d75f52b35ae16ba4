from pathlib import Path

from metabalance.training import Saver


def test_only_who_writes_removes_what_killed_processes_have_left(tmp_path: Path) -> None:
    left = tmp_path / ".training.checkpoint.1-2.tmp"
    left.touch()
    for writes in (False, True):
        saver = Saver(tmp_path / "training.checkpoint", {}, None, None, writes)
        assert not saver.start(None)  # there is no checkpoint
        assert left.exists() is not writes
