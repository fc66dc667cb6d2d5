"""Models with convolutions: the loss curve of PyTorch, the same bits on any number of threads, layers with channels first, files."""

import numpy as np
import pytest

import nnfast
from nnfast import layers

RNG = np.random.default_rng(11)


def lenet(dtype="float32", data_format=None):
    return nnfast.Sequential(
        [
            nnfast.Input((1, 20, 20) if data_format == "channels_first" else (20, 20, 1), dtype=dtype),
            layers.Conv2D(6, 5, activation="tanh", padding=2, data_format=data_format),
            layers.Conv2D(16, 5, 2, activation="relu", data_format=data_format),
            layers.SeparableConv2D(20, 3, padding=1, activation="relu", data_format=data_format),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )


X, LABELS = RNG.standard_normal((160, 20, 20, 1)), RNG.integers(0, 10, 160)


def test_the_curve_of_pytorch(float64):
    """LeNet with strides and a separable convolution, 50 steps in float64: losses agree to 1e-8."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch==2.13.0")
    model = lenet("float64")
    model.compile(
        nnfast.optimizers.SGD(0.05, momentum=0.9), nnfast.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    nn = torch.nn
    net = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.Conv2d(6, 16, 5, 2), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False),
        nn.Conv2d(16, 20, 1), nn.ReLU(),
    ).double()  # fmt: skip
    last = nn.Linear(8 * 8 * 20, 10).double()
    weights = model.get_weights()
    order = [(3, 2, 0, 1), (0,), (3, 2, 0, 1), (0,), (2, 3, 0, 1), (3, 2, 0, 1), (0,), (1, 0), (0,)]
    parameters = [*net.parameters(), *last.parameters()]
    with torch.no_grad():
        for parameter, weight, axes in zip(parameters, weights, order, strict=True):
            parameter.copy_(torch.tensor(np.ascontiguousarray(weight.transpose(axes))))
    optimizer = torch.optim.SGD(parameters, lr=0.05, momentum=0.9)
    found, wanted = [], []
    for step in range(50):
        rows = slice(step % 10 * 16, step % 10 * 16 + 16)
        found.append(float(model.train_on_batch(X[rows], LABELS[rows])))
        optimizer.zero_grad()
        image = torch.tensor(X[rows].transpose(0, 3, 1, 2))
        logits = last(net(image).permute(0, 2, 3, 1).flatten(1))
        loss = nn.functional.cross_entropy(logits, torch.tensor(LABELS[rows]))
        loss.backward()
        optimizer.step()
        wanted.append(float(loss.detach()))
    assert wanted[-1] < wanted[0]
    np.testing.assert_allclose(found, wanted, 1e-8)


def trained(threads):
    nnfast.set_random_seed(3)
    model = lenet()
    model.compile("adam", nnfast.losses.SparseCategoricalCrossentropy(from_logits=True))
    with nnfast.num_threads(threads):
        model.fit(X.astype("float32"), LABELS, batch_size=24, epochs=2, verbose=0)
        return [*model.get_weights(), model.predict(X[:5].astype("float32"))]


def test_training_has_the_same_bits_on_any_number_of_threads():
    one = trained(1)
    for threads in (2, 3):
        assert all(a.tobytes() == b.tobytes() for a, b in zip(one, trained(threads), strict=True))


def test_channels_first_is_the_same_net_on_turned_images():
    last, first = lenet(), lenet(data_format="channels_first")
    x = X[:4].astype("float32")
    weights = last.get_weights()
    rows = weights[-2].reshape(8, 8, 20, 10).transpose(2, 0, 1, 3).reshape(-1, 10)
    first.set_weights([*weights[:-2], rows, weights[-1]])
    np.testing.assert_allclose(first.predict(x.transpose(0, 3, 1, 2)), last.predict(x), 1e-4, 1e-5)
    assert first.output_shape == last.output_shape


def test_a_file_has_the_kernels_as_keras_shapes_them(tmp_path):
    model = lenet()
    model.save(tmp_path / "lenet.nnf")
    again = nnfast.load_model(tmp_path / "lenet.nnf")
    x = X[:3].astype("float32")
    assert again.predict(x).tobytes() == model.predict(x).tobytes()
    shapes = [weight.shape for weight in again.get_weights()]
    assert shapes[:6] == [(5, 5, 1, 6), (6,), (5, 5, 6, 16), (16,), (3, 3, 16, 1), (1, 1, 16, 20)]


@pytest.mark.parametrize(
    ("layer", "shape", "wanted"),
    [
        (lambda: layers.Conv1D(3, 4, padding="same", strides=2), (9, 2), (5, 3)),
        (lambda: layers.Conv3D(3, 2, strides=(1, 2, 2)), (4, 5, 6, 2), (3, 2, 3, 3)),
        (lambda: layers.Conv2DTranspose(3, 3, 2, "same"), (4, 5, 2), (8, 10, 3)),
        (lambda: layers.Conv2DTranspose(3, 3, 2), (4, 5, 2), (9, 11, 3)),
        (lambda: layers.Conv2DTranspose(3, 3, 2, "same", output_padding=1), (4, 5, 2), (8, 10, 3)),
        (lambda: layers.Conv1DTranspose(3, 2, 3), (4, 2), (12, 3)),
        (lambda: layers.DepthwiseConv2D(3, 2, "same", depth_multiplier=3), (4, 5, 2), (2, 3, 6)),
        (lambda: layers.SeparableConv1D(3, 3, depth_multiplier=2), (8, 5), (6, 3)),
        (lambda: layers.Conv2D(8, 3, groups=4), (5, 5, 8), (3, 3, 8)),
    ],
)
def test_shapes_are_those_of_keras(layer, shape, wanted):
    made = layer()
    assert made.compute_output_shape((None, *shape)) == (None, *wanted)
    assert made(np.zeros((2, *shape), np.float32)).shape == (2, *wanted)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: layers.Conv2D(0, 3), "filters must be a positive integer"),
        (lambda: layers.Conv2D(4, 3, groups=3), "multiple of groups"),
        (lambda: layers.Conv2D(4, (3, 3, 3)), "kernel_size"),
        (lambda: layers.Conv2DTranspose(4, 3, 2, output_padding=2), "output_padding"),
        (lambda: layers.Conv1DTranspose(4, 3, padding="causal"), "causal"),
        (lambda: layers.Conv2D(4, 3)(np.zeros((2, 8, 8), np.float32)), "expected 4 axes"),
        (lambda: layers.Conv2D(4, 3, groups=2)(np.zeros((2, 8, 8, 3), np.float32)), "no multiple of groups=2"),
    ],
)
def test_wrong_use_says_what_is_wrong(make, words):
    with pytest.raises(ValueError, match=words):
        make()
