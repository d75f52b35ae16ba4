"""Embeddings: what the last layer sees, at the parameters that predict, and people told apart by them."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer
from torch import nn

from metabalance import FaceEmbedder, MetaBalanceClassifier, NeuralClassifier
from metabalance.evaluation import identification_rates
from metabalance.training import embed_rows
from tests.estimators.conftest import QUICK

SHORT = {name: value for name, value in QUICK.items() if name in ("max_epochs", "random_state", "device")}


@pytest.fixture(scope="module")
def people():
    """A pattern for each of 12 people under noise, women with few images; four are not trained on."""
    rng = np.random.default_rng(0)
    identity = np.repeat(np.arange(12), [*[4, 16] * 4, *[12] * 4])
    patterns = rng.integers(256, size=(12, 3, 8, 8))
    images = (patterns[identity] + rng.integers(256, size=(len(identity), 3, 8, 8))) // 2
    names = np.array([f"person {k}" for k in identity])
    known = identity < 8
    return images.astype(np.uint8), names, np.where(identity % 2, "m", "f"), known


@pytest.fixture(scope="module")
def embedder(people):
    images, names, sex, known = people
    return FaceEmbedder(MetaBalanceClassifier(**SHORT, query_sampler="over", loss="cosface_focal")).fit(
        images[known], names[known], balance_by=sex[known]
    )


def test_new_people_are_told_apart(embedder, people) -> None:
    images, names, sex, known = people
    embedded = embedder.transform(images[~known])
    assert embedded.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embedded, axis=1), 1, rtol=1e-5)
    found = identification_rates(embedded, names[~known], group=sex[~known])
    assert found.rates[1] > 0.6  # a quarter is chance
    assert set(found.groups) == {"f", "m"}


def test_embeddings_are_those_of_the_parameters_that_predict(embedder, people) -> None:
    images, *_ = people
    classifier = embedder.classifier_
    assert classifier.adapted_parameters_ is not None
    x = torch.from_numpy(classifier.encoder_.transform(images))
    net = copy.deepcopy(classifier.module_).eval()
    net.load_state_dict(classifier.adapted_parameters_, strict=False)
    expected = nn.functional.normalize(net.embed(x)).detach().numpy()
    np.testing.assert_allclose(classifier.embed(images), expected, rtol=1e-4, atol=1e-5)
    at_theta = nn.functional.normalize(classifier.module_.embed(x)).detach().numpy()
    assert not np.allclose(classifier.embed(images), at_theta, atol=1e-4)
    plain = NeuralClassifier(**SHORT).fit(images, people[1])
    found = nn.functional.normalize(plain.module_.embed(torch.from_numpy(plain.encoder_.transform(images))))
    np.testing.assert_allclose(plain.embed(images), found.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_a_saved_embedder_embeds_alike(embedder, people, tmp_path) -> None:
    images, *_ = people
    embedder.save(tmp_path / "model")
    loaded = FaceEmbedder.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.transform(images), embedder.transform(images))
    assert loaded.get_feature_names_out().tolist() == embedder.get_feature_names_out().tolist()


def test_it_is_a_transformer(embedder, people) -> None:
    images, names, _, known = people
    assert embedder.get_feature_names_out()[:2].tolist() == ["faceembedder0", "faceembedder1"]
    framed = clone(embedder).set_output(transform="pandas").fit(images[known], names[known])
    assert isinstance(framed.transform(images), pd.DataFrame)
    pipeline = make_pipeline(FaceEmbedder(NeuralClassifier(**SHORT)), Normalizer())
    assert pipeline.fit(images[known], names[known]).transform(images[:3]).shape == (3, 32)
    default = FaceEmbedder()
    assert default.get_params() == {"classifier": None}


class Own(nn.Module):
    def __init__(self, n_outputs: int) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(3, 5), nn.Linear(5, n_outputs)

    def embed(self, x):
        return self.body(x)

    def forward(self, x):
        return self.head(self.embed(x))


def test_a_network_of_ones_own(three_classes) -> None:
    X, y = three_classes
    model = FaceEmbedder(NeuralClassifier(**SHORT, module=Own)).fit(X[:, :3], y)
    assert model.transform(X[:7, :3]).shape == (7, 5)
    assert model.transform(X[:0, :3]).shape == (0, 5)


def test_errors(three_classes, people) -> None:
    X, y = three_classes
    images, *_ = people
    with pytest.raises(
        TypeError, match=r"X of shape \(400, 6\) gets a network without embeddings: pass images"
    ):
        FaceEmbedder(NeuralClassifier(**QUICK)).fit(X, y)
    with pytest.raises(TypeError, match=r"module=<class '.*Linear'> has no method embed"):
        FaceEmbedder(NeuralClassifier(**QUICK, module=nn.Linear)).fit(X, y)
    with pytest.raises(TypeError, match="classifier must be a MetaBalanceClassifier, NeuralClassifier, Meta"):
        FaceEmbedder(nn.Linear(2, 2)).fit(images, people[1])
    with pytest.raises(TypeError, match="TableNetwork has no method embed"):
        NeuralClassifier(**QUICK).fit(X, y).embed(X)
    with pytest.raises(NotFittedError):
        FaceEmbedder().transform(images)
    broken = Own(3)
    with torch.no_grad():
        broken.body.weight.zero_()
        broken.body.bias.zero_()
    with pytest.raises(
        FloatingPointError, match="embeddings are 0, NaN or infinite for 2 of 2 rows, the first in row 0"
    ):
        embed_rows(broken, torch.ones(2, 3))


def test_the_default_is_the_recipe_of_the_paper(people, monkeypatch) -> None:
    images, names, sex, known = people
    monkeypatch.setattr(MetaBalanceClassifier, "fit", lambda self, *_: self)
    monkeypatch.setattr(FaceEmbedder, "_keep", lambda self, classifier: setattr(self, "kept", classifier))
    kept = FaceEmbedder().fit(images[known], names[known], sex[known]).kept
    assert kept.loss == "cosface_focal"
    assert (kept.support_sampler, kept.query_sampler) == ("natural", "over")
