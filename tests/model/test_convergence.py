"""Networks learn real data through fit, as a user would write it: the digits in the package to 96 %, MNIST to 97 % in two epochs.

The whole check of MNIST (10 epochs, five seeds, 98 %) takes minutes: NNFAST_TEST_MNIST=full runs it.
"""

import os
import time

import numpy as np
import pytest

import nnfast
from nnfast import layers
from nnfast.datasets import load_digits, load_mnist


@pytest.mark.parametrize("seed", range(5))
def test_digits(seed):
    (x, y), (x_test, y_test) = load_digits()
    assert len(x_test) >= 0.24 * (len(x) + len(x_test))
    nnfast.set_random_seed(seed)
    model = nnfast.Sequential([layers.Dense(128, activation="relu"), layers.Dropout(0.2), layers.Dense(10)])
    loss = nnfast.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    model.fit(x, y, batch_size=32, epochs=20, verbose=0)
    accuracy = model.evaluate(x_test, y_test, verbose=0)[1]
    assert accuracy >= 0.96
    assert (model.predict(x_test, verbose=0).argmax(1) == y_test).mean() == accuracy


@pytest.fixture(scope="module")
def mnist():
    folder = os.environ.get("NNFAST_DATA", "")
    if not os.path.isdir(os.path.join(folder, "mnist")):
        pytest.skip("NNFAST_DATA names no folder with mnist/")
    return load_mnist()


def mnist_model(steps):
    stack = [
        layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(512, activation="relu"), layers.Dropout(0.2),
        layers.Dense(256, activation="relu"), layers.Dropout(0.2), layers.Dense(10),
    ]  # fmt: skip
    model = nnfast.Sequential([nnfast.Input((28, 28)), *stack])
    rate = nnfast.optimizers.schedules.CosineDecay(0.001, steps)
    loss = nnfast.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(nnfast.optimizers.Adam(rate), loss, metrics=["accuracy"])
    return model


def train(mnist, seed, epochs):
    (x, y), (x_test, y_test) = mnist
    nnfast.set_random_seed(seed)
    model = mnist_model(epochs * -(-len(x) // 128))
    begin = time.perf_counter()
    model.fit(x, y, batch_size=128, epochs=epochs, verbose=0)
    accuracy = model.evaluate(x_test, y_test, batch_size=1000, verbose=0)[1]
    print(f"MNIST, seed {seed}: {accuracy:.4f} after {epochs} epochs in {time.perf_counter() - begin:.1f} s")
    return accuracy


def test_mnist_in_two_epochs(mnist):
    assert train(mnist, seed=0, epochs=2) >= 0.97


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.skipif(os.environ.get("NNFAST_TEST_MNIST") != "full", reason="NNFAST_TEST_MNIST=full runs all five seeds")
def test_mnist_in_ten_epochs(mnist, seed):
    assert train(mnist, seed, epochs=10) >= 0.98


def test_regression_finds_the_weights():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1000, 5)).astype("float32")
    weights = np.float32([[1.0], [-2.0], [3.0], [0.0], [0.5]])
    model = nnfast.Sequential([layers.Dense(1)])
    model.compile(nnfast.optimizers.SGD(0.1), "mse")
    model.fit(x, x @ weights + 4.0, epochs=20, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0], weights, atol=1e-4)
    np.testing.assert_allclose(model.get_weights()[1], [4.0], atol=1e-4)
