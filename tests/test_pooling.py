"""Pooling, padding, cropping, resizing and the dropouts: PyTorch's numbers and gradients in float64, shapes as in Keras."""

import numpy as np
import pytest
import torch.nn.functional as F
from checks.torches import close, compare

import nnfast
from nnfast import layers

SHAPES = {1: (2, 11, 5), 2: (2, 9, 10, 17), 3: (2, 5, 6, 4, 3)}


def data(shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape)


def first(x):
    return x.movedim(-1, 1)


def last(x):
    return x.movedim(1, -1)


def of(name, rank):
    return getattr(layers, f"{name}{rank}D")


def torch_pool(name, rank):
    return getattr(F, f"{name}_pool{rank}d")


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("size, stride, padding", [(2, None, 0), (3, 2, 1), (3, 1, 1), (2, 3, 0)])
def test_pooling(rank, size, stride, padding):
    x = data(SHAPES[rank])
    words = "valid" if padding == 0 else padding
    layer = of("MaxPooling", rank)(size, stride, words, dtype="float64")
    compare(layer, x, lambda t: last(torch_pool("max", rank)(first(t), size, stride, padding)))
    layer = of("AveragePooling", rank)(size, stride, words, dtype="float64")
    compare(
        layer, x, lambda t: last(torch_pool("avg", rank)(first(t), size, stride, padding, count_include_pad=False))
    )  # fmt: skip


@pytest.mark.parametrize("rank, output", [(1, 3), (1, 1), (2, 4), (2, (3, 5)), (2, 1)])
def test_adaptive_pooling(rank, output):
    x = data(SHAPES[rank])
    for name, short in (("AdaptiveMaxPooling", "max"), ("AdaptiveAveragePooling", "avg")):
        function = getattr(F, f"adaptive_{short}_pool{rank}d")
        compare(of(name, rank)(output, dtype="float64"), x, lambda t, f=function: last(f(first(t), output)))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("keepdims", [True, False])
def test_global_pooling(rank, keepdims):
    x, axes = data(SHAPES[rank]), tuple(range(1, rank + 1))
    compare(of("GlobalMaxPooling", rank)(keepdims=keepdims, dtype="float64"), x, lambda t: t.amax(axes, keepdims))
    compare(of("GlobalAveragePooling", rank)(keepdims=keepdims, dtype="float64"), x, lambda t: t.mean(axes, keepdims))


def test_same_padding_is_at_the_end_as_in_keras():
    x = np.arange(1.0, 6.0).reshape(1, 5, 1)
    assert layers.MaxPooling1D(2, padding="same")(x).ravel().tolist() == [2, 4, 5]
    assert layers.AveragePooling1D(2, padding="same")(x).ravel().tolist() == [1.5, 3.5, 5]
    assert layers.MaxPooling1D(4, 1, "same")(-x).ravel().tolist() == [-1, -1, -2, -3, -4]
    assert layers.AveragePooling1D(3, 3, "same")(x).ravel().tolist() == [2.0, 4.5]


def test_the_gradient_goes_to_the_first_of_equals():
    f = nnfast.value_and_grad(lambda x: nnfast.ops.sum(nnfast.ops.max_pool(x, 2)))
    _, [gradient] = f(np.ones((1, 4, 4, 1)))
    assert gradient[0, :, :, 0].tolist() == [[1, 0, 1, 0], [0, 0, 0, 0]] * 2


@pytest.mark.parametrize("name", ["max_pool", "average_pool", "adaptive_max_pool", "adaptive_average_pool", "resize"])
def test_channels_first(name):
    function, x = getattr(nnfast.ops, name), data((2, 7, 8, 3))
    found = function(np.moveaxis(x, -1, 1), 3, data_format="channels_first")
    np.testing.assert_array_equal(np.moveaxis(found, 1, -1), function(x, 3))


@pytest.mark.parametrize(
    "interpolation, axes",
    [
        *[(mode, axes) for mode in ("bilinear", "nearest") for axes in ((5, 7), (16, 20), (3, 30), (9, 4))],
        *[
            ("area", axes) for axes in ((3, 5), (9, 2), (1, 10))
        ],  # PyTorch's area rounds other windows to whole elements
    ],
)
def test_resizing(interpolation, axes):
    x = data((2, 9, 10, 3))
    mode = {"nearest": "nearest-exact"}.get(interpolation, interpolation)
    compare(
        layers.Resizing(*axes, interpolation, dtype="float64"), x, lambda t: last(F.interpolate(first(t), axes, mode=mode))
    )  # fmt: skip


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_antialias(interpolation):
    x = data((2, 19, 20, 3))
    layer = layers.Resizing(7, 31, interpolation, antialias=True, dtype="float64")
    compare(layer, x, lambda t: last(F.interpolate(first(t), (7, 31), mode=interpolation, antialias=True)), limit=1e-6)


def test_resizing_keeps_proportions():
    x = np.arange(2 * 4 * 8, dtype=np.float64).reshape(2, 4, 8, 1)
    cut = layers.Resizing(4, 4, crop_to_aspect_ratio=True)(x)
    np.testing.assert_array_equal(cut, x[:, :, 2:6].astype("float32"))
    padded = layers.Resizing(8, 8, "nearest", pad_to_aspect_ratio=True, fill_value=-1.0)(x)
    assert (padded[:, :2] == -1).all() and (padded[:, 6:] == -1).all()
    np.testing.assert_array_equal(padded[:, 2:6], x.astype("float32"))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_upsampling(rank):
    x = data(SHAPES[rank])
    sizes = (2, 3, 1)[:rank]
    found = compare(
        of("UpSampling", rank)(sizes if rank > 1 else 2, dtype="float64"), x,
        lambda t: last(F.interpolate(first(t), scale_factor=sizes)),
    )  # fmt: skip
    wanted = x
    for axis, factor in enumerate(sizes, 1):
        wanted = wanted.repeat(factor, axis)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_padding_and_cropping(rank):
    x = data(SHAPES[rank])
    pairs = ((1, 2), (0, 1), (3, 0))[:rank]
    argument = pairs[0] if rank == 1 else pairs
    wide = compare(
        of("ZeroPadding", rank)(argument, dtype="float64"), x,
        lambda t: last(F.pad(first(t), [n for pair in reversed(pairs) for n in pair])),
    )  # fmt: skip
    np.testing.assert_array_equal(of("Cropping", rank)(argument, dtype="float64")(wide), x)
    inside = tuple(slice(a, n - b) for (a, b), n in zip(pairs, x.shape[1:-1], strict=True))
    compare(of("Cropping", rank)(argument, dtype="float64"), x, lambda t: t[(slice(None), *inside)])


@pytest.mark.parametrize("mode", ["constant", "reflect", "symmetric", "edge"])
def test_pad_as_numpy(mode):
    x = data((3, 4, 5))
    for width in (0, 2, ((0, 0), (3, 1), (2, 0))):
        np.testing.assert_array_equal(nnfast.ops.pad(x, width, mode), np.pad(x, width, mode))


def test_pixel_shuffle():
    compare(layers.PixelShuffle(3, dtype="float64"), data((2, 4, 5, 18)), lambda t: last(F.pixel_shuffle(first(t), 3)))


def trained_output(layer, x):
    """The layer's output in a training step, and the gradient of its sum."""
    layer(nnfast.Input(x.shape[1:], dtype=str(x.dtype)))
    f = nnfast.value_and_grad(lambda t: nnfast.ops.sum(layer(t)), training=True)
    g = nnfast.value_and_grad(lambda t: nnfast.ops.sum(nnfast.ops.square(layer(t))), training=True)
    return f(x)[1][0], g(x)[1][0] / 2


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_spatial_dropout_drops_whole_channels(rank):
    x = np.ones((40, *[3] * rank, 50))
    factor, _ = trained_output(of("SpatialDropout", rank)(0.4, dtype="float64"), x)
    flat = factor.reshape(40, -1, 50)
    assert (flat == flat[:, :1]).all() and set(np.unique(flat).round(12)) == {0.0, round(1 / 0.6, 12)}
    assert abs((flat[:, 0] == 0).mean() - 0.4) < 0.05
    np.testing.assert_array_equal(of("SpatialDropout", rank)(0.4)(x), x)


def test_alpha_dropout_keeps_mean_and_variance():
    x = nnfast.activations.selu(data((400, 500)) * 1.0)
    layer = layers.AlphaDropout(0.3, dtype="float64")
    layer(nnfast.Input((500,), dtype="float64"))
    mean = nnfast.value_and_grad(lambda t: nnfast.ops.mean(layer(t)))(x)[0]
    square = nnfast.value_and_grad(lambda t: nnfast.ops.mean(nnfast.ops.square(layer(t))))(x)[0]
    assert abs(mean - x.mean()) < 0.02 and abs(square - mean**2 - x.var()) < 0.03


def test_gaussian_dropout_has_its_variance():
    factor, _ = trained_output(layers.GaussianDropout(0.2, dtype="float64"), np.ones((400, 500)))
    assert abs(factor.mean() - 1) < 0.01 and abs(factor.var() - 0.25) < 0.01


def test_stochastic_depth_drops_whole_samples():
    layer, x = layers.StochasticDepth(0.25, dtype="float64"), np.ones((2000, 3))
    factor, _ = trained_output(layer, x)
    assert (factor == factor[:, :1]).all() and abs((factor[:, 0] == 0).mean() - 0.25) < 0.04
    np.testing.assert_array_equal(layer([x, 2 * x]), 3 * x)


def test_same_bits_for_any_number_of_threads(monkeypatch):
    """A net of all of these, trained: the first layers as images, resized, pooled, normalised."""
    from nnfast.plan import threads

    monkeypatch.setattr(threads, "DIVIDE_FROM_NS", dict.fromkeys(threads.DIVIDE_FROM_NS, 0.0))
    x, y = data((20, 9, 9, 3)).astype("float32"), data((20, 2), 2).astype("float32")
    found = set()
    for count in (1, 2, 3):
        nnfast.set_random_seed(1)
        model = nnfast.Sequential(
            [
                nnfast.Input((9, 9, 3)),
                layers.Resizing(12, 10),
                layers.Dense(8),
                layers.BatchNormalization(),
                layers.MaxPooling2D(3, 2, "same"),
                layers.SpatialDropout2D(0.2),
                layers.AveragePooling2D(2, 1),
                layers.UpSampling2D(2),
                layers.ZeroPadding2D(1),
                layers.AdaptiveMaxPooling2D(3),
                layers.StochasticDepth(0.2),
                layers.GlobalAveragePooling2D(),
                layers.AlphaDropout(0.1),
                layers.Dense(2),
            ]
        )
        model.compile("adam", "mse")
        with nnfast.num_threads(count):
            model.fit(x, y, batch_size=7, epochs=2, verbose=0)
        found.add(b"".join(w.tobytes() for w in model.get_weights()))
    assert len(found) == 1


def test_wrong_arguments():
    image = np.zeros((1, 4, 4, 2), "float32")
    for make, message in (
        (lambda: layers.MaxPooling2D(0), "pool_size=0"),
        (lambda: layers.MaxPooling2D(2, padding="causal"), "padding='causal'"),
        (lambda: layers.MaxPooling2D(2, data_format="NCHW"), "data_format='NCHW'"),
        (lambda: layers.MaxPooling2D(5)(image), "does not fit into the 4"),
        (lambda: layers.MaxPooling2D(2, padding=2)(image), "padding below 2"),
        (lambda: layers.MaxPooling1D(2)(image), r"expected \(batch, steps, channels\)"),
        (lambda: layers.AdaptiveMaxPooling1D((1, 2)), r"output_size=\(1, 2\)"),
        (lambda: layers.Cropping2D(2)(image), "leaves nothing"),
        (lambda: layers.Cropping1D((1, -1)), r"cropping=\(1, -1\)"),
        (lambda: layers.ZeroPadding2D("same"), "padding='same'"),
        (lambda: layers.UpSampling2D(interpolation="cubic"), "bicubic"),
        (lambda: layers.Resizing(2, 2, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True), "one of"),
        (lambda: layers.PixelShuffle(2)(image), "multiple of 4"),
        (lambda: layers.AlphaDropout(1.0), "rate=1.0"),
        (lambda: layers.GaussianDropout(1.0), "rate=1.0"),
        (lambda: nnfast.ops.pad(image, 9, "reflect"), "at most 0"),
    ):
        with pytest.raises((ValueError, nnfast.errors.NnfastError), match=message):
            make()


def test_close_sees_a_difference():
    with pytest.raises(AssertionError, match="off"):
        close(np.array([1.0]), np.array([1.0 + 1e-9]), 1e-10)
