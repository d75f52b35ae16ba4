"""Folders and files of images, written here by Pillow and NumPy."""

import numpy as np
import pytest
from PIL import Image

from metabalance.datasets import load_image_arrays, load_image_folder


def pixels(seed, *shape):
    return np.random.default_rng(seed).integers(256, size=shape, dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    for name, count in (("ok", 3), ("broken", 2)):
        (tmp_path / "parts" / name).mkdir(parents=True)
        for number in range(count):
            picture = Image.fromarray(pixels(number + 10 * count, 6, 5, 3))
            picture.save(tmp_path / "parts" / name / f"{number}.png")
    return tmp_path / "parts"


def test_a_folder_for_each_class(folder):
    (folder / "ok" / "deeper").mkdir()
    Image.fromarray(pixels(7, 6, 5, 3)).save(folder / "ok" / "deeper" / "x.BMP")
    (folder / "ok" / "notes.txt").write_text("no image")
    (folder / "ok" / ".hidden.png").write_bytes(b"no image")
    (folder / ".thumbnails").mkdir()
    found = load_image_folder(folder)
    assert found.title == "parts"
    assert found.classes == ("broken", "ok")
    assert found.y.tolist() == [0, 0, 1, 1, 1, 1]
    assert found.images.shape == (6, 3, 6, 5)
    np.testing.assert_array_equal(found.images[1].numpy(), pixels(21, 6, 5, 3).transpose(2, 0, 1))
    np.testing.assert_array_equal(found.images[5].numpy(), pixels(7, 6, 5, 3).transpose(2, 0, 1))


def test_sizes_and_channels(folder, capsys):
    Image.fromarray(pixels(0, 9, 9)).save(folder / "ok" / "9.png")  # grey and larger
    with pytest.raises(ValueError, match=r"9\.png' has 9 × 9 pixels and .*0\.png' 6 × 5: give the size"):
        load_image_folder(folder)
    assert load_image_folder(folder, size=(4, 8)).images.shape == (6, 3, 4, 8)
    grey = load_image_folder(folder, size=(9, 9), channels=1, progress=True)
    assert grey.images.shape == (6, 1, 9, 9)
    np.testing.assert_array_equal(grey.images[5, 0].numpy(), pixels(0, 9, 9))
    assert "reading parts" in capsys.readouterr().err


@pytest.mark.parametrize("keep", [0, 10, 60])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_damaged_file_is_named(folder, keep, suffix):
    whole = folder / "ok" / f"damaged.{suffix}"
    Image.fromarray(pixels(0, 6, 5, 3)).save(whole)
    whole.write_bytes(whole.read_bytes()[:keep])
    with pytest.raises(ValueError, match=rf"damaged\.{suffix}' cannot be read as an image"):
        load_image_folder(folder)


def test_folders_that_cannot_be_used(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*elsewhere"):
        load_image_folder(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="a folder for each of at least two classes, found none"):
        load_image_folder(folder / "ok")
    with pytest.raises(ValueError, match="at least two classes, found parts"):
        load_image_folder(tmp_path)
    with pytest.raises(ValueError, match=r"channels must be 3 \(colour\) or 1 \(grey\), got 4"):
        load_image_folder(folder, channels=4)
    (folder / "empty").mkdir()
    with pytest.raises(ValueError, match="empty' holds no image"):
        load_image_folder(folder)


@pytest.mark.parametrize("shape", [(4, 6, 5), (4, 1, 6, 5), (4, 3, 6, 5), (4, 6, 5, 3)], ids=str)
@pytest.mark.parametrize("names", [("images", "labels"), ("X", "y"), ("x", "y")], ids=str)
def test_arrays(tmp_path, shape, names):
    images, labels = pixels(0, *shape), np.array([[7], [3], [3], [7]])
    np.savez(tmp_path / "scans.npz", **dict(zip(names, (images, labels), strict=True)))
    found = load_image_arrays(tmp_path / "scans.npz")
    assert (found.title, found.classes, found.y.tolist()) == ("scans", ("3", "7"), [1, 0, 0, 1])
    expected = images.transpose(0, 3, 1, 2) if shape[-1] == 3 else images.reshape(4, -1, 6, 5)
    np.testing.assert_array_equal(found.images.numpy(), expected)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": np.arange(3)}, "holds no array named images or X or x; it has y"),
        ({"X": pixels(0, 3, 4, 4)}, "holds no array named labels or y; it has X"),
        ({"X": np.zeros((3, 4, 4)), "y": np.arange(3)}, r"must be uint8 \(0 … 255\), got float64"),
        ({"X": pixels(0, 3, 4), "y": np.arange(3)}, r"must have the shape .*, got \(3, 4\)"),
        ({"X": pixels(0, 3, 5, 4, 4), "y": np.arange(3)}, r"must have the shape .*, got \(3, 5, 4, 4\)"),
        ({"X": pixels(0, 3, 4, 4), "y": np.arange(4)}, r"a label for each of 3 images, got shape \(4,\)"),
        ({"X": pixels(0, 3, 4, 4), "y": np.ones(3)}, r"at least two classes, every label is \[1.0\]"),
        ({"X": pixels(0, 3, 4, 4), "y": np.array([{}, 1, 2])}, "cannot be read as a"),
    ],
    ids=range(8),
)
def test_arrays_that_cannot_be_used(tmp_path, arrays, message):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        load_image_arrays(tmp_path / "bad.npz")


def test_files_that_are_no_arrays(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        load_image_arrays(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no arrays")
    with pytest.raises(ValueError, match="cannot be read as a"):
        load_image_arrays(tmp_path / "text.npz")
    np.save(tmp_path / "one.npy", pixels(0, 3, 4, 4))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    with pytest.raises(ValueError, match="cannot be read as a"):
        load_image_arrays(tmp_path / "one.npz")


def test_hidden_folders_and_deep_values(folder):
    before = len(load_image_folder(folder))
    hidden = folder / "ok" / ".ipynb_checkpoints"
    hidden.mkdir()
    Image.fromarray(pixels(0, 6, 5, 3)).save(hidden / "0.png")
    assert len(load_image_folder(folder)) == before
    deep = np.arange(30, dtype=np.uint16).reshape(6, 5) * 1000
    Image.fromarray(deep).save(folder / "ok" / "deep.png")
    with pytest.raises(ValueError, match=r"deep\.png' cannot be read as an image: it has more than 8 bits"):
        load_image_folder(folder)


@pytest.mark.parametrize("size", [16, (16,), (16.5, 3), "a", (0, 3), (3, 3, 3)])
def test_sizes_that_are_none(size, tmp_path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / name / "0.png")
    with pytest.raises(ValueError, match=r"size=.* must be a pair|(height|width)=.* must be a whole number"):
        load_image_folder(tmp_path, size=size)


def test_more_images_than_memory_are_refused_before_it_is_full(tmp_path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / name / "0.png")
    with pytest.raises(ValueError, match=r"2 images of 1000000 × 900000 pixels take 5,400 GB, more than the"):
        load_image_folder(tmp_path, size=(1_000_000, 900_000))
