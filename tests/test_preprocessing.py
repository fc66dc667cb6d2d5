"""Rescaling and Normalization: ranges, moments of long data and of batches, errors."""

import numpy as np
import pytest

from nnfast import layers
from nnfast.errors import DataError, ShapeError

RNG = np.random.default_rng(3)


def test_rescaling() -> None:
    bytes_ = np.array([[0, 51, 255]], np.uint8)
    y = layers.Rescaling(1 / 255, offset=-0.5)(bytes_)
    assert y.dtype == "float32"
    np.testing.assert_allclose(y, [[-0.5, -0.3, 0.5]], rtol=1e-6)
    np.testing.assert_allclose(layers.Rescaling([1.0, 2.0], [3.0, 4.0])(np.ones((1, 2), "float32")), [[4.0, 6.0]])


def moments(x, axes):
    x = x.astype(float)
    return x.mean(axes, keepdims=True), x.var(axes, keepdims=True)


@pytest.mark.parametrize(
    ("axis", "summed"), [(-1, (0, 1, 2)), (3, (0, 1, 2)), (1, (0, 2, 3)), ((1, -1), (0, 2)), (None, (0, 1, 2, 3))]
)
def test_normalization_adapts(axis, summed) -> None:
    x = (1000 + 3 * RNG.normal(size=(50, 3, 4, 5))).astype("float32")
    layer = layers.Normalization(axis=axis)
    layer.adapt(x)
    mean, variance = moments(x, summed)
    np.testing.assert_allclose(layer.get_weights()[0], np.squeeze(mean, summed), rtol=1e-6)
    np.testing.assert_allclose(layer.get_weights()[1], np.squeeze(variance, summed), rtol=1e-5)
    np.testing.assert_allclose(layer(x), (x - mean) / np.sqrt(variance), atol=1e-3)
    assert layer.trainable_weights == []


def test_normalization_of_long_data_and_of_batches_is_the_same() -> None:
    x = RNG.normal(size=(10_000, 2)) * [1, 1e3] + [5, -1e4]
    whole, parts = layers.Normalization(), layers.Normalization()
    whole.adapt(x)
    parts.adapt(x[start : start + 700] for start in range(0, len(x), 700))
    for a, b in zip(whole.get_weights(), parts.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    np.testing.assert_allclose(whole.get_weights()[1], x.var(0), rtol=1e-6)


def test_normalization_with_given_moments_and_back() -> None:
    layer = layers.Normalization(mean=[1.0, 2.0], variance=[4.0, 9.0])
    x = np.array([[3.0, 5.0]], "float32")
    np.testing.assert_allclose(layer(x), [[1.0, 1.0]])
    np.testing.assert_allclose(layers.Normalization(mean=1.0, variance=4.0, invert=True)(layer(x)), [[3.0, 3.0]])
    with pytest.raises(ValueError, match="given to the constructor"):
        layer.adapt(x)


def test_normalization_of_a_constant_feature_is_finite() -> None:
    layer = layers.Normalization()
    layer.adapt(np.array([[1.0, 2.0], [1.0, 4.0]], "float32"))
    np.testing.assert_allclose(layer(np.array([[1.0, 2.0]], "float32")), [[0.0, -1.0]])


def test_normalization_refuses() -> None:
    with pytest.raises(DataError, match="empty"):
        layers.Normalization().adapt(np.zeros((0, 3)))
    with pytest.raises(ValueError, match="both or neither"):
        layers.Normalization(mean=1.0)
    with pytest.raises(ShapeError, match="axis 0"):
        layers.Normalization(axis=0).adapt(np.ones((4, 6)))
