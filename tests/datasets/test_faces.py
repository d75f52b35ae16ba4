"""Recipes for persons and groups, and folders of persons."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from metabalance.datasets import load_identity_folder, split_identities, thin_group


@st.composite
def people(draw):
    """Identity and group of each row, in random order; at least two identities of each of two groups."""
    sizes = draw(st.lists(st.integers(1, 30), min_size=4, max_size=20))
    identities = draw(st.permutations(range(100, 100 + len(sizes))))
    order = np.random.default_rng(draw(st.integers(0, 9))).permutation(sum(sizes))
    identity = np.repeat(identities, sizes)[order]
    return identity, identity % 2


@given(people(), st.integers(1, 20), st.integers(1, 5), st.integers(0, 3))
def test_identities_are_on_one_side(data, n_test, min_images, seed):
    identity, group = data
    names, sizes = np.unique(identity, return_counts=True)
    able = np.bincount(names[sizes >= min_images] % 2, minlength=2)
    wanted = np.array([(n_test + 1) // 2, n_test // 2])
    if (wanted > able).any() or n_test == len(names):
        with pytest.raises(ValueError, match="lower"):
            split_identities(identity, group, n_test=n_test, min_images=min_images, random_state=seed)
        return
    train, test = split_identities(identity, group, n_test=n_test, min_images=min_images, random_state=seed)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(len(identity)))
    np.testing.assert_array_equal(train, np.sort(train))
    np.testing.assert_array_equal(test, np.sort(test))
    tested, counts = np.unique(identity[test], return_counts=True)
    assert not set(tested) & set(identity[train])
    np.testing.assert_array_equal(np.bincount(tested % 2, minlength=2), wanted)
    assert counts.min() >= min_images
    again = split_identities(identity, group, n_test=n_test, min_images=min_images, random_state=seed)
    np.testing.assert_array_equal(test, again[1])


def test_every_identity_is_drawn_now_and_then():
    identity = np.repeat(np.arange(6), 2)
    rng = np.random.default_rng(0)
    drawn = [
        frozenset(identity[split_identities(identity, identity % 2, n_test=2, random_state=rng)[1]])
        for _ in range(100)
    ]
    assert len(set(drawn)) == 9


def test_identities_and_groups_may_be_texts():
    identity = ["ann", "bob", "ann", "cy", "cy", "bob", "di"]
    group = ["w", "m", "w", "m", "m", "m", "w"]
    train, test = split_identities(identity, group, n_test=2, random_state=0)
    assert {"ann", "di"} & {identity[row] for row in train} == {"di"}
    assert len(test) == 4
    kept = thin_group(identity, group, thinned="w", at_least=1, random_state=0)
    assert [identity[row] for row in kept].count("ann") == 1


@given(people(), st.floats(0, 1), st.integers(1, 5), st.integers(0, 1), st.integers(0, 3))
def test_so_many_of_each_are_left(data, keep, at_least, thinned, seed):
    identity, group = data
    if thinned not in group:
        with pytest.raises(ValueError, match="no row has the label"):
            thin_group(identity, group, thinned=thinned, random_state=seed)
        return
    options = {"thinned": thinned, "keep": keep, "at_least": at_least}
    rows = thin_group(identity, group, **options, random_state=seed)
    np.testing.assert_array_equal(rows, np.unique(rows))
    for name in np.unique(identity):
        before, after = (identity == name).sum(), (identity[rows] == name).sum()
        expected = min(before, max(at_least, round(keep * before))) if name % 2 == thinned else before
        assert after == expected
    np.testing.assert_array_equal(rows, thin_group(identity, group, **options, random_state=seed))


def test_every_image_is_kept_now_and_then():
    identity = np.repeat([0, 1], 10)
    rng = np.random.default_rng(0)
    kept = np.concatenate([thin_group(identity, identity, thinned=0, random_state=rng) for _ in range(300)])
    counts = np.bincount(kept)
    assert (counts[10:] == 300).all()
    assert counts[:10].sum() == 600
    assert counts[:10].min() > 30


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"group": [0, 1, 1, 1]}, "identity 7 is in several groups"),
        ({"group": [0, 0, 1]}, "there are 4 identities and 3 groups"),
        ({"identity": [7, None, 8, 8]}, "1 of 4 labels are missing"),
        ({"identity": []}, r"identity must be one label per row, got shape \(0,\)"),
        ({"n_test": 0}, "n_test=0 must be a whole number of at least 1"),
        ({"min_images": 1.5}, "min_images=1.5 must be a whole number"),
        ({"n_test": 3}, "group 0 has 1 identities with at least min_images=2 rows, fewer than its 2 of n_t"),
        ({"n_test": 2}, "n_test=2 leaves no identity for training"),
    ],
)
def test_splits_that_cannot_be_made(change, message):
    given = {"identity": [7, 7, 8, 8], "group": [0, 0, 1, 1], "n_test": 1, **change}
    with pytest.raises(ValueError, match=message):
        split_identities(given.pop("identity"), given.pop("group"), **given)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"thinned": 2}, "no row has the label 2; there are 0, 1"),
        ({"keep": 1.1}, "keep=1.1 must lie between 0 and 1"),
        ({"keep": float("nan")}, "keep=nan must lie between 0 and 1"),
        ({"at_least": 0}, "at_least=0 must be a whole number of at least 1"),
    ],
)
def test_groups_that_cannot_be_thinned(change, message):
    with pytest.raises(ValueError, match=message):
        thin_group([7, 7, 8, 8], [0, 0, 1, 1], **{"thinned": 0, **change})


def pixels(seed):
    return np.random.default_rng(seed).integers(256, size=(6, 5, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    for name, seeds in (("Cy_C", [1, 2]), ("Ann_A", [3]), ("Bob_B", [4, 5])):
        (tmp_path / "lfw" / name / "more").mkdir(parents=True)
        for seed in seeds:
            Image.fromarray(pixels(seed)).save(tmp_path / "lfw" / name / "more" / f"{seed}.png")
    return tmp_path / "lfw"


@pytest.fixture
def table(tmp_path):
    file = tmp_path / "gender.csv"
    file.write_text("name,gender\nBob_B, male\nAnn_A,female\nEve_E,unknown\nCy_C,male\nBob_B,male\n")
    return file


def test_a_folder_for_each_identity(folder, table, capsys):
    (folder / ".thumbnails").mkdir()
    (folder / "notes.txt").write_text("no identity")
    faces = load_identity_folder(folder, table, progress=True)
    assert faces.title == "lfw"
    assert faces.identity.tolist() == [0, 1, 1, 2, 2]
    assert faces.group.tolist() == [0, 1, 1, 1, 1]
    assert (faces.identity.dtype, faces.group.dtype) == (np.int64, np.int64)
    assert faces.group_names == ("female", "male")
    assert faces.names[:2] == ("Ann_A/more/3.png", "Bob_B/more/4.png")
    expected = np.stack([pixels(seed).transpose(2, 0, 1) for seed in (3, 4, 5, 1, 2)])
    np.testing.assert_array_equal(faces.images.numpy(), expected)
    assert "reading lfw" in capsys.readouterr().err
    assert load_identity_folder(folder, table, size=(4, 3)).images.shape == (5, 3, 4, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,gender\nAnn_A,f\n", "no line for 2 identities: 'Bob_B', 'Cy_C'"),
        ("name,gender\nAnn_A,f\nBob_B,m\nCy_C,m\nBob_B,f\n", "1 identities in several groups: 'Bob_B'"),
        (
            "name,gender\nAnn_A,f\nBob_B,\nCy_C, \n",
            "2 lines without an identity or a group, the first in row 2",
        ),
        ("name\nAnn_A\n", "must have two columns, identity and group; it has 'name'"),
    ],
)
def test_groups_that_cannot_be_used(folder, table, text, message):
    table.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_identity_folder(folder, table)


def test_folders_that_cannot_be_used(folder, table, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*elsewhere"):
        load_identity_folder(tmp_path / "elsewhere", table)
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_identity_folder(folder, tmp_path / "none.csv")
    with pytest.raises(ValueError, match="at least two identities, found 1"):
        load_identity_folder(tmp_path, table)
    (folder / "Eve_E").mkdir()
    with pytest.raises(ValueError, match="Eve_E' holds no image"):
        load_identity_folder(folder, table)
