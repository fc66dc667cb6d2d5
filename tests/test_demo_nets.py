"""`nnfast demo` of images and sound: on made-up data, on a small budget with real data, and whole with NNFAST_TEST_DEMOS=full."""

import json
import os
import sys

import numpy as np
import pytest

import nnfast
from nnfast import cli, environment
from nnfast.cli import features, mnist_cnn, pneumonia, results, spoken_digits, steering

CLASSICAL = {
    "mnist-cnn": "support_vectors",
    "spoken-digits": "support_vectors",
    "steering": "ridge",
    "pneumonia": "logistic_regression",
}
FULL = pytest.mark.skipif(
    os.environ.get("NNFAST_TEST_DEMOS") != "full", reason="NNFAST_TEST_DEMOS=full runs all epochs"
)


def demo(capsys, tmp_path, name, *more):
    assert cli.main(["demo", name, "--seed", "1", "--output", str(tmp_path), "--json", *more]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["data"] == name
    assert nnfast.load_model(facts["model"]).count_params() > 0
    return facts


# Made-up data, which every machine has


def strokes(rows, seed):
    """Digits: a bar whose place is the label, in noise."""
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 60, (rows, 28, 28)).astype(np.uint8), rng.integers(0, 10, rows).astype(np.int32)
    for image, label in zip(x, y, strict=True):
        image[5 + 2 * label : 7 + 2 * label, 4:24] = 220
    return x, y


def spots(rows, ill, seed):
    """X-rays: the ill ones have a bright spot somewhere."""
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 60, (rows, 28, 28)).astype(np.uint8), (rng.random(rows) < ill).astype(np.int32)
    for image, label in zip(x, y, strict=True):
        if not label:
            continue
        top, left = rng.integers(4, 14, 2)
        image[top : top + 10, left : left + 10] = 230
    return x, y


def tones(rows, seed, length):
    """Recordings: a tone whose pitch is the digit, half a second long."""
    rng = np.random.default_rng(seed)
    y = np.arange(rows, dtype=np.int32) % 10
    time = np.arange(4000) / spoken_digits.SAMPLE_RATE
    sound = np.sin(2 * np.pi * (300 + 300 * y[:, None]) * time) + 0.1 * rng.standard_normal((rows, 4000))
    sound = sound.astype(np.float32)
    return (list(sound) if length is None else np.pad(sound, ((0, 0), (0, length - 4000)))), y


def curves(rows, seed):
    """Frames: a bright lane that leans to where the driver steers, to and fro."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 80, (rows, 120, 160, 3)).astype(np.uint8)
    y = (0.8 * np.sin(np.arange(rows) / 8)).astype(np.float32)
    for frame, angle in zip(x, y, strict=True):
        for row in range(20, 120):
            middle = int(80 + angle * (110 - row))
            frame[row, middle - 8 : middle + 8] = 230
    return x, y


@pytest.fixture
def made_up(monkeypatch):
    """Loaders of made-up data, and classical methods that have to do with less."""
    loaders = {
        "load_mnist": lambda: (strokes(700, 0), strokes(200, 1)),
        "load_pneumonia_mnist": lambda: (spots(600, 0.9, 0), spots(100, 0.7, 1), spots(200, 0.6, 2)),
        "load_fsdd": lambda length=8000: (tones(270, 0, length), tones(60, 1, length)),
        "load_donkeycar": lambda: (curves(160, 0), curves(40, 1)),
    }
    for name, loader in loaders.items():
        monkeypatch.setattr(nnfast.datasets, name, loader)
    monkeypatch.setattr(mnist_cnn, "HELD_BACK", 100)
    monkeypatch.setattr(mnist_cnn, "BATCH", 32)


@pytest.fixture
def no_sklearn(monkeypatch):
    for name in ("decomposition", "linear_model", "pipeline", "svm"):
        monkeypatch.setitem(sys.modules, f"sklearn.{name}", None)


@pytest.mark.parametrize("name", CLASSICAL)
def test_without_scikit_learn(name, made_up, no_sklearn, tmp_path, capsys):
    assert cli.main(["demo", name, "--epochs", "1", "--output", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "nnfast[sklearn]" in told
    assert str(tmp_path / f"{name}.nnf") in told


def test_made_up_digits(made_up, tmp_path, capsys):
    facts = demo(capsys, tmp_path, "mnist-cnn", "--epochs", "3")
    assert facts["accuracy"] > 0.7
    assert facts["support_vectors"] is None or facts["support_vectors"] > 0.7


def test_made_up_sound(made_up, tmp_path, capsys):
    facts = demo(capsys, tmp_path, "spoken-digits", "--epochs", "7")
    assert facts["accuracy"] > 0.9
    assert facts["support_vectors"] is None or facts["support_vectors"] > 0.9


def test_made_up_lanes(made_up, tmp_path, capsys):
    facts = demo(capsys, tmp_path, "steering", "--epochs", "8")
    assert facts["mean_absolute_error"] < 0.6 * facts["of_the_mean"]
    assert facts["ridge"] is None or facts["ridge"]["pixels"] < facts["of_the_mean"]


def test_the_same_seed_gives_the_same_figures(made_up, no_sklearn, tmp_path, capsys):
    first, again = (demo(capsys, tmp_path, "pneumonia", "--epochs", "1") for _ in range(2))
    assert first["validation_auc"] == again["validation_auc"]
    assert first["auc"] == again["auc"]


def test_made_up_spots(made_up, tmp_path, capsys):
    facts = demo(capsys, tmp_path, "pneumonia", "--epochs", "6")
    low, high = facts["balanced_accuracy_interval"]
    assert facts["auc"] > 0.9
    assert low <= facts["balanced_accuracy"] <= high
    assert facts["balanced_accuracy"] == pytest.approx((facts["sensitivity"] + facts["specificity"]) / 2)


# What they are made of


def test_threshold_is_where_both_classes_are_right():
    assert pneumonia.threshold(np.array([0.0, 4.0, 2.0, 3.0]), np.array([0, 1, 0, 1])) == 2.5
    assert pneumonia.threshold(np.zeros(3), np.array([0, 1, 1])) == 0.0


def test_interval_covers_what_it_should(monkeypatch):
    """Of 40 draws of 200 people with an accuracy of 0.8, nearly all intervals hold 0.8."""
    monkeypatch.setattr(results, "RESAMPLES", 200)
    rng = np.random.default_rng(0)
    labels, held = np.repeat([0, 1], 100), 0
    for _ in range(40):
        low, high = results.interval(pneumonia.balanced_accuracy, labels == (rng.random(200) < 0.8), labels)
        held += low <= 0.8 <= high
    assert held >= 34


def test_gradients_tell_directions():
    """Bars that stand, lie or lean give their energy to other directions; what is turned upside down is not the same."""
    images = np.zeros((3, 28, 28), np.uint8)
    images[0, :, 12:16] = 255
    images[1, 12:16] = 255
    images[2] = np.eye(28, dtype=np.uint8) * 255
    found = features.gradient_histograms(images).reshape(3, -1, features.DIRECTIONS).sum(1)
    assert found.argmax(1).tolist()[:2] == [0, 4]
    assert found[2].argmax() not in (0, 4)
    assert np.isfinite(found).all()


def test_cepstra_do_not_depend_on_others():
    """A recording has the same features alone and beside a longer one."""
    sound = [samples[: 2000 + 900 * i] for i, samples in enumerate(tones(3, 0, None)[0])]
    both, alone = features.cepstra(sound, 8000), features.cepstra(sound[:1], 8000)
    np.testing.assert_array_equal(both[:1], alone)


# Real data


def needs(name):
    folder = environment.data_folder()
    if folder is None or not (folder / name).exists():
        pytest.skip(f"NNFAST_DATA names no folder with {name}")


def part_of(monkeypatch, loader, rows):
    """The first rows of the training part alone."""
    (x, y), *others = getattr(nnfast.datasets, loader)()
    monkeypatch.setattr(nnfast.datasets, loader, lambda *_: ((x[:rows], y[:rows]), *others))


def test_digits_on_a_small_budget(tmp_path, capsys, monkeypatch):
    needs("mnist")
    monkeypatch.setattr(mnist_cnn, "HELD_BACK", 500)
    monkeypatch.setattr(mnist_cnn, "support_vectors", lambda *_: None)
    part_of(monkeypatch, "load_mnist", 5500)
    assert demo(capsys, tmp_path, "mnist-cnn", "--epochs", "2")["accuracy"] > 0.93


def test_pneumonia_on_a_small_budget(tmp_path, capsys, monkeypatch):
    needs("pneumoniamnist.npz")
    monkeypatch.setattr(pneumonia, "logistic_regression", lambda *_: None)
    monkeypatch.setattr(results, "RESAMPLES", 200)
    assert demo(capsys, tmp_path, "pneumonia", "--epochs", "2")["auc"] > 0.9


def test_spoken_digits_on_a_small_budget(tmp_path, capsys, monkeypatch):
    needs("fsdd_recordings.zip")
    monkeypatch.setattr(spoken_digits, "support_vectors", lambda: None)
    assert demo(capsys, tmp_path, "spoken-digits", "--epochs", "3")["accuracy"] > 0.6


def test_steering_on_a_small_budget(tmp_path, capsys, monkeypatch):
    needs("donkeycar_tub.tar.gz")
    monkeypatch.setattr(steering, "ridges", lambda *_: None)
    pytest.importorskip("PIL", reason='JPEG needs Pillow: pip install "nnfast[image]"')
    facts = demo(capsys, tmp_path, "steering", "--epochs", "4")
    assert facts["mean_absolute_error"] < 0.85 * facts["of_the_mean"]


@FULL
def test_mnist_whole(tmp_path, capsys):
    facts = demo(capsys, tmp_path, "mnist-cnn", "--seed", "0")
    assert facts["epochs"] <= 12
    assert facts["accuracy"] >= 0.994


@FULL
def test_spoken_digits_whole(tmp_path, capsys):
    assert demo(capsys, tmp_path, "spoken-digits", "--seed", "0")["accuracy"] >= 0.98


@FULL
def test_steering_whole(tmp_path, capsys):
    facts = demo(capsys, tmp_path, "steering", "--seed", "0")
    assert facts["mean_absolute_error"] <= 0.5 * facts["of_the_mean"]
    assert facts["mean_absolute_error"] < facts["ridge"]["pixels"]


@FULL
def test_pneumonia_whole(tmp_path, capsys):
    assert demo(capsys, tmp_path, "pneumonia", "--seed", "0")["auc"] >= 0.93
