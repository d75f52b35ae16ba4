from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from metabalance.files import write_atomically


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


def test_threads_may_write_the_same_file(tmp_path: Path) -> None:
    contents = [bytes([65 + number]) * 10_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write_atomically(tmp_path / "f", content), contents * 20))
    assert (tmp_path / "f").read_bytes() in contents
    assert [file.name for file in tmp_path.iterdir()] == ["f"]


def test_a_link_stays_one(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
