"""Augmentation: what each layer may do to an image, how often, that draws repeat, and batches made ready beside a training."""

import numpy as np
import pytest

import nnfast
from nnfast import layers, passes
from nnfast.errors import DataError, ShapeError, UnknownNameError
from nnfast.graph.ir import Graph
from nnfast.graph.trace import tracing
from nnfast.ops.random import COUNTERS, ITERATION, SEED
from nnfast.plan.plan import build
from nnfast.variable import Variable

RNG = np.random.default_rng(7)
PHOTOS = RNG.integers(0, 256, (400, 9, 12, 3)).astype(np.float32)


def trained(layer, x, seed=1, iteration=0, threads=2):
    """What a layer gives in training."""
    counters = Variable((COUNTERS,), "int64", 0, "counters", trainable=False)
    counters.storage[SEED], counters.storage[ITERATION] = seed, iteration
    graph = Graph()
    with tracing(graph, True, counters):
        graph.outputs = [layer(graph.input(x.shape, str(x.dtype)), training=True)]
    graph = passes.run(passes.run(graph, forward=True), forward=False)
    return build(graph, threads=threads).call([x])[0]


ALL = [
    layers.RandomFlip(seed=1),
    layers.RandomCrop(9, 12, padding=2, seed=1),
    layers.RandomTranslation(0.2, 0.3, seed=1),
    layers.RandomRotation(0.1, seed=1),
    layers.RandomZoom(0.3, seed=1),
    layers.RandomBrightness(0.2, seed=1),
    layers.RandomContrast(0.5, seed=1),
    layers.RandomErasing(0.5, seed=1),
]


@pytest.mark.parametrize("layer", ALL, ids=lambda layer: type(layer).__name__)
def test_what_holds_for_every_layer(layer):
    y = trained(layer, PHOTOS)
    assert y.shape == PHOTOS.shape
    assert np.isfinite(y).all()
    assert (y != PHOTOS).any(axis=(1, 2, 3)).mean() > 0.4  # RandomErasing leaves half as they are
    assert 0 <= y.min() <= y.max() <= 255.001
    assert trained(layer, PHOTOS, threads=1).tobytes() == y.tobytes()
    assert trained(layer, PHOTOS, iteration=1).tobytes() != y.tobytes()
    assert trained(layer, PHOTOS, seed=2).tobytes() != y.tobytes()
    assert layer(PHOTOS).tobytes() == PHOTOS.tobytes()  # outside training
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    if not isinstance(layer, layers.RandomErasing):  # whose noise has a stream of its own
        assert trained(again, PHOTOS).tobytes() == y.tobytes()


@pytest.mark.parametrize(("mode", "kinds"), [("horizontal", 2), ("vertical", 2), ("horizontal_and_vertical", 4)])
def test_flips(mode, kinds):
    y = trained(layers.RandomFlip(mode), PHOTOS)
    ways = {
        "plain": PHOTOS,
        "left-right": PHOTOS[:, :, ::-1],
        "up-down": PHOTOS[:, ::-1],
        "both": PHOTOS[:, ::-1, ::-1],
    }
    counts = {name: int((y == way).all(axis=(1, 2, 3)).sum()) for name, way in ways.items()}
    assert sum(counts.values()) == len(y)
    assert sum(count > 0 for count in counts.values()) == kinds
    assert all(count == 0 or abs(count - len(y) / kinds) < 60 for count in counts.values())
    if mode == "horizontal":
        assert counts["up-down"] == counts["both"] == 0


def test_crops():
    y = trained(layers.RandomCrop(4, 5), PHOTOS)
    places = set()
    for before, after in zip(PHOTOS, y, strict=True):
        found = [(i, j) for i in range(6) for j in range(8) if (before[i : i + 4, j : j + 5] == after).all()]
        assert len(found) == 1
        places.add(found[0])
    assert len(places) == 48
    middle = layers.RandomCrop(4, 5)(PHOTOS)
    np.testing.assert_array_equal(middle, PHOTOS[:, 2:6, 3:8])
    np.testing.assert_array_equal(layers.CenterCrop(4, 5)(PHOTOS), middle)


def test_crop_with_padding():
    y = trained(layers.RandomCrop(9, 12, padding=2), PHOTOS)
    padded = np.pad(PHOTOS, ((0, 0), (2, 2), (2, 2), (0, 0)))
    for before, after in zip(padded[:50], y[:50], strict=True):
        assert any((before[i : i + 9, j : j + 12] == after).all() for i in range(5) for j in range(5))


def test_crop_of_a_small_image():
    with pytest.raises(ShapeError, match=r"images of 9 x 12 are smaller than the part of 10 x 3.*Resizing"):
        layers.RandomCrop(10, 3)(PHOTOS)


def test_translation_moves_down_and_right():
    layer = layers.RandomTranslation((1 / 9, 1 / 9), (0.25, 0.25), fill_mode="constant", fill_value=-1.0)
    y = trained(layer, PHOTOS)
    np.testing.assert_allclose(y[:, 1:, 3:], PHOTOS[:, :-1, :-3], rtol=1e-4, atol=1e-3)
    assert (y[:, :, :2] < 0.001).all()


def test_rotation_by_a_quarter_is_against_the_clock():
    square = np.zeros((1, 5, 5, 1), np.float32)
    square[0, 0, 4] = 1  # upper right goes to upper left
    y = trained(layers.RandomRotation((0.25, 0.25), interpolation="nearest"), square)
    assert np.argwhere(y[0, :, :, 0]).tolist() == [[0, 0]]
    photos = PHOTOS[:, :, :9]
    y = trained(layers.RandomRotation((0.25, 0.25), interpolation="nearest"), photos)
    np.testing.assert_array_equal(y, np.rot90(photos, axes=(1, 2)))


def test_zoom():
    ramp = np.broadcast_to(np.arange(9, dtype=np.float32)[:, None, None], (1, 9, 9, 1)).copy()
    y = trained(layers.RandomZoom((-0.5, -0.5)), ramp)
    np.testing.assert_allclose(y[0, :, 0, 0], 4 + 0.5 * (np.arange(9) - 4), atol=1e-4)
    y = trained(layers.RandomZoom((0.0, 0.0), (-0.5, -0.5)), ramp.transpose(0, 2, 1, 3).copy())
    np.testing.assert_allclose(y[0, 0, :, 0], 4 + 0.5 * (np.arange(9) - 4), atol=1e-4)


def test_brightness_and_contrast():
    grey = np.full((300, 4, 4, 1), 100, np.float32)
    added = trained(layers.RandomBrightness(0.2), grey) - 100
    assert np.ptp(added, axis=(1, 2, 3)).max() == 0
    assert -51.001 <= added.min() < -40
    assert 40 < added.max() <= 51.001
    np.testing.assert_allclose(trained(layers.RandomContrast(0.5), grey), grey, rtol=1e-5)
    y = trained(layers.RandomContrast((0.9, 0.0)), PHOTOS)
    np.testing.assert_allclose(y.mean((1, 2)), PHOTOS.mean((1, 2)), rtol=1e-4)
    ratio = y.std((1, 2)) / PHOTOS.std((1, 2))
    assert 0.09 < ratio.min() < 0.2
    assert 0.9 < ratio.max() < 1.001
    np.testing.assert_allclose(ratio, ratio[:, :1] + np.zeros(3), rtol=1e-3)  # one for all channels


def test_erasing():
    y = trained(layers.RandomErasing(0.5, scale=(0.1, 0.3), fill_value=-5.0), PHOTOS)
    hidden = (y == -5).all(axis=3)
    part = hidden.mean((1, 2))
    assert 0.4 < (part > 0).mean() < 0.6
    assert part.max() < 0.45
    for mask in hidden[part > 0]:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert mask.sum() == np.ptp(rows) * np.ptp(columns) + np.ptp(rows) + np.ptp(columns) + 1
    assert (y[part == 0] == PHOTOS[part == 0]).all()
    noisy = trained(layers.RandomErasing(1.0, value_range=(0, 1)), PHOTOS + 1)
    assert ((noisy >= 0) & (noisy < 1)).any(axis=(1, 2, 3)).mean() > 0.9


def test_bytes_become_floats():
    y = trained(layers.RandomFlip(), PHOTOS.astype(np.int32))
    assert y.dtype == np.float32
    assert layers.RandomFlip()(PHOTOS.astype(np.uint8)).dtype == np.float32


def test_time_shift():
    sound = RNG.standard_normal((200, 50)).astype(np.float32)
    y = trained(layers.RandomTimeShift(0.1), sound)
    shifts = set()
    for before, after in zip(sound, y, strict=True):
        found = [s for s in range(-5, 6) if (np.pad(before, 5)[5 - s : 55 - s] == after).all()]
        assert len(found) == 1
        shifts.add(found[0])
    assert shifts == set(range(-5, 6))
    round_ = trained(layers.RandomTimeShift((0.2, 0.2), fill_mode="wrap"), sound[:, :, None])
    np.testing.assert_array_equal(round_[:, :, 0], np.roll(sound, 10, axis=1))
    assert layers.RandomTimeShift(0.1)(sound).tobytes() == sound.tobytes()


@pytest.mark.parametrize("shape", [(300, 40, 20), (300, 40, 20, 2)])
def test_spectrograms_with_covered_bands(shape):
    x = np.ones(shape, np.float32)
    y = trained(layers.SpecAugment(1, 0.25, 1, 0.5), x).reshape(300, 40, -1)
    times, bands = (y == 0).all(axis=2).sum(1), (y == 0).all(axis=1).sum(1)
    assert set(times.tolist()) == set(range(11))
    assert set((bands // (y.shape[2] // 20)).tolist()) == set(range(11))
    assert layers.SpecAugment()(x).tobytes() == x.tobytes()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.RandomFlip("sideways"), "unknown mode"),
        (lambda: layers.RandomCrop(0, 3), "height=0"),
        (lambda: layers.RandomCrop(3, 3, padding=-1), "padding=-1"),
        (lambda: layers.RandomRotation(-0.1), "must be 0 or more"),
        (lambda: layers.RandomRotation((0.2, 0.1)), "lower <= upper"),
        (lambda: layers.RandomZoom((-2, 0)), "-1 <= lower"),
        (lambda: layers.RandomTranslation(0.1, [1, 2, 3]), "width_factor"),
        (lambda: layers.RandomTranslation(0.1, 0.1, fill_mode="mirror"), "unknown fill_mode"),
        (lambda: layers.RandomTranslation(0.1, 0.1, interpolation="cubic"), "unknown interpolation"),
        (lambda: layers.RandomBrightness(0.1, value_range=(1, 0)), "value_range"),
        (lambda: layers.RandomContrast(-0.1), "factor=-0.1"),
        (lambda: layers.RandomErasing(2.0), "probability"),
        (lambda: layers.RandomErasing(scale=(0.5, 0.1)), "scale"),
        (lambda: layers.SpecAugment(time_masks=-1), "time_masks=-1"),
        (lambda: layers.SpecAugment(frequency_width=2), "frequency_width=2"),
        (lambda: layers.MixUp(0.0), "0 < alpha"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises((ValueError, UnknownNameError), match=message):
        make()


def test_wrong_shapes():
    with pytest.raises(ShapeError, match=r"\(batch, height, width, channels\), got \[2, 3\]"):
        layers.RandomFlip()(np.zeros((2, 3), np.float32))
    with pytest.raises(ShapeError, match="time, frequency"):
        layers.SpecAugment()(np.zeros((2, 3), np.float32))
    with pytest.raises(DataError, match="AugmentedData"):
        layers.MixUp()(np.zeros((2, 3, 3, 1), np.float32))


def test_augmented_batches():
    x = RNG.integers(0, 256, (10, 6, 6, 3), dtype=np.uint8)
    data = nnfast.AugmentedData(x, np.arange(10), [layers.RandomFlip("horizontal", seed=2)], batch_size=4, seed=5)
    seen = []
    for _ in range(2):
        batches = [data[i] for i in range(3)]
        labels = np.concatenate([y for _, y in batches])
        assert sorted(labels.tolist()) == list(range(10))
        for images, y in batches:
            for image, row in zip(images, x[y].astype(np.float32), strict=True):
                assert (image == row).all() or (image == row[:, ::-1]).all()
        assert data[1][0].tobytes() == batches[1][0].tobytes()
        seen.append(labels.tolist())
        data.on_epoch_end()
    assert seen[0] != seen[1]
    same = nnfast.AugmentedData(x, np.arange(10), [layers.RandomFlip("horizontal", seed=2)], batch_size=4, seed=5)
    assert same[0][1].tolist() == seen[0][:4]
    whole = nnfast.AugmentedData(x, batch_size=10, shuffle=False)[0]
    np.testing.assert_array_equal(whole, x.astype(np.float32))


def test_mixup():
    x = np.zeros((6, 2, 2, 1), np.float32) + np.arange(6, dtype=np.float32)[:, None, None, None]
    data = nnfast.AugmentedData(x, np.arange(6), [layers.MixUp(0.4)], batch_size=6, shuffle=False)
    images, labels = data[0]
    assert labels.shape == (6, 6)
    np.testing.assert_allclose(labels.sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(images[:, 0, 0, 0], labels @ np.arange(6), rtol=1e-5)
    assert ((labels > 0).sum(1) == 2).all()


def test_cutmix():
    x = np.zeros((6, 10, 10, 1), np.float32) + np.arange(6, dtype=np.float32)[:, None, None, None]
    images, labels = nnfast.AugmentedData(x, np.arange(6), [layers.CutMix()], batch_size=6, shuffle=False)[0]
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        own = (image == i).mean()
        assert abs(label[i] - own) < 1e-6
        assert abs(label[5 - i] - (1 - own)) < 1e-6


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_mixing_weights_are_of_the_beta_distribution(alpha):
    x, y = np.zeros((2000, 1, 1, 1), np.float32), np.eye(2, dtype=np.float32)[np.arange(2000) % 2]
    _, labels = nnfast.AugmentedData(x, y, [layers.MixUp(alpha)], batch_size=2000, shuffle=False)[0]
    weight = labels[np.arange(2000), np.arange(2000) % 2]
    assert abs(weight.mean() - 0.5) < 0.03
    assert abs(weight.var() - 1 / (4 * (2 * alpha + 1))) < 0.01


def test_training_on_augmented_batches():
    nnfast.set_random_seed(1)
    (x, y), (x_test, y_test) = nnfast.datasets.load_digits(flat=False)
    model = nnfast.Sequential(
        [nnfast.Input((8, 8, 1)), layers.Flatten(), layers.Dense(64, activation="relu"), layers.Dense(10)]
    )
    model.compile("adam", nnfast.losses.CategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    changes = [layers.RandomTranslation(0.1, 0.1, fill_mode="constant", interpolation="nearest"), layers.MixUp(0.2)]
    data = nnfast.AugmentedData(x[..., None], y, changes, batch_size=64)
    model.fit(data, epochs=40, verbose=0)
    assert data.epoch == 40
    assert model.evaluate(x_test[..., None], np.eye(10, dtype=np.float32)[y_test], verbose=0)[1] > 0.9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": np.zeros((0, 2, 2, 1))}, "0 rows"),
        ({"x": np.zeros((2, 2, 2, 1)), "y": np.zeros(3)}, "different lengths"),
        ({"x": np.zeros((2, 2, 2, 1)), "layers": ["flip"]}, "expected layers"),
        ({"x": np.zeros((2, 2, 2, 1)), "layers": [layers.MixUp()]}, "give y"),
        ({"x": np.zeros((2, 2, 2, 1)), "y": np.array([0, 5]), "layers": [layers.MixUp()], "classes": 3}, "classes=3"),
        ({"x": np.zeros((2, 2, 2, 1)), "y": np.array([0.5, 1.0]), "layers": [layers.CutMix()]}, "whole numbers"),
    ],
)
def test_wrong_data(arguments, message):
    with pytest.raises(DataError, match=message):
        nnfast.AugmentedData(**arguments)
