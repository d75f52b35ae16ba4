"""Images in the estimators: the default network, augmentation, mixing."""

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score

from metabalance import MetaBalanceClassifier, MetaWeightNetClassifier, NeuralClassifier
from metabalance.estimators.batches import Changes
from metabalance.nn import CropAndFlip, CutMix, Mixup, ResNet
from tests.estimators.conftest import QUICK


@pytest.fixture(scope="module")
def images():
    """Noise with a tint, channels first: 120 images of one class and 16 of two others each."""
    rng = np.random.default_rng(0)
    y = np.repeat(["red", "green", "blue"], [120, 16, 16])
    pixels = rng.integers(120, size=(len(y), 3, 8, 8))
    pixels[np.arange(len(y)), np.unique(y, return_inverse=True)[1]] += 60
    return pixels.astype(np.uint8), y


@pytest.mark.parametrize("estimator", [NeuralClassifier, MetaBalanceClassifier, MetaWeightNetClassifier])
def test_images_get_a_residual_network(images, estimator, tmp_path):
    X, y = images
    net = estimator(max_epochs=4, random_state=0, augment="crop-and-flip").fit(X, y)
    assert isinstance(net.module_, ResNet)
    assert balanced_accuracy_score(y, net.predict(X)) > 0.6
    net.save(tmp_path / "model")
    np.testing.assert_array_equal(estimator.load(tmp_path / "model").predict_proba(X), net.predict_proba(X))


@pytest.mark.parametrize("estimator", [NeuralClassifier, MetaBalanceClassifier])
@pytest.mark.parametrize(
    "options",
    [{"augment": "crop"}, {"augment": "crop-and-flip"}, {"mixing": "mixup"}, {"mixing": "cutmix"}],
    ids=str,
)
def test_every_change_changes_the_result_and_the_same_seed_does_not(images, estimator, options):
    X, y = images
    common = {"max_epochs": 1, "random_state": 0}
    default = estimator(**common).fit(X, y).predict_proba(X)
    changed, same = (estimator(**common, **options).fit(X, y).predict_proba(X) for _ in range(2))
    assert np.abs(default - changed).max() > 1e-4
    np.testing.assert_array_equal(changed, same)


def test_images_are_predicted_at_the_adapted_parameters_whatever_the_network(images):
    X, y = images
    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 3))
    net = MetaBalanceClassifier(module=flat, inner_lr=0.5, max_epochs=1, random_state=0).fit(X, y)
    auto = net.predict_proba(X)
    np.testing.assert_array_equal(auto, net.set_params(predict_with="adapted").predict_proba(X))
    assert np.abs(auto - net.set_params(predict_with="meta").predict_proba(X)).max() > 1e-3


def test_mixup_on_tables_with_one_part_held_out_by_all(binary):
    X, y = binary
    net = NeuralClassifier(mixing=Mixup(alpha=0.2), **QUICK).fit(X, y)
    prepared = net.prepare(X, y)
    assert prepared.holdouts is None
    assert prepared.valid is not None
    assert NeuralClassifier(**QUICK).prepare(X, y).holdouts is not None
    assert net.predict_proba(X).shape == (len(y), 2)


def test_names_mean_what_they_say():
    rows = torch.zeros(2, 3, 32, 40)
    changes = Changes.chosen("crop-and-flip", "cutmix", rows)
    assert isinstance(changes.augment, CropAndFlip)
    assert (changes.augment.padding, changes.augment.flip) == (4, True)
    assert isinstance(changes.mixing, CutMix)
    assert not Changes.chosen("crop", None, rows).augment.flip


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"augment": "flip"},
            ValueError,
            "augment must be one of 'crop-and-flip', 'crop', a callable",
        ),
        ({"augment": 3}, TypeError, "augment must be a name, a callable"),
        ({"augment": CropAndFlip}, TypeError, "augment must be a name, a callable"),
        ({"mixing": "mix"}, ValueError, "mixing must be one of 'mixup', 'cutmix'"),
        ({"mixing": 0.2}, TypeError, "mixing must be a name"),
        ({"augment": "crop"}, ValueError, r"augment='crop' is for images .* got rows of shape"),
        ({"mixing": "cutmix"}, ValueError, r"mixing='cutmix' is for images .* got rows of shape"),
        ({"mixing": CutMix()}, ValueError, r"mixing=CutMix\(alpha=1\) is for images"),
    ],
    ids=str,
)
def test_changes_that_cannot_be(binary, options, error, message):
    X, y = binary
    with pytest.raises(error, match=message):
        NeuralClassifier(**options, **QUICK).fit(X, y)


def test_channels_in_the_wrong_place_and_other_arrays(images):
    X, y = images
    with pytest.raises(ValueError, match=r"seems to have its channels last.*X\.transpose\(0, 3, 1, 2\)"):
        NeuralClassifier(**QUICK).fit(X.transpose(0, 2, 3, 1), y)
    with pytest.raises(ValueError, match=r"take tables .* and images .*got X of shape \(n, 24, 8\)"):
        NeuralClassifier(**QUICK).fit(X.reshape(len(X), 24, 8), y)
