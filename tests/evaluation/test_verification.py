import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_curve
from tests.evaluation.test_identification import made_up, similarities

from metabalance.evaluation import verification_rates


def pairs(embeddings: np.ndarray, identity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of all pairs whether they are of one identity, and their similarity."""
    first, second = np.triu_indices(len(identity), k=1)
    return identity[first] == identity[second], similarities(embeddings)[first, second]


@given(st.integers(0, 2**32 - 1), st.integers(3, 30), st.integers(2, 12), st.integers(1, 35))
def test_it_is_the_roc_curve(seed, n_images, n_people, block):
    embeddings, identity = made_up(seed, n_images, n_people)
    identity[2] = n_people  # so that there is a pair to reject
    genuine, similarity = pairs(embeddings, identity)
    n_impostor = int((~genuine).sum())
    rates = sorted({1 / n_impostor, (n_impostor + 1) // 2 / n_impostor, (n_impostor - 0.5) / n_impostor})
    found = verification_rates(embeddings, identity, false_accept_rates=rates, block=block)
    assert (found.genuine_pairs, found.impostor_pairs) == (genuine.sum(), n_impostor)

    false, true, _ = roc_curve(genuine, similarity, drop_intermediate=False)
    for rate in rates:
        assert found.true_accept_rates[rate] == pytest.approx(true[false <= rate + 1e-12].max())
        accepted = similarity > found.thresholds[rate]
        assert accepted[genuine].mean() == pytest.approx(found.true_accept_rates[rate])
        assert accepted[~genuine].mean() <= rate + 1e-12
    curve_false, curve_true = found.roc
    np.testing.assert_allclose(curve_false, np.arange(len(curve_false)) / n_impostor)
    np.testing.assert_allclose(curve_true, [true[false <= rate + 1e-12].max() for rate in curve_false])
    assert curve_false[-1] <= rates[-1]


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_only_the_tail_of_the_impostors_is_kept(block):
    rng = np.random.default_rng(0)
    identity = rng.integers(40, size=200)
    embeddings = rng.normal(size=(200, 64)) + 0.7 * rng.normal(size=(40, 64))[identity]
    genuine, similarity = pairs(embeddings, identity)
    false, true, _ = roc_curve(genuine, similarity, drop_intermediate=False)
    found = verification_rates(embeddings, identity, block=block)
    assert list(found.true_accept_rates) == [1e-3, 1e-2]
    for rate, share in found.true_accept_rates.items():
        assert share == pytest.approx(true[false <= rate].max())
    assert len(found.roc[0]) == found.impostor_pairs // 100 + 1


@pytest.mark.parametrize(("rate", "reached"), [(0.29, 0.29), (1 - 1e-9, 0.99)], ids=str)
def test_rates_of_a_whole_number_of_pairs_but_for_rounding(rate, reached):
    embeddings = np.random.default_rng(0).normal(size=(15, 8))
    identity = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 6, 7, 8, 9]
    found = verification_rates(embeddings, identity, false_accept_rates=[rate])
    assert found.impostor_pairs == 100
    assert found.roc[0][-1] == reached  # 0.29 * 100 is below 29


def test_equal_embeddings_have_no_pair_accepted():
    same = np.ones((60, 512)) * np.random.default_rng(0).normal(size=512)
    found = verification_rates(same, np.arange(60) % 20, false_accept_rates=[0.01, 0.5])
    assert set(found.true_accept_rates.values()) == {0.0}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_the_tensors_device():
    embeddings, identity = made_up(0, 30, 8)
    on_gpu = torch.tensor(embeddings, dtype=torch.float32, device="cuda")
    expected = verification_rates(embeddings, identity, false_accept_rates=[0.1], block=7)
    found = verification_rates(on_gpu, identity, false_accept_rates=[0.1], block=7)
    assert found.true_accept_rates == expected.true_accept_rates


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"false_accept_rates": ()}, r"must hold at least one rate, got \(\)"),
        ({"false_accept_rates": (0.1,)}, "at least 0.2, one of the 5 pairs of two identities, got 0.1"),
        ({"false_accept_rates": (0.5, 1)}, "must be below 1 and at least 0.2, .* got 1"),
        ({"false_accept_rates": (np.nan,)}, "must be below 1 .* got nan"),
        ({"block": 0}, "block must be an integer of at least 1"),
        ({"identity": [1, 2, 3, 4]}, "no identity has two images, so there is no pair to accept"),
        ({"identity": [1, 1, 1, 1]}, "all images are of one identity, so there is no pair to reject"),
    ],
    ids=range(7),
)
def test_wrong_arguments(options, message):
    arguments = {
        "embeddings": [[1, 0], [1, 1], [0, 1], [1, 2]],
        "identity": [1, 1, 2, 3],
        "false_accept_rates": [0.5],
    }
    with pytest.raises(ValueError, match=message):
        verification_rates(**{**arguments, **options})
