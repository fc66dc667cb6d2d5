"""nnfast.applications: the parameter counts that were published, a step of training, files, arguments."""

import numpy as np
import pytest

import nnfast
from nnfast import applications
from nnfast.variable import Variable

# name, arguments, trainable weights, all weights or None; where the figures are from
PUBLISHED = [
    ("LeNet5", {}, 61_706, 61_706),  # 156 + 2416 + 48120 + 10164 + 850: the usual form, with dense connections
    ("ResNet18", {}, 11_689_512, None),  # torchvision.models.resnet18
    ("ResNet34", {}, 21_797_672, None),  # torchvision.models.resnet34
    (
        "ResNet50",
        {},
        25_557_032,
        25_610_152,
    ),  # torchvision.models.resnet50; with 26,560 moving means and variances each
    (
        "ResNet18",
        {"input_shape": (32, 32, 3), "classes": 10, "stem": "cifar"},
        11_173_962,
        None,
    ),  # the above less 7,680 of the stem and 507,870 of classes
    ("MobileNet", {}, 4_231_976, 4_253_864),  # keras.applications.MobileNet
    ("MobileNetV2", {}, 3_504_872, 3_538_984),  # torchvision.models.mobilenet_v2; keras.applications.MobileNetV2
    ("VGG11", {}, 132_863_336, 132_863_336),  # torchvision.models.vgg11
    ("EfficientNetLite0", {}, 4_652_008, None),  # "4.7M" in the authors' table; what its rows add up to
]


@pytest.fixture
def untouched(monkeypatch):
    """Weights stay the zeros of new memory, of which no page is touched."""
    made = Variable.__init__
    monkeypatch.setattr(
        Variable,
        "__init__",
        lambda self, shape, dtype, initializer, *rest, **more: made(self, shape, dtype, 0.0, *rest, **more),
    )


@pytest.mark.parametrize(("name", "arguments", "trained", "every"), PUBLISHED)
def test_parameter_counts(untouched, name, arguments, trained, every):
    model = getattr(applications, name)(**arguments)
    assert sum(weight.size for weight in model.trainable_weights) == trained
    assert every is None or model.count_params() == every
    assert model.output_shape == (None, arguments.get("classes", 10 if name == "LeNet5" else 1000))


SMALL = {
    "LeNet5": lambda **more: applications.LeNet5((12, 13, 2), **more),
    "ResNet": lambda **more: applications.ResNet((1, 1), (4, 8), input_shape=(8, 9, 3), **more),
    "bottleneck": lambda **more: applications.ResNet((1, 1), (2, 4), True, (8, 9, 3), stem="cifar", **more),
    "MobileNet": lambda **more: applications.MobileNet((8, 9, 3), 0.125, **more),
    "MobileNetV2": lambda **more: applications.MobileNetV2((8, 9, 3), 0.1, **more),
}


@pytest.mark.parametrize("name", SMALL)
def test_a_step_and_a_file(name, tmp_path):
    nnfast.set_random_seed(1)
    model = SMALL[name](classes=4)
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((6, *model.input_shape[1:])).astype("float32"), rng.integers(0, 4, 6)
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = model.get_weights()
    assert np.isfinite(model.train_on_batch(x, labels))
    unchanged = [a.shape for a, b in zip(before, model.get_weights(), strict=True) if np.array_equal(a, b)]
    assert len(unchanged) <= len(before) // 8  # where all of a few units are at rest
    found = model.predict(x)
    np.testing.assert_allclose(found.sum(1), 1, 1e-5)
    model.save(tmp_path / "model.nnf")
    assert nnfast.load_model(tmp_path / "model.nnf").predict(x).tobytes() == found.tobytes()


@pytest.mark.parametrize("name", SMALL)
def test_without_the_top(name):
    maps = SMALL[name](include_top=False)
    for pooling, function in (("avg", np.mean), ("max", np.max)):
        pooled = SMALL[name](include_top=False, pooling=pooling)
        pooled.set_weights(maps.get_weights())
        x = np.random.default_rng(0).standard_normal((2, *maps.input_shape[1:])).astype("float32")
        np.testing.assert_allclose(pooled.predict(x), function(maps.predict(x), axis=(1, 2)), 1e-5, 1e-6)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: applications.LeNet5((28, 28)), "input_shape=.*expected .height, width, channels."),
        (lambda: applications.LeNet5((8, 8, 1)), "at least 12"),
        (lambda: applications.VGG11((32, 31, 3)), "at least 32"),
        (lambda: applications.ResNet18(classes=0), "classes must be a positive integer"),
        (lambda: applications.ResNet18(stem="small"), "stem='small'"),
        (lambda: applications.ResNet((1, 2), (4,)), "for each stage"),
        (lambda: applications.ResNet18(pooling="mean"), "pooling='mean'"),
        (lambda: applications.MobileNet(alpha=0), "alpha=0"),
        (lambda: applications.MobileNetV2(alpha="1"), "alpha='1'"),
    ],
)
def test_wrong_use_says_what_is_wrong(make, words):
    with pytest.raises(ValueError, match=words):
        make()
