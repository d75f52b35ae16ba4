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
