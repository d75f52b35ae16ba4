import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metabalance.evaluation import identification_rates


def similarities(embeddings: np.ndarray) -> np.ndarray:
    """Cosines in float64, rounded so that those equal on paper are equal."""
    lengths = np.sqrt((embeddings.astype(np.float64) ** 2).sum(axis=1))
    return np.round(embeddings @ embeddings.T / np.outer(lengths, lengths), 6)


def identified(embeddings: np.ndarray, identity: np.ndarray, rank: int) -> dict[int, bool]:
    """Probe by probe: sort the others, ties to the probe's disadvantage, and look at the first ones."""
    similarity = similarities(embeddings)
    found = {}
    for probe in range(len(identity)):
        others = [image for image in range(len(identity)) if image != probe]
        if any(identity[image] == identity[probe] for image in others):
            others.sort(key=lambda i: (-similarity[probe, i], identity[i] == identity[probe]))
            found[probe] = any(identity[image] == identity[probe] for image in others[:rank])
    return found


def made_up(seed: int, n_images: int, n_people: int) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings on a coarse grid, so that many similarities are equal and no others are nearly so."""
    rng = np.random.default_rng(seed)
    embeddings = rng.integers(-2, 3, size=(n_images, 3))
    embeddings[(embeddings == 0).all(axis=1)] = 1
    identity = rng.integers(n_people, size=n_images)
    identity[:2] = 0  # at least one can be identified
    return embeddings, identity


@given(st.integers(0, 2**32 - 1), st.integers(2, 30), st.integers(1, 12), st.integers(1, 35))
def test_it_is_what_sorting_the_others_finds(seed, n_images, n_people, block):
    embeddings, identity = made_up(seed, n_images, n_people)
    ranks = sorted({1, (n_images + 1) // 2, n_images - 1})
    found = identification_rates(embeddings, identity, ranks=ranks, block=block)
    for rank in ranks:
        expected = identified(embeddings, identity, rank)
        assert found.rates[rank] == pytest.approx(np.mean(list(expected.values())))
    assert found.probes == len(expected)
    assert found.probes + found.excluded == n_images
    assert found.groups == {}


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_groups_share_the_gallery(seed, block):
    embeddings, identity = made_up(seed, 30, 8)
    group = np.array(["f", "m", "d"])[np.random.default_rng(seed).integers(3, size=30)]
    identity[:6] = [0, 0, 1, 1, 2, 2]
    group[:6] = ["f", "m", "m", "d", "d", "f"]
    found = identification_rates(embeddings, identity, group=group, ranks=(1, 2), block=block)
    assert list(found.groups) == ["d", "f", "m"]
    for rank in (1, 2):
        expected = identified(embeddings, identity, rank)
        rates = []
        for label, of_group in found.groups.items():
            hits = [hit for probe, hit in expected.items() if group[probe] == label]
            rates.append(np.mean(hits))
            assert of_group.rates[rank] == pytest.approx(rates[-1])
            assert of_group.probes == len(hits)
            assert of_group.probes + of_group.excluded == (group == label).sum()
        assert found.gap(rank) == pytest.approx(max(rates) - min(rates))


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_embeddings_of_many_dimensions(block):
    rng = np.random.default_rng(0)
    identity = rng.integers(40, size=200)
    embeddings = rng.normal(size=(200, 64)) + 0.4 * rng.normal(size=(40, 64))[identity]
    found = identification_rates(embeddings, identity, ranks=(1, 5), block=block)
    for rank in (1, 5):
        assert found.rates[rank] == np.mean(list(identified(embeddings, identity, rank).values()))
    assert 0.1 < found.rates[1] < found.rates[5] < 0.9


def test_ties_count_against_the_probe():
    same = np.ones((300, 512)) * np.random.default_rng(0).normal(size=512)
    found = identification_rates(same, np.arange(300) % 100, ranks=(1, 297, 298))
    assert found.rates == {1: 0.0, 297: 0.0, 298: 1.0}
    # A copy of the image under another name takes the first place, and the tie for it.
    rates = identification_rates([[1, 0], [1, 0], [1, 0]], ["a", "a", "b"], ranks=(1, 2)).rates
    assert rates == {1: 0.0, 2: 1.0}


def test_an_identity_of_one_image_is_gallery_only():
    found = identification_rates([[1, 0], [0, 1], [1, 0.1]], ["a", "a", "b"], ranks=(1, 2))
    assert (found.probes, found.excluded) == (2, 1)
    assert found.rates == {1: 0.0, 2: 1.0}


def test_a_group_may_have_its_second_images_in_another():
    found = identification_rates([[1, 0], [1, 0.1], [0, 1]], [5, 5, 6], group=[0, 1, 1])
    assert (found.groups[1].probes, found.groups[1].excluded) == (1, 1)
    assert found.gap() == 0.0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_the_tensors_device():
    embeddings, identity = made_up(0, 30, 8)
    on_gpu = torch.tensor(embeddings, dtype=torch.float32, device="cuda")
    expected = identification_rates(embeddings, identity, group=identity % 2, block=7)
    labels = torch.tensor(identity, device="cuda")
    assert identification_rates(on_gpu, labels, group=labels % 2, block=7) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ranks": ()}, r"ranks must be integers from 1 to 3, .* got \(\)"),
        ({"ranks": (0,)}, "ranks must be integers from 1 to 3"),
        ({"ranks": (1, 4)}, r"ranks must be integers from 1 to 3, the number of other images, got \(1, 4\)"),
        ({"ranks": (1.0,)}, "ranks must be integers"),
        ({"ranks": (True,)}, "ranks must be integers"),
        ({"block": 0}, "block must be an integer of at least 1"),
        ({"group": ["f"]}, r"group must have one label for each of the 4 embeddings, got shape \(1,\)"),
        ({"group": ["f", "f", None, "m"]}, "row 2 of group has no label"),
        ({"group": ["f", "f", "f", "m"]}, "every image of group 'm' is the only one of its identity"),
        ({"identity": [1, 2, 3, 4]}, "every image of the embeddings is the only one of its identity"),
    ],
    ids=range(10),
)
def test_wrong_arguments(options, message):
    arguments = {"embeddings": [[1, 0], [1, 1], [0, 1], [1, 2]], "identity": [1, 1, 2, 3]}
    with pytest.raises(ValueError, match=message):
        identification_rates(**{**arguments, **options})


def test_gaps_that_there_are_not():
    arguments = ([[1, 0], [1, 1], [0, 1]], [1, 1, 2])
    with pytest.raises(ValueError, match="give group to identification_rates"):
        identification_rates(*arguments).gap(1)
    with pytest.raises(ValueError, match=r"rates at the ranks \[1\], not at 2"):
        identification_rates(*arguments, group=[0, 0, 0]).gap(2)
