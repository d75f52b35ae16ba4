"""CelebA in all its layouts, made small, and damaged in all its parts."""

import io
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from metabalance.datasets import load_celeba, pixels
from metabalance.datasets.image_source import open_images

# Image, identity, Male, Young; identity 9 is male in half of its images, 3 in most.
LINES = [
    ("03.png", 3, 1, 1),
    ("01.png", 9, 1, 1),
    ("02.png", 9, -1, -1),
    ("04.png", 3, -1, 1),
    ("05.png", 3, 1, -1),
    ("06.png", 5, -1, -1),
]
NAMES = [line[0] for line in LINES]
SIZE = (6, 5)


@pytest.fixture(autouse=True)
def _no_data_folder(monkeypatch):
    monkeypatch.delenv("METABALANCE_DATA", raising=False)


def picture(name, mode="RGB"):
    values = np.random.default_rng(int(name[:2])).integers(256, size=(*SIZE, 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


def expected(names=NAMES):
    return np.stack([np.asarray(picture(name)).transpose(2, 0, 1) for name in names])


def content(name):
    file = io.BytesIO()
    picture(name).save(file, "png")
    return file.getvalue()


def write_identities(folder):
    lines = [f"{name} {identity}" for name, identity, *_ in LINES]
    (folder / "identity_CelebA.txt").write_text("\r\n".join(lines) + "\r\n")


def write_attributes(folder):
    lines = [f"{name} {male:2d}  {young:2d} " for name, _, male, young in LINES[::-1]]
    (folder / "list_attr_celeba.txt").write_text("\n".join(["6", "Male Young ", *lines]) + "\n")


def write_images(folder, names=NAMES):
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(content(name))


def write_archive(path, inner="", names=NAMES):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{inner}notes.txt", "no image")
        for name in names:
            archive.writestr(inner + name, content(name))


@pytest.fixture
def annotated(tmp_path):
    """A folder of the annotation, without images."""
    folder = tmp_path / "celeba"
    folder.mkdir()
    write_identities(folder)
    write_attributes(folder)
    return folder


@pytest.fixture
def folder(annotated):
    write_images(annotated / "img_align_celeba")
    return annotated


def check(faces):
    np.testing.assert_array_equal(faces.images.numpy(), expected())
    assert faces.names == tuple(NAMES)
    assert faces.identity.tolist() == [3, 9, 9, 3, 3, 5]
    assert faces.group.tolist() == [1, 0, 0, 1, 1, 0]
    assert (faces.identity.dtype, faces.group.dtype) == (np.int64, np.int64)
    assert faces.group_names == ("female", "male")


@pytest.mark.parametrize("below", [True, False])
def test_a_folder_of_images(folder, below):
    faces = load_celeba(folder.parent if below else folder, size=SIZE)
    check(faces)
    assert faces.title == "CelebA (img_align_celeba)"
    assert len(faces) == 6


def test_the_folders_of_its_authors(tmp_path):
    (tmp_path / "Anno").mkdir()
    write_identities(tmp_path / "Anno")
    write_attributes(tmp_path / "Anno")
    write_images(tmp_path / "Img" / "img_align_celeba")
    check(load_celeba(tmp_path, size=None))


@pytest.mark.parametrize("file", ["img_align_celeba.zip", "crops.zip", "Img/img_align_celeba.zip"])
@pytest.mark.parametrize("inner", ["", "img_align_celeba/"])
def test_an_archive_stays_packed(annotated, file, inner, monkeypatch):
    write_archive(annotated / file, inner)
    monkeypatch.setenv("METABALANCE_DATA", str(annotated.parent))
    faces = load_celeba(size=SIZE, n_jobs=2)
    check(faces)
    assert faces.title == f"CelebA ({file.rpartition('/')[2][:-4]})"
    assert not list(annotated.rglob("*.png"))


def test_images_that_are_not_annotated_are_passed_over(folder):
    (folder / "img_align_celeba" / "99.png").write_bytes(b"no image")
    (folder / "unused.zip").write_bytes(b"no archive")
    check(load_celeba(folder, size=SIZE))


def test_images_are_resized_and_made_coloured(folder, capsys):
    picture("02.png", "L").save(folder / "img_align_celeba" / "02.png")
    images = load_celeba(folder, size=(12, 8), progress=True).images.numpy()
    assert images.shape == (6, 3, 12, 8)
    resized = picture("01.png").resize((8, 12), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(images[1], np.asarray(resized).transpose(2, 0, 1))
    np.testing.assert_array_equal(images[2, 0], images[2, 2])
    assert "reading img_align_celeba" in capsys.readouterr().err


def test_more_images_than_are_read_at_a_time(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(pixels, "AT_A_TIME", 4)
    check(load_celeba(folder, size=SIZE))
    check(load_celeba(folder, size=SIZE, cache=tmp_path / "cache"))


def test_another_attribute(folder):
    faces = load_celeba(folder, size=SIZE, attribute="Young")
    assert faces.group_names == ("not Young", "Young")
    assert faces.group.tolist() == [1, 0, 0, 1, 1, 0]
    with pytest.raises(ValueError, match="has no attribute 'Old'; it has Male, Young"):
        load_celeba(folder, attribute="Old")


def test_rare_identities_are_left_out(folder):
    assert load_celeba(folder, size=SIZE, at_least=2).names == tuple(NAMES[:5])
    with pytest.raises(ValueError, match=r"no image of 6 .* is left with at_least=4"):
        load_celeba(folder, at_least=4)


def test_uncertain_crops_are_left_out_first(folder):
    with pytest.raises(FileNotFoundError, match=r"holds no crops\.csv"):
        load_celeba(folder, min_detector_weight=4)
    weights = dict(zip(NAMES, [3.9, 9, 4, 8, 8, 8], strict=True))
    table = folder / "crops.csv"
    table.write_text("image,detector_weight\n" + "".join(f"{n},{w}\n" for n, w in weights.items()))
    faces = load_celeba(folder, size=SIZE, min_detector_weight=4, at_least=2)
    assert faces.names == tuple(NAMES[1:5])
    assert faces.group.tolist() == [0, 0, 1, 1]  # of all images: of these, 3 is male in one of two
    assert len(load_celeba(folder, size=SIZE, min_detector_weight=8.5)) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,weight\n01.png,3\n", "must have the columns image and detector_weight, it has 'image', 'we"),
        ("image,detector_weight\n01.png,3\n02.png,high\n", "no detector_weight for 5 images: '03.png', '02"),
    ],
)
def test_weights_that_cannot_be_used(folder, text, message):
    (folder / "crops.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_celeba(folder, min_detector_weight=4)


def test_pixels_are_decoded_once(folder, tmp_path, monkeypatch):
    cache = tmp_path / "deep" / "cache"
    check(load_celeba(folder, size=SIZE, cache=cache))
    (file,) = cache.iterdir()
    assert file.name.startswith("celeba-6x5-")
    np.testing.assert_array_equal(np.load(file), expected())

    def no_image(*_, **__):
        raise AssertionError("an image is decoded again")

    with monkeypatch.context() as patched:
        patched.setattr(pixels, "read_image", no_image)
        check(load_celeba(folder, size=SIZE, cache=cache))
    # An image that has changed, other images and another size are read anew.
    picture("05.png").save(folder / "img_align_celeba" / "01.png")
    changed = load_celeba(folder, size=SIZE, cache=cache)
    np.testing.assert_array_equal(changed.images[1].numpy(), expected(["05.png"])[0])
    assert len(load_celeba(folder, size=SIZE, at_least=3, cache=cache)) == 3
    assert load_celeba(folder, size=(3, 3), cache=cache).images.shape == (6, 3, 3, 3)
    assert len(list(cache.iterdir())) == 4


def test_an_archive_may_move_and_keep_its_pixels(annotated, tmp_path, monkeypatch):
    write_archive(annotated / "a.zip")
    cache = tmp_path / "cache"
    check(load_celeba(annotated, size=SIZE, cache=cache))
    (annotated / "a.zip").rename(annotated / "b.zip")
    check(load_celeba(annotated, size=SIZE, cache=cache))
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize("end", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_call_leaves_no_file(folder, tmp_path, monkeypatch, end):
    read = pixels.read_image

    def interrupted(*given, name, **options):
        if name == NAMES[4]:
            raise end
        return read(*given, name=name, **options)

    monkeypatch.setattr(pixels, "read_image", interrupted)
    monkeypatch.setattr(pixels, "AT_A_TIME", 2)
    with pytest.raises(end):
        load_celeba(folder, size=SIZE, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_damaged_file_of_pixels_is_named(folder, tmp_path):
    cache = tmp_path / "cache"
    load_celeba(folder, size=SIZE, cache=cache)
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    for damaged in (whole[:-1], whole[:50], b"", whole + b"\0"):
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"{file.name} is damaged.* delete it"):
            load_celeba(folder, size=SIZE, cache=cache)
    np.save(file, expected()[:, :, :5])
    with pytest.raises(ValueError, match=r"is damaged: it should hold uint8 of shape \(6, 3, 6, 5\)"):
        load_celeba(folder, size=SIZE, cache=cache)
    file.unlink()
    check(load_celeba(folder, size=SIZE, cache=cache))


def test_a_folder_that_cannot_be_written_to(folder, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ValueError, match=r"cannot write .* choose a folder you can write to, with 0.0 GB"):
        load_celeba(folder, size=SIZE, cache=tmp_path / "file")


@pytest.mark.parametrize("packed", [False, True])
def test_missing_images_are_named(annotated, packed):
    if packed:
        write_archive(annotated / "x.zip", names=NAMES[2:])
    else:
        write_images(annotated / "img_align_celeba", NAMES[2:])
    with pytest.raises(ValueError, match=r"lacks 2 of 6 images: '03\.png', '01\.png'; get them"):
        load_celeba(annotated, size=SIZE)


@pytest.mark.parametrize("cached", [False, True])
def test_broken_images_are_named(folder, tmp_path, cached):
    images = folder / "img_align_celeba"
    (images / "01.png").write_bytes(b"no image")
    (images / "05.png").write_bytes(content("05.png")[:60])
    cache = tmp_path / "cache"
    with pytest.raises(
        ValueError, match=r"2 of 6 images are broken, '01\.png', '05\.png': .*; '01\.png' cannot be read as"
    ):
        load_celeba(folder, size=SIZE, cache=cache if cached else None)
    assert not cache.exists() or list(cache.iterdir()) == []


def test_an_image_that_is_gone_meanwhile(folder):
    with open_images(folder / "img_align_celeba") as source:
        (folder / "img_align_celeba" / "01.png").unlink()
        with pytest.raises(ValueError, match=r"'01\.png' cannot be read: No such file"):
            source.read("01.png")


def test_a_link_to_nowhere_is_no_image(folder):
    file = folder / "img_align_celeba" / "01.png"
    file.unlink()
    file.symlink_to("nowhere.png")
    with pytest.raises(ValueError, match=r"lacks 1 of 6 images: '01\.png'"):
        load_celeba(folder, size=SIZE)


def test_a_broken_image_in_an_archive(annotated):
    write_archive(annotated / "x.zip")
    damaged = (annotated / "x.zip").read_bytes()
    place = damaged.index(b"04.png") + 20
    (annotated / "x.zip").write_bytes(damaged[:place] + bytes(20) + damaged[place + 20 :])
    with pytest.raises(ValueError, match=r"1 of 6 images are broken, '04\.png': .*'04\.png' cannot be read"):
        load_celeba(annotated, size=SIZE)


def test_images_of_several_sizes(folder):
    picture("02.png").resize((9, 9)).save(folder / "img_align_celeba" / "02.png")
    with pytest.raises(ValueError, match=r"'02\.png' has 9 × 9 pixels and '03\.png' 6 × 5: give the size"):
        load_celeba(folder, size=None)


@pytest.mark.parametrize("size", [112, (112,), (0, 5), (5.0, 5), "ab"])
def test_sizes_that_are_none(folder, size):
    with pytest.raises(ValueError, match=r"must be a (pair|whole number)"):
        load_celeba(folder, size=size)


def test_archives_that_cannot_be_used(annotated):
    with pytest.raises(FileNotFoundError, match="neither a folder img_align_celeba nor a zip archive"):
        load_celeba(annotated)
    (annotated / "x.zip").write_text("no archive")
    with pytest.raises(ValueError, match=r"x\.zip cannot be read as a zip archive"):
        load_celeba(annotated)
    with zipfile.ZipFile(annotated / "x.zip", "w") as archive:
        archive.writestr("a/01.png", b"")
        archive.writestr("b/01.png", b"")
    with pytest.raises(ValueError, match=r"two images 01\.png: a/01\.png and b/01\.png"):
        load_celeba(annotated)
    shutil.copy(annotated / "x.zip", annotated / "y.zip")
    with pytest.raises(
        ValueError, match=r"several zip archives, 'x\.zip', 'y\.zip': keep that of the images"
    ):
        load_celeba(annotated)


def test_where_to_get_it(tmp_path, annotated):
    with pytest.raises(FileNotFoundError, match="no folder of data is given: get the annotation"):
        load_celeba()
    with pytest.raises(FileNotFoundError, match=r"holds no identity_CelebA\.txt: get .* from https"):
        load_celeba(tmp_path / "elsewhere")
    (annotated / "list_attr_celeba.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no list_attr_celeba\.txt"):
        load_celeba(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("01.png 3\n\n02.png\n", "line 3 is not an image and its identity: '02.png'"),
        ("01.png three\n", "line 1 is not an image and its identity: '01.png three'"),
        ("01.png 3 4\n", "line 1 is not an image and its identity: '01.png 3 4'"),
        ("01.png 9999999999999999999\n", "line 1 is not an image and its identity"),
        ("01.png 3\n01.png 4\n", r"line 2 has 01\.png for the second time"),
        ("\0\xff" * 200, "line 1 is not an image and its identity: .*…'"),
        ("01.png 3\n07.png 3\n", r"1 images of identity_CelebA\.txt have no line in list_attr.*: '07\.png'"),
        ("", "names no image: it is empty"),
    ],
)
def test_identities_that_cannot_be_read(folder, text, message):
    (folder / "identity_CelebA.txt").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=message):
        load_celeba(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1 is not the number of images: ''"),
        ("Male Young\n01.png 1 1\n", "line 1 is not the number of images: 'Male Young'"),
        ("2\n", "has no attribute 'Male'; it has none"),
        ("2\nMale Young\n01.png 1 1\n02.png 1\n", "line 4 .* -1 or 1 for each of 2 attributes: '02.png 1'"),
        ("2\nMale Young\n01.png 1 0\n02.png 1 1\n", "line 3 .* -1 or 1 for each of 2 attributes: '01.png 1"),
        ("2\nMale Young\n01.png 1 1\n01.png 1 1\n", r"line 4 has 01\.png for the second time"),
        ("7\nMale Young\n01.png 1 1\n", "has 1 images, not the 7 of its first line"),
    ],
)
def test_attributes_that_cannot_be_read(folder, text, message):
    (folder / "list_attr_celeba.txt").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_celeba(folder)


def test_the_real_crops(data_root):
    if not (data_root / "celeba").is_dir():
        pytest.skip("there is no folder celeba in METABALANCE_DATA")
    faces = load_celeba(data_root, size=(8, 8))
    assert len(faces) == 5357
    assert len(np.unique(faces.identity)) == 298
    frequent = load_celeba(data_root, size=(8, 8), at_least=10)
    first = np.unique(frequent.identity, return_index=True)[1]
    assert np.bincount(frequent.group[first]).tolist() == [141, 103]
