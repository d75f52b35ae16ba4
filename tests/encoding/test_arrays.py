"""Images and sequences: standardised by the training part, checked, restored from JSON."""

import json

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from metabalance.encoding.arrays import ArrayEncoder


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    scale = np.array([1.0, 20.0, 0.1]).reshape(1, 3, 1, 1)
    return rng.normal(5.0, scale, size=(2500, 3, 4, 4))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_images_are_standardised_per_channel(images: np.ndarray) -> None:
    encoded = ArrayEncoder().fit(images).transform(images)
    assert encoded.dtype == np.float32
    expected = (images - images.mean((0, 2, 3), keepdims=True)) / images.std((0, 2, 3), keepdims=True)
    np.testing.assert_allclose(encoded, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(30, 6, 5), (30, 2, 3, 4, 5)])
def test_other_shapes_are_standardised_as_a_whole(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    X = rng.integers(0, 256, size=shape, dtype=np.uint8)
    encoded = ArrayEncoder().fit(X).transform(X)
    np.testing.assert_allclose(encoded, (X - X.mean()) / X.std(), rtol=1e-4, atol=1e-5)


def test_the_training_part_alone_decides(images: np.ndarray) -> None:
    encoder = ArrayEncoder().fit(images[:100])
    alone = encoder.transform(images[100:101])
    together = encoder.transform(images)[100:101]
    np.testing.assert_array_equal(alone, together)


def test_a_constant_channel_becomes_zero(images: np.ndarray) -> None:
    images[:, 1] = 0.1
    encoder = ArrayEncoder().fit(images)
    assert not encoder.transform(images)[:, 1].any()
    assert not encoder.transform(images + 1.0)[:, 1].any()


def test_json_round_trip_is_bit_identical(images: np.ndarray) -> None:
    images[:, 1] = 3.0
    encoder = ArrayEncoder().fit(images)
    state = json.loads(json.dumps(encoder.to_state(), allow_nan=False))
    restored = ArrayEncoder.from_state(state)
    np.testing.assert_array_equal(restored.transform(images), encoder.transform(images))
    assert restored.shape_in_ == (3, 4, 4)
    assert restored.n_features_in_ == restored.n_outputs_ == 48
    assert restored.feature_names_in_ is None
    assert restored.categorical_outputs_ is None


def test_no_rows_at_transform_keep_the_shape(images: np.ndarray) -> None:
    assert ArrayEncoder().fit(images).transform(images[:0]).shape == (0, 3, 4, 4)


def test_other_row_shapes_are_refused(images: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"rows of shape \(3, 4, 2\), but .* rows of shape \(3, 4, 4\)"):
        ArrayEncoder().fit(images).transform(images[..., :2])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_values_that_are_no_numbers_are_counted(images: np.ndarray, bad: float) -> None:
    encoder = ArrayEncoder().fit(images)
    images[7, 0, 0, :2] = bad
    with pytest.raises(ValueError, match="X holds 2 values that are NaN, infinity"):
        encoder.transform(images)
    with pytest.raises(ValueError, match="nan_to_num"):
        ArrayEncoder().fit(images)


def test_bad_input_to_fit() -> None:
    with pytest.raises(ValueError, match="at least 3 dimensions, got shape"):
        ArrayEncoder().fit(np.zeros((4, 2)))
    with pytest.raises(ValueError, match="at least one row"):
        ArrayEncoder().fit(np.zeros((0, 2, 2)))
    with pytest.raises(TypeError, match="real numbers, but X has dtype"):
        ArrayEncoder().fit(np.full((2, 2, 2), "a"))


def test_unfitted_encoders_say_so() -> None:
    with pytest.raises(NotFittedError, match="call fit"):
        ArrayEncoder().transform(np.zeros((1, 2, 2)))
    with pytest.raises(NotFittedError, match="no state"):
        ArrayEncoder().to_state()
