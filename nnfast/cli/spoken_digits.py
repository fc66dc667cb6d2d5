"""`nnfast demo spoken-digits`: which digit is said? A net that takes raw samples; its first layer makes the spectrogram.

In: number of epochs, seed, a folder. Out: progress, accuracy on the official test set beside a support vector machine on cepstral
coefficients, a saved model, a plot.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import nnfast
from nnfast import datasets, layers
from nnfast.cli import results
from nnfast.cli.features import cepstra
from nnfast.cli.results import convolved

EPOCHS, BATCH, RATE = 25, 32, 4e-3
SAMPLE_RATE, SAMPLES = 8000, 8000  # Hz, and how many a net takes: one second
TAKES, HELD_BACK = 45, 5  # training recordings of each speaker and digit; those that validate
BANDS, HOP = 40, 128


def run(epochs: int | None, seed: int, output: str, as_json: bool) -> int:
    """Train, compare, save, print; returns 0."""
    epochs = epochs or EPOCHS
    (x, y), (x_test, y_test) = datasets.load_fsdd(SAMPLES)
    kept = np.arange(len(y)) % TAKES >= HELD_BACK
    data = augmented(x[kept], y[kept], seed)
    model = make_model(epochs * len(data), seed)
    if not as_json:
        print(
            f"Spoken digits, six speakers: {kept.sum():,} recordings for training, {(~kept).sum()} for validation, {len(y_test)} for the test"
        )
        print(f"spectrogram of {BANDS} mel bands, convolutions, {model.count_params():,} weights, AdamW; seed {seed}")
    begin = time.perf_counter()
    history = model.fit(data, epochs=epochs, validation_data=(x[~kept], y[~kept]), verbose=0 if as_json else "auto")
    facts = results.settings("spoken-digits", epochs, BATCH, seed, time.perf_counter() - begin)
    facts["validation_accuracy"] = history.history["val_accuracy"][-1]
    facts["accuracy"] = float(model.evaluate(x_test, y_test, verbose=0)[1])
    facts["support_vectors"] = support_vectors()
    facts |= results.save(model, history, output, "spoken-digits")
    wrong = round((1 - facts["accuracy"]) * len(y_test))
    other = facts["support_vectors"]
    lines = {
        "accuracy on the test set": f"{facts['accuracy']:.2%}, {wrong} of {len(y_test)} wrong, after {facts['seconds']:.0f} s",
        "on the validation set": f"{facts['validation_accuracy']:.2%}",
        "support vector machine": results.classical(other and f"{other:.2%}, cepstral coefficients"),
    }
    results.show(facts, lines, as_json)
    return 0


def augmented(x: Any, y: Any, seed: int) -> Any:
    """Batches of recordings (n, SAMPLES) that begin up to 0.3 seconds later."""
    nnfast.set_random_seed(seed)
    return nnfast.AugmentedData(x, y, [layers.RandomTimeShift((0, 0.3))], batch_size=BATCH, seed=seed)


def make_model(steps: int, seed: int) -> Any:
    """From samples to decibels in mel bands, of which parts are covered in training; each recording to mean 0 and deviation 1."""
    nnfast.set_random_seed(seed)
    model = nnfast.Sequential(
        [
            nnfast.Input((SAMPLES,)),
            layers.MelSpectrogram(256, HOP, sampling_rate=SAMPLE_RATE, num_mel_bins=BANDS, top_db=60.0),
            layers.Reshape((BANDS, 1 + SAMPLES // HOP, 1)),
            layers.InstanceNormalization(),
            layers.SpecAugment(2, 0.1, 2, 0.15),
            *convolved(24, 5, 2),
            *convolved(32),
            layers.MaxPooling2D(),
            *convolved(48),
            *convolved(64),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.3),
            layers.Dense(10),
        ]
    )
    loss = nnfast.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = nnfast.optimizers.AdamW(results.rise_and_fall(RATE, steps), weight_decay=1e-3)
    model.compile(optimizer, loss, metrics=["accuracy"])
    return model


def support_vectors() -> float | None:
    """Accuracy of scikit-learn's support vector machine on features made by hand; None without it."""
    try:
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import SVC
    except ImportError:
        return None
    (x, y), (x_test, y_test) = datasets.load_fsdd(None)
    method = make_pipeline(StandardScaler(), SVC(C=10)).fit(cepstra(x, SAMPLE_RATE), y)
    return float(method.score(cepstra(x_test, SAMPLE_RATE), y_test))
