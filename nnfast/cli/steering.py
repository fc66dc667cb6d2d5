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

EPOCHS, BATCH, RATE = 30, 32, 2e-3
BLOCK, HELD_BACK = 80, 16  # training frames between two blocks held out; the last of them validate
PENALTIES = (1, 3, 10, 30, 100, 300)  # of the ridge regressions, the best of them on the validation frames


def run(epochs: int | None, seed: int, output: str, as_json: bool) -> int:
    """Train, compare, save, print; returns 0."""
    epochs = epochs or EPOCHS
    (x, y), (x_test, y_test) = datasets.load_donkeycar()
    kept = np.arange(len(y)) % BLOCK < BLOCK - HELD_BACK
    train, validation = (x[kept], y[kept]), (x[~kept], y[~kept])
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


def augmented(x: Any, y: Any, seed: int) -> Any:
    """Batches of frames (n, 120, 160, 3) of another light, and of the same frames in a mirror, where the wheel turns the other way."""
    nnfast.set_random_seed(seed)
    changes = [layers.RandomBrightness(0.2), layers.RandomContrast(0.3)]
    mirrored = np.concatenate([x, x[:, :, ::-1]])
    return nnfast.AugmentedData(mirrored, np.concatenate([y, -y]), changes, batch_size=BATCH, seed=seed)


def make_model(steps: int, seed: int) -> Any:
    """Frames of half the size through four convolutions that halve them again; takes frames of 0 to 255, gives angles."""
    nnfast.set_random_seed(seed)
    model = nnfast.Sequential(
        [
            nnfast.Input((120, 160, 3)),
            layers.Rescaling(1 / 255),
            layers.AveragePooling2D(2),
            *convolved(24, 5, 2),
            *convolved(32, 3, 2),
            *convolved(48, 3, 2),
            *convolved(64, 3, 2),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(1),
        ]
    )
    optimizer = nnfast.optimizers.AdamW(results.rise_and_fall(RATE, steps), weight_decay=1e-3)
    model.compile(optimizer, "mse", metrics=["mean_absolute_error"])
    return model


def mean_error(found: Any, wanted: Any) -> float:
    """The mean absolute error.

    >>> mean_error(np.array([0.0, 1.0]), np.array([0.5, 1.0]))
    0.25
    """
    return float(np.abs(found - wanted).mean())


def ridges(train: Any, validation: Any, test: Any) -> dict[str, float] | None:
    """The errors of scikit-learn's ridge regression on pixels of frames of a quarter of the size, and on features made by hand; None without it."""
    try:
        from sklearn.linear_model import Ridge
    except ImportError:
        return None
    errors = {}
    for name, features in (("pixels", smaller), ("gradients", lambda x: gradient_histograms(_halved(x).mean(-1)))):
        rows = [features(images) for images, _ in (train, validation, test)]
        methods = [Ridge(alpha=penalty).fit(rows[0], train[1]) for penalty in PENALTIES]
        best = min(methods, key=lambda method: mean_error(method.predict(rows[1]), validation[1]))
        errors[name] = mean_error(best.predict(rows[2]), test[1])
    return errors


def smaller(images: Any) -> Any:
    """Pixels from 0 to 1 of frames (n, height, width, 3) of a quarter of the size: float32 (n, height / 4 * width / 4 * 3).

    >>> smaller(np.zeros((2, 120, 160, 3), "uint8")).shape
    (2, 3600)
    """
    return (_halved(_halved(images)) / np.float32(255)).reshape(len(images), -1)


def _halved(images: Any) -> Any:
    n, height, width, channels = images.shape
    return images.reshape(n, height // 2, 2, width // 2, 2, channels).mean((2, 4), dtype=np.float32)
