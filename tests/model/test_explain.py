"""nnfast.explain: against differences, formulas and nets of which the answer is known."""

import numpy as np
import pytest

import nnfast
from nnfast import applications, explain, layers

RNG = np.random.default_rng(5)


@pytest.fixture
def net(float64):
    nnfast.set_random_seed(2)
    return nnfast.Sequential(
        [
            nnfast.Input((6, 7, 2)),
            layers.Conv2D(3, 3, activation="tanh", name="maps"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(4, activation="softmax"),
        ]
    )


def images(rows=3):
    return RNG.standard_normal((rows, 6, 7, 2))


def differences(model, x, column, step=1e-6):
    found = np.zeros_like(x)
    for place in np.ndindex(*x.shape[1:]):
        moved = [x.copy(), x.copy()]
        moved[0][:, *place] += step
        moved[1][:, *place] -= step
        high, low = (model.predict(m)[np.arange(len(x)), column] for m in moved)
        found[:, *place] = (high - low) / (2 * step)
    return found


def test_saliency_is_the_size_of_the_gradient(net):
    x, columns = images(), np.array([2, 0, 3])
    np.testing.assert_allclose(explain.saliency(net, x, columns), abs(differences(net, x, columns)), 1e-5, 1e-8)
    largest = net.predict(x).argmax(1)
    assert np.array_equal(explain.saliency(net, x), explain.saliency(net, x, largest))


def test_rows_are_explained_by_themselves(net):
    x = images(70)  # more than are computed at once
    whole = explain.saliency(net, x, 1)
    assert whole.shape == x.shape
    np.testing.assert_allclose(whole[66:], explain.saliency(net, x[66:], 1), 1e-12)


def test_smooth_grad(net):
    x = images()
    np.testing.assert_allclose(explain.smooth_grad(net, x, 1, noise=0.0), explain.saliency(net, x, 1), 1e-12)
    noisy = explain.smooth_grad(net, x, 1, samples=5)
    assert np.array_equal(noisy, explain.smooth_grad(net, x, 1, samples=5))
    assert not np.allclose(noisy, explain.smooth_grad(net, x, 1, samples=5, seed=1), 1e-6)
    assert not np.allclose(noisy, explain.saliency(net, x, 1), 1e-6)


@pytest.mark.parametrize("baseline", [0.0, 0.7, "array"])
def test_integrated_gradients_are_complete(net, baseline):
    x = images()
    start = RNG.standard_normal(x.shape[1:]) if baseline == "array" else baseline
    found = explain.integrated_gradients(net, x, 2, start, steps=40)
    wanted = net.predict(x)[:, 2] - net.predict(np.broadcast_to(start, x.shape).copy())[:, 2]
    assert abs(wanted).min() > 1e-4
    np.testing.assert_allclose(found.sum((1, 2, 3)), wanted, 1e-6)
    coarse = explain.integrated_gradients(net, x, 2, start, steps=1)
    assert not np.allclose(coarse.sum((1, 2, 3)), wanted, 1e-4)


def test_integrated_gradients_of_what_is_like_the_baseline_are_zero(net):
    x = images()
    x[:, :3] = 0
    assert not explain.integrated_gradients(net, x)[:, :3].any()


def test_grad_cam_is_its_formula(net):
    """Differences with respect to the maps, by a model that begins behind them."""
    x = images()
    symbol = nnfast.Input((6, 7, 2))
    maps = nnfast.Model(symbol, net.layers[0](symbol))
    behind = nnfast.Sequential([nnfast.Input((4, 5, 3)), *net.layers[1:]])
    activations = maps.predict(x)
    gradient = differences(behind, activations, 1)
    wanted = np.maximum((gradient.mean((1, 2), keepdims=True) * activations).sum(-1), 0)
    assert wanted.max() > 0
    np.testing.assert_allclose(explain.grad_cam(net, x, 1, "maps"), wanted, 1e-5, 1e-9)
    np.testing.assert_allclose(explain.grad_cam(net, x, 1, net.layers[0]), wanted, 1e-5, 1e-9)


def test_grad_cam_of_a_net_with_branches():
    model = applications.ResNet((1, 1), (4, 8), input_shape=(16, 16, 3), classes=4, stem="cifar")
    x = RNG.standard_normal((2, 16, 16, 3)).astype("float32")
    assert explain.grad_cam(model, x).shape == (2, 8, 8)
    add = next(layer.name for layer in model.layers if layer.name.startswith("add"))
    assert explain.grad_cam(model, x, 1, add).shape == (2, 16, 16)


def test_occlusion_of_a_sum(float64):
    """The output is a sum of pixels: covering a square takes its sum away."""
    model = nnfast.Sequential([nnfast.Input((5, 6, 1)), layers.Flatten(), layers.Dense(1, kernel_initializer="ones")])
    x = RNG.standard_normal((2, 5, 6, 1))
    found = explain.occlusion(model, x, size=2)
    first = x[:, :2, :2].sum((1, 2, 3))
    np.testing.assert_allclose(found[:, 0, 0], first, 1e-12)
    # rows 2-3 and 3-4 both cover row 3
    both = (x[:, 2:4, :2].sum((1, 2, 3)) + x[:, 3:5, :2].sum((1, 2, 3))) / 2
    np.testing.assert_allclose(found[:, 3, 0], both, 1e-10)
    np.testing.assert_allclose(explain.occlusion(model, x, size=1, value=0.5), x[..., 0] - 0.5, 1e-10, 1e-12)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda net: explain.saliency(net, images(), 4), "columns 0 to 3"),
        (lambda net: explain.saliency(net, images(), [1, 2]), "3 integers, one per row"),
        (lambda net: explain.saliency(net, images(), 1.0), "expected None, an integer"),
        (lambda net: explain.saliency(net, images()[0]), "expected a batch"),
        (lambda net: explain.smooth_grad(net, images(), samples=0), "samples must be a positive integer"),
        (lambda net: explain.smooth_grad(net, images(), noise=-1), "noise=-1"),
        (lambda net: explain.integrated_gradients(net, images(), steps=0), "steps must be"),
        (lambda net: explain.integrated_gradients(net, images(), baseline=np.zeros(3)), "does not broadcast"),
        (lambda net: explain.grad_cam(net, images(), layer="mapz"), "did you mean 'maps'"),
        (lambda net: explain.occlusion(net, images(), size=7), "smaller than the square"),
    ],
)
def test_wrong_use_says_what_is_wrong(net, call, words):
    with pytest.raises(ValueError, match=words):
        call(net)
