"""CIFAR-10 from all four kinds of files, made small, and from damaged ones."""

import hashlib
import io
import os
import pickle
import tarfile
from dataclasses import replace

import numpy as np
import pytest

from metabalance.datasets import cifar, load_cifar10

ROWS = 20
FILES = [*cifar.PARTS["train"], *cifar.PARTS["test"]]


@pytest.fixture(autouse=True)
def small_files(monkeypatch):
    monkeypatch.setattr(cifar, "ROWS_PER_FILE", ROWS)
    monkeypatch.delenv("METABALANCE_DATA", raising=False)


@pytest.fixture
def content():
    """Pixels and labels of every file."""
    rng = np.random.default_rng(0)
    return {
        name: (rng.integers(256, size=(ROWS, 3072), dtype=np.uint8), rng.permutation(ROWS) % 10)
        for name in FILES
    }


def binary_file(pixels, labels):
    return np.column_stack([labels.astype(np.uint8), pixels]).tobytes()


def python_file(pixels, labels):
    return pickle.dumps({b"data": pixels, b"labels": labels.tolist(), b"batch_label": b"x"}, protocol=2)


def write_folder(folder, files):
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def write_archive(path, folder, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def binary(content):
    return {f"{name}.bin": binary_file(*parts) for name, parts in content.items()}


@pytest.fixture
def python(content, monkeypatch):
    files = {name: python_file(*parts) for name, parts in content.items()}
    sums = {name: hashlib.md5(data).hexdigest() for name, data in files.items()}
    monkeypatch.setattr(cifar, "_PYTHON", replace(cifar._PYTHON, sums=sums))
    return files


def check(found, content, names):
    pixels = np.concatenate([content[name][0] for name in names]).reshape(-1, 3, 32, 32)
    np.testing.assert_array_equal(found.images.numpy(), pixels)
    np.testing.assert_array_equal(found.y, np.concatenate([content[name][1] for name in names]))
    assert found.y.dtype == np.int64
    assert found.classes[6] == "frog"
    assert len(found) == len(pixels)


@pytest.mark.parametrize("place", ["", "cifar10"])
@pytest.mark.parametrize("part", ["train", "test"])
def test_binary_files(tmp_path, content, binary, place, part):
    write_folder(tmp_path / place / "cifar-10-batches-bin", binary)
    found = load_cifar10(tmp_path, part=part)
    check(found, content, cifar.PARTS[part])
    assert found.title == f"CIFAR-10, {part} (pixels not checked against the original)"


def test_python_files(tmp_path, content, python):
    write_folder(tmp_path / "cifar-10-batches-py", python)
    found = load_cifar10(tmp_path, part="test")
    check(found, content, ["test_batch"])
    assert found.title == "CIFAR-10, test"


def test_archives(tmp_path, content, binary, python, monkeypatch):
    for version, files in (("_BINARY", binary), ("_PYTHON", python)):
        about = getattr(cifar, version)
        path = tmp_path / about.archive
        total = write_archive(path, about.folder, files)
        monkeypatch.setattr(cifar, version, replace(about, archive_sum=total))
        found = load_cifar10(tmp_path)
        check(found, content, cifar.PARTS["train"])
        assert found.title == "CIFAR-10, train"
        path.unlink()


def test_the_environment_names_the_folder(tmp_path, content, binary, monkeypatch):
    write_folder(tmp_path / "cifar-10-batches-bin", binary)
    monkeypatch.setenv("METABALANCE_DATA", str(tmp_path))
    check(load_cifar10(part="test"), content, ["test_batch"])


def test_some_of_the_images(tmp_path, binary):
    write_folder(tmp_path / "cifar-10-batches-bin", binary)
    train = load_cifar10(tmp_path)
    some = train.take(np.array([7, 3])).to("cpu")
    assert some.images.equal(train.images[[7, 3]])
    assert some.y.tolist() == train.y[[7, 3]].tolist()


def test_an_archive_that_is_not_the_authors(tmp_path, binary):
    write_archive(tmp_path / "cifar-10-binary.tar.gz", "cifar-10-batches-bin", binary)
    with pytest.raises(ValueError, match="but the authors state c32a1d4ab5d03f1284b67883e8d87530"):
        load_cifar10(tmp_path)


def test_an_archive_without_the_file(tmp_path, binary, monkeypatch):
    del binary["test_batch.bin"]
    path = tmp_path / "cifar-10-binary.tar.gz"
    total = write_archive(path, "cifar-10-batches-bin", binary)
    monkeypatch.setattr(cifar, "_BINARY", replace(cifar._BINARY, archive_sum=total))
    with pytest.raises(ValueError, match=r"holds no file test_batch\.bin"):
        load_cifar10(tmp_path, part="test")


def test_damaged_binary_files(tmp_path, binary):
    folder = tmp_path / "cifar-10-batches-bin"
    write_folder(folder, binary)
    whole = (folder / "test_batch.bin").read_bytes()
    (folder / "test_batch.bin").write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=r"test_batch\.bin of .* has 61,459 bytes, not 61,460"):
        load_cifar10(tmp_path, part="test")
    (folder / "test_batch.bin").write_bytes(b"\x0b" + whole[1:])
    with pytest.raises(ValueError, match="labels from 0 to 11"):
        load_cifar10(tmp_path, part="test")
    (folder / "data_batch_3.bin").unlink()
    with pytest.raises(ValueError, match=r"holds no file data_batch_3\.bin"):
        load_cifar10(tmp_path)


def test_python_files_that_are_not_the_authors(tmp_path, python):
    folder = tmp_path / "cifar-10-batches-py"
    write_folder(folder, python)
    with (folder / "test_batch").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ValueError, match=r"test_batch of .* another MD5 sum"):
        load_cifar10(tmp_path, part="test")


class Harmful:
    def __reduce__(self):
        return os.system, ("exit 1",)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pickle.dumps(Harmful()), r"not a pickle of plain data: it refers to (posix|nt)\.system"),
        (b"not a pickle", "not a pickle of plain data"),
        (pickle.dumps([1, 2]), "does not hold images and labels"),
        (pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]}), "does not hold images"),
        (pickle.dumps({b"data": np.zeros((1, 3072)), b"labels": [1]}), "does not hold images"),
    ],
    ids=["code", "text", "list", "labels", "floats"],
)
def test_python_files_that_hold_something_else(tmp_path, python, monkeypatch, data, message):
    python["test_batch"] = data
    sums = {**cifar._PYTHON.sums, "test_batch": hashlib.md5(data).hexdigest()}
    monkeypatch.setattr(cifar, "_PYTHON", replace(cifar._PYTHON, sums=sums))
    write_folder(tmp_path / "cifar-10-batches-py", python)
    with pytest.raises(ValueError, match=message):
        load_cifar10(tmp_path, part="test")


def test_where_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder of data is given: get cifar-10-binary"):
        load_cifar10()
    with pytest.raises(FileNotFoundError, match=r"holds none of the files of CIFAR-10.*download=True"):
        load_cifar10(tmp_path)
    with pytest.raises(FileNotFoundError, match="say where to keep the download"):
        load_cifar10(download=True)
    with pytest.raises(ValueError, match="part must be 'train' or 'test', got 'valid'"):
        load_cifar10(tmp_path, part="valid")


def test_download_is_kept_and_checked(tmp_path, content, binary, monkeypatch):
    source = tmp_path / "theirs.tar.gz"
    total = write_archive(source, "cifar-10-batches-bin", binary)
    monkeypatch.setattr(cifar, "URL", source.as_uri())
    root = tmp_path / "data"
    with pytest.raises(ValueError, match="it is damaged or not theirs"):
        load_cifar10(root, download=True)
    assert list((root / "cifar10").iterdir()) == []
    monkeypatch.setattr(cifar, "_BINARY", replace(cifar._BINARY, archive_sum=total))
    check(load_cifar10(root, part="test", download=True), content, ["test_batch"])
    source.unlink()
    check(load_cifar10(root, download=True), content, cifar.PARTS["train"])


def test_roots_that_are_no_folders(tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TypeError, match="data_root must be the path of a folder, got 3"):
        load_cifar10(3)
    with pytest.raises(ValueError, match="is a file, not a folder of data"):
        load_cifar10(tmp_path / "file")
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*gone: get"):
        load_cifar10(tmp_path / "gone")
