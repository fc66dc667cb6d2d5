"""`nnfast demo steering`: how far does the driver of a model car turn the wheel, seen what its camera sees?

In: number of epochs, seed, a folder. Out: progress, the mean absolute error on blocks of frames held out, beside the mean, a ridge regression on
pixels and one on histograms of gradients; a saved model, a plot.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import nnfast
from nnfast import datasets, layers
from nnfast.cli import results
from nnfast.cli.features import gradient_histograms
from nnfast.cli.results import convolved

EPOCHS, BATCH, RATE = 40, 32, 4e-3
BLOCK, HELD_BACK = 80, 16  # training frames between two blocks held out; the last of them validate
FRAMES = 9  # whose mean angle is learned
PENALTIES = (1, 3, 10, 30, 100, 300)  # of the ridge regressions, the best of them on the validation frames


def run(epochs: int | None, seed: int, output: str, as_json: bool) -> int:
    """Train, compare, save, print; returns 0."""
    epochs = epochs or EPOCHS
    (x, y), (x_test, y_test) = datasets.load_donkeycar()
    x, x_test = halved(x), halved(x_test)
    kept = np.arange(len(y)) % BLOCK < BLOCK - HELD_BACK
    train, validation = (x[kept], calmed(y[kept], BLOCK - HELD_BACK)), (x[~kept], y[~kept])
    data = augmented(*train, seed)
    model = make_model(epochs * len(data), seed)
    if not as_json:
        print(
            f"Frames of a model car: {kept.sum()} for training, {(~kept).sum()} for validation, {len(y_test)} for the test, in blocks"
        )
        print(f"convolutional net, {model.count_params():,} weights, AdamW; seed {seed}")
    begin = time.perf_counter()
    history = model.fit(data, epochs=epochs, validation_data=validation, verbose=0 if as_json else "auto")
    facts = results.settings("steering", epochs, BATCH, seed, time.perf_counter() - begin)
    facts["validation_error"] = history.history["val_mean_absolute_error"][-1]
    facts["mean_absolute_error"] = mean_error(model.predict(x_test, verbose=0)[:, 0], y_test)
    facts["of_the_mean"] = mean_error(train[1].mean(), y_test)
    facts["ridge"] = ridges(train, validation, (x_test, y_test))
    facts |= results.save(model, history, output, "steering")
    other = facts["ridge"] or {}
    part = facts["mean_absolute_error"] / facts["of_the_mean"]
    lines = {
        "mean absolute error": f"{facts['mean_absolute_error']:.3f}, {part:.0%} of the mean's, after {facts['seconds']:.0f} s",
        "on the validation frames": f"{facts['validation_error']:.3f}",
        "always the mean angle": f"{facts['of_the_mean']:.3f}",
        "ridge regression": results.classical(None if not other else f"{other['pixels']:.3f}, pixels"),
    }
    if other:
        lines["ridge regression again"] = f"{other['gradients']:.3f}, histograms of gradients"
    results.show(facts, lines, as_json)
    return 0


def halved(images: Any) -> Any:
    """Frames (n, height, width, 3) of half the size: float32, the mean of 2 x 2 pixels.

    >>> halved(np.zeros((2, 120, 160, 3), "uint8")).shape
    (2, 60, 80, 3)
    """
    n, height, width, channels = images.shape
    return images.reshape(n, height // 2, 2, width // 2, 2, channels).mean((2, 4), dtype=np.float32)


def calmed(angles: Any, block: int) -> Any:
    """The mean angle of FRAMES frames around each, within blocks of frames that follow each other.

    The driver steers in jerks, which no single frame can foretell: on the validation frames, the error of the ridge regression on gradients
    fell from 0.149 to 0.138.

    >>> calmed(np.arange(20.0), 10)[[0, 5, 19]].round(2).tolist()
    [1.11, 5.0, 17.89]
    """
    half = FRAMES // 2
    rows = np.pad(angles.reshape(-1, block), ((0, 0), (half, half)), "edge")
    return np.lib.stride_tricks.sliding_window_view(rows, FRAMES, axis=1).mean(-1).ravel()


def augmented(x: Any, y: Any, seed: int) -> Any:
    """Batches of frames (n, 60, 80, 3) that are moved, turned, zoomed and lit a little, and of their mirror images, where the wheel turns
    the other way."""
    nnfast.set_random_seed(seed)
    changes = [
        layers.RandomRotation(0.015, fill_mode="nearest"),
        layers.RandomTranslation(0.08, 0.05, fill_mode="nearest"),
        layers.RandomZoom(0.1, fill_mode="nearest"),
        layers.RandomBrightness(0.2),
        layers.RandomContrast(0.3),
    ]
    mirrored = np.concatenate([x, x[:, :, ::-1]])
    return nnfast.AugmentedData(mirrored, np.concatenate([y, -y]), changes, batch_size=BATCH, seed=seed)


def make_model(steps: int, seed: int) -> Any:
    """Four convolutions that halve the frames, the mean over the picture, two dense layers; takes frames of 0 to 255, gives angles."""
    nnfast.set_random_seed(seed)
    model = nnfast.Sequential(
        [
            nnfast.Input((60, 80, 3)),
            layers.Rescaling(1 / 255),
            *convolved(16, 5, 2),
            *convolved(24, 3, 2),
            *convolved(32, 3, 2),
            *convolved(48, 3, 2),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.2),
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(1),
        ]
    )
    optimizer = nnfast.optimizers.AdamW(results.rise_and_fall(RATE, steps), weight_decay=1e-3)
    model.compile(optimizer, "mean_absolute_error", metrics=["mean_absolute_error"])
    return model


def mean_error(found: Any, wanted: Any) -> float:
    """The mean absolute error.

    >>> mean_error(np.array([0.0, 1.0]), np.array([0.5, 1.0]))
    0.25
    """
    return float(np.abs(found - wanted).mean())


def ridges(train: Any, validation: Any, test: Any) -> dict[str, float] | None:
    """Errors of scikit-learn's ridge regression on pixels and on features made by hand; None without it."""
    try:
        from sklearn.linear_model import Ridge
    except ImportError:
        return None
    errors = {}
    for name, features in (("pixels", pixels), ("gradients", lambda x: gradient_histograms(x.mean(-1)))):
        rows = [features(images) for images, _ in (train, validation, test)]
        methods = [Ridge(alpha=penalty).fit(rows[0], train[1]) for penalty in PENALTIES]
        best = min(methods, key=lambda method: mean_error(method.predict(rows[1]), validation[1]))
        errors[name] = mean_error(best.predict(rows[2]), test[1])
    return errors


def pixels(images: Any) -> Any:
    """Frames of half the size once more, as rows of numbers from 0 to 1.

    >>> pixels(np.zeros((2, 60, 80, 3), "float32")).shape
    (2, 3600)
    """
    return halved(images).reshape(len(images), -1) / np.float32(255)
