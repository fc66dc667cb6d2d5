"""Normalisation layers: PyTorch's numbers and gradients in float64, Keras' moving statistics, saving, the same bits over threads."""

import hashlib

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from checks.torches import close, compare

import nnfast
from nnfast import layers

IMAGE = (5, 7, 6, 12)


def data(shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape) * 2 + 0.7


def first(x):
    """Channels first, for PyTorch."""
    return x.movedim(-1, 1)


def last(x):
    return x.movedim(1, -1)


@pytest.mark.parametrize(
    "shape, axis", [((9, 31), -1), ((3, 4, 70), -1), ((3, 4, 5), [1, 2]), ((3, 4, 5), 1), (IMAGE, [-1, 1])]
)
def test_layer_normalization(shape, axis):
    layer = layers.LayerNormalization(axis, dtype="float64")

    def in_torch(x, gamma, beta):
        axes = sorted(a % x.ndim for a in ([axis] if isinstance(axis, int) else axis))
        rest = [a for a in range(x.ndim) if a not in axes]
        moved = x.permute(*rest, *axes)
        y = F.layer_norm(moved, moved.shape[len(rest) :], gamma, beta, 1e-5)
        return y.permute(*np.argsort([*rest, *axes]).tolist())

    x = data(shape)
    layer(nnfast.Input(shape[1:], dtype="float64"))
    compare(layer, x, in_torch, [layer.gamma, layer.beta])


@pytest.mark.parametrize("shape", [(9, 31), (70, 2, 65)])
def test_rms_normalization(shape):
    layer = layers.RMSNormalization(epsilon=1e-3, dtype="float64")
    layer(nnfast.Input(shape[1:], dtype="float64"))
    compare(layer, data(shape), lambda x, s: F.rms_norm(x, x.shape[-1:], s, 1e-3), [layer.scale])


@pytest.mark.parametrize("shape", [(9, 5), (70, 3, 12), IMAGE, (2, 3, 4, 5, 3)])
@pytest.mark.parametrize("training", [True, False])
def test_batch_normalization(shape, training):
    layer = layers.BatchNormalization(dtype="float64")
    layer(nnfast.Input(shape[1:], dtype="float64"))
    layer.moving_mean.assign(data(shape[-1:], 3))
    layer.moving_variance.assign(np.abs(data(shape[-1:], 4)) + 0.3)
    mean, variance = torch.tensor(layer.moving_mean.numpy()), torch.tensor(layer.moving_variance.numpy())

    def in_torch(x, gamma, beta):
        return last(F.batch_norm(first(x), mean.clone(), variance.clone(), gamma, beta, training, 0.01, 1e-3))

    compare(layer, data(shape), in_torch, [layer.gamma, layer.beta], training)


def test_batch_normalization_on_another_axis():
    layer = layers.BatchNormalization(axis=1, dtype="float64")
    layer(nnfast.Input((4, 5, 6), dtype="float64"))
    compare(
        layer, data((3, 4, 5, 6)), lambda x, g, b: F.batch_norm(x, None, None, g, b, True, 0.0, 1e-3), [layer.gamma, layer.beta]
    )  # fmt: skip


@pytest.mark.parametrize(
    "shape, groups",
    [*[(shape, groups) for shape in (IMAGE, (2, 200, 12)) for groups in (1, 3, 12, -1)], ((4, 12), 1), ((4, 12), 3)],
)
def test_group_normalization(shape, groups):
    layer = layers.GroupNormalization(groups, dtype="float64")
    layer(nnfast.Input(shape[1:], dtype="float64"))
    count = 12 if groups == -1 else groups
    compare(
        layer, data(shape), lambda x, g, b: last(F.group_norm(first(x), count, g, b, 1e-3)), [layer.gamma, layer.beta]
    )


def test_instance_normalization():
    layer = layers.InstanceNormalization(epsilon=1e-4, dtype="float64")
    layer(nnfast.Input(IMAGE[1:], dtype="float64"))
    compare(
        layer, data(IMAGE), lambda x, g, b: last(F.instance_norm(first(x), weight=g, bias=b, eps=1e-4)), [layer.gamma, layer.beta]
    )  # fmt: skip


def test_unit_normalization():
    compare(layers.UnitNormalization(dtype="float64"), data((4, 9)), lambda x: F.normalize(x, dim=-1))


def test_spectral_normalization():
    """Against torch.nn.utils.parametrizations.spectral_norm after the same number of iterations."""
    inner = layers.Dense(5, dtype="float64")
    layer = layers.SpectralNormalization(inner, power_iterations=3, dtype="float64")
    layer(nnfast.Input((7,), dtype="float64"))
    kernel, u = inner.kernel.numpy(), layer.vector_u.numpy()
    x = data((4, 7))
    found = layer(x, training=True)
    for _ in range(3):
        v = u @ kernel.T
        v /= np.linalg.norm(v)
        u = v @ kernel
        u /= np.linalg.norm(u)
    close(found, x @ (kernel / (v @ kernel @ u.T)) + inner.bias.numpy(), 1e-12)
    close(layer.vector_u.numpy(), u, 1e-12)
    assert np.array_equal(inner.kernel.numpy(), kernel)
    for _ in range(60):
        layer(x, training=True)
    close(layer(x) - inner.bias.numpy(), x @ kernel / np.linalg.norm(kernel, 2), 1e-9)

    w = torch.tensor(kernel, requires_grad=True)
    tu, tv = torch.tensor(layer.vector_u.numpy()), None
    for _ in range(3):
        tv = F.normalize(tu @ w.detach().T, dim=-1)
        tu = F.normalize(tv @ w.detach(), dim=-1)
    (torch.tensor(x) @ (w / (tv @ w @ tu.T))).square().sum().backward()
    f = nnfast.value_and_grad(lambda z: nnfast.ops.sum(nnfast.ops.square(layer(z) - inner.bias)), [inner.kernel])
    _, [gradient] = f(x)
    close(gradient, w.grad.numpy(), 1e-10)


def net(dtype="float32"):
    nnfast.set_random_seed(3)
    model = nnfast.Sequential(
        [
            nnfast.Input((6, 10), dtype=dtype),
            layers.Dense(24, dtype=dtype),
            layers.BatchNormalization(dtype=dtype),
            layers.ReLU(),
            layers.GroupNormalization(4, dtype=dtype),
            layers.LayerNormalization(dtype=dtype),
            layers.InstanceNormalization(dtype=dtype),
            layers.RMSNormalization(dtype=dtype),
            layers.Flatten(),
            layers.Dense(3, dtype=dtype),
            layers.BatchNormalization(momentum=0.8, dtype=dtype),
        ]
    )
    model.compile(nnfast.optimizers.SGD(0.05, momentum=0.9), "mse")
    return model


def fitted(model, x, y, **options):
    model.fit(x, y, batch_size=25, epochs=2, shuffle=False, verbose=0, **options)
    return hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest()


def test_moving_statistics_follow_keras_formula():
    """moving = moving * momentum + batch * (1 - momentum) in each step, for two layers and an uneven last batch."""
    model = net("float64")
    x, y = data((60, 6, 10)), data((60, 3), 2)
    early, late = model.layers[1], model.layers[-1]
    wanted = {layer: [np.zeros(n), np.ones(n)] for layer, n in ((early, 24), (late, 3))}
    for start in (0, 25, 50):
        batch = x[start : start + 25]
        chain = batch
        for layer in model.layers:
            if layer in wanted:
                mean, variance = chain.mean(tuple(range(chain.ndim - 1))), chain.var(tuple(range(chain.ndim - 1)))
                m = layer.momentum
                wanted[layer] = [wanted[layer][0] * m + mean * (1 - m), wanted[layer][1] * m + variance * (1 - m)]
                chain = (chain - mean) / np.sqrt(variance + layer.epsilon) * layer.gamma.numpy() + layer.beta.numpy()
            else:
                chain = layer(chain)
        model.train_on_batch(batch, y[start : start + 25])
    for layer, (mean, variance) in wanted.items():
        close(layer.moving_mean.numpy(), mean, 1e-12)
        close(layer.moving_variance.numpy(), variance, 1e-12)


def test_training_is_saved_and_resumed(tmp_path):
    x, y = data((60, 6, 10)).astype("float32"), data((60, 3), 2).astype("float32")
    model = net()
    fitted(model, x, y)
    model.save(tmp_path / "model.nnf")
    again = nnfast.load_model(tmp_path / "model.nnf")
    assert np.array_equal(again.predict(x), model.predict(x))
    assert fitted(again, x, y) == fitted(model, x, y)


def test_same_bits_for_any_number_of_threads(monkeypatch):
    from nnfast.plan import threads

    monkeypatch.setattr(threads, "DIVIDE_FROM_NS", dict.fromkeys(threads.DIVIDE_FROM_NS, 0.0))
    x, y = data((60, 6, 10)).astype("float32"), data((60, 3), 2).astype("float32")
    found = set()
    for count in (1, 2, 3):
        with nnfast.num_threads(count):
            found.add(fitted(net(), x, y))
    assert len(found) == 1


def test_without_passes_the_same_bits():
    x, y = data((60, 6, 10)).astype("float32"), data((60, 3), 2).astype("float32")
    plain = net()
    plain.compile(nnfast.optimizers.SGD(0.05, momentum=0.9), "mse", without=nnfast.passes.names())
    assert fitted(plain, x, y) == fitted(net(), x, y)


def test_frozen_layer_uses_and_keeps_its_moving_statistics():
    layer = layers.BatchNormalization(trainable=False)
    model = nnfast.Sequential([nnfast.Input((4,)), layers.Dense(3), layer])
    model.compile("sgd", "mse")
    x = data((8, 4)).astype("float32")
    found = layer(model.layers[0](x), training=True)
    np.testing.assert_allclose(found, model.layers[0](x) / np.sqrt(1.001), rtol=1e-6)
    model.train_on_batch(x, np.zeros((8, 3), "float32"))
    assert not layer.moving_mean.numpy().any() and (layer.moving_variance.numpy() == 1).all()


def test_a_layer_called_twice_updates_twice():
    layer = layers.BatchNormalization(momentum=0.5, center=False, scale=False, dtype="float64")
    a, b = nnfast.Input((3,), dtype="float64"), nnfast.Input((3,), dtype="float64")
    model = nnfast.Model([a, b], layers.Dense(1, dtype="float64")(layer(a) + layer(b)))
    model.compile("sgd", "mse")
    x, z = data((8, 3)), data((8, 3), 2)
    model.train_on_batch([x, z], np.zeros((8, 1)))
    close(layer.moving_mean.numpy(), 0.25 * x.mean(0) + 0.5 * z.mean(0), 1e-12)


def test_wrong_arguments():
    for make, message in (
        (lambda: layers.BatchNormalization(momentum=2), "momentum=2"),
        (lambda: layers.BatchNormalization(axis=[1, 2]), r"axis=\[1, 2\]"),
        (lambda: layers.LayerNormalization(epsilon=-1), "epsilon=-1"),
        (lambda: layers.LayerNormalization(axis=0)(np.zeros((2, 3))), "behind the batch"),
        (lambda: layers.GroupNormalization(groups=0), "groups=0"),
        (
            lambda: layers.GroupNormalization(5)(np.zeros((2, 3, 12), "float32")),
            "12 channels do not divide into 5 groups",
        ),
        (lambda: layers.SpectralNormalization(layers.ReLU())(np.zeros((2, 3), "float32")), "no weight `kernel`"),
    ):
        with pytest.raises((ValueError, nnfast.errors.NnfastError), match=message):
            make()


@pytest.mark.parametrize("shift", [0.0, 1000.0])
def test_batch_statistics_are_accurate(shift):
    """float32 mean and variance of 100000 rows to a few units, also far from zero."""
    x = (data((100000, 5)) + shift).astype("float32")
    mean, variance = nnfast.ops.moments(x)
    np.testing.assert_allclose(mean, x.mean(0, dtype=np.float64), rtol=5e-7)
    np.testing.assert_allclose(variance, x.astype(np.float64).var(0), rtol=2e-6)
