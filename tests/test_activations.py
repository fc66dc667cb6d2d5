"""Activations and regularizers as functions and by name."""

import numpy as np
import pytest

from nnfast import activations, layers, regularizers

X = np.random.default_rng(4).normal(size=(4, 6)).astype("float32")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
    "sigmoid": sigmoid,
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "tanh": np.tanh,
    "silu": lambda x: x * sigmoid(x),
    "swish": lambda x: x * sigmoid(x),
    "hard_silu": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "exponential": np.exp,
    "linear": lambda x: x,
    "softmax": lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
    "log_softmax": lambda x: x - np.log(np.exp(x).sum(-1, keepdims=True)),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_by_name(name: str) -> None:
    x = (3 * X).astype("float64")
    np.testing.assert_allclose(activations.get(name)(x), ACTIVATIONS[name](x), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(layers.Activation(name)(3 * X), ACTIVATIONS[name](x), rtol=1e-5, atol=1e-6)
    assert activations.deserialize(activations.serialize(activations.get(name))) is activations.get(name)


def test_gelu() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = (3 * X).astype("float64")
    for approximate in (False, True):
        peer = torch.nn.functional.gelu(torch.from_numpy(x), approximate="tanh" if approximate else "none")
        np.testing.assert_allclose(activations.gelu(x, approximate), peer.numpy(), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("slope", [0.0, 0.1])
@pytest.mark.parametrize("maximum", [None, 6, 1.5])
@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_relu_with_settings(slope: float, maximum: float | None, threshold: float) -> None:
    x = np.array([[-np.inf, -2.0, -0.0, 0.5, 1.0, 1.2, 5.0, 7.0, np.inf, np.nan]])
    with np.errstate(invalid="ignore"):
        below = slope * (x - threshold) if slope else np.zeros_like(x)
    expected = np.where(x < threshold, below, np.minimum(x, np.inf if maximum is None else maximum))
    np.testing.assert_array_equal(activations.relu(x, slope, maximum, threshold), expected)
    layer = layers.ReLU(maximum, slope, threshold)
    np.testing.assert_allclose(layer(x.astype("float32")), expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_regularizers(dtype: str) -> None:
    x = X.astype(dtype)
    for regularizer, l1, l2 in (
        (regularizers.L1(0.5), 0.5, 0.0),
        (regularizers.L2(0.25), 0.0, 0.25),
        (regularizers.L1L2(0.5, 0.25), 0.5, 0.25),
        (regularizers.L1L2(), 0.0, 0.0),
        (regularizers.get("l1_l2"), 0.0, 0.0),
        (regularizers.get({"class_name": "L2", "config": {"l2": 2.0}}), 0.0, 2.0),
    ):
        expected = l1 * np.abs(x).sum() + l2 * (x**2).sum()
        assert float(regularizer(x)) == pytest.approx(expected, rel=1e-5)
        again = regularizers.deserialize(regularizers.serialize(regularizer))
        assert again.get_config() == regularizer.get_config()
    with pytest.raises(ValueError, match="l2=-1"):
        regularizers.L2(-1)
    with pytest.raises(TypeError, match="regularizer=3"):
        regularizers.get(3)
