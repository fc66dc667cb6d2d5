"""`nnfast demo mnist-cnn`: a small convolutional net on handwritten digits that are turned, moved and zoomed a little.

In: number of epochs, seed, a folder. Out: progress, accuracy on the test set beside a support vector machine on histograms of gradients, a
saved model, a plot.
"""

from __future__ import annotations

import time
from typing import Any

import nnfast
from nnfast import datasets, layers
from nnfast.cli import results
from nnfast.cli.features import gradient_histograms
from nnfast.cli.results import convolved

EPOCHS, BATCH, RATE = 12, 128, 4e-3
HELD_BACK = 5000  # of the training images: what is tried out is judged on these
COMPONENTS = 60  # of the features, which the support vector machine sees


def run(epochs: int | None, seed: int, output: str, as_json: bool) -> int:
    """Train, compare, save, print; returns 0."""
    epochs = epochs or EPOCHS
    (x, y), (x_test, y_test) = datasets.load_mnist()
    validation = x[-HELD_BACK:, ..., None], y[-HELD_BACK:]
    data = augmented(x[:-HELD_BACK], y[:-HELD_BACK], seed)
    model = make_model(epochs * len(data), seed)
    if not as_json:
        print(f"MNIST: {len(data.x):,} digits for training, {HELD_BACK:,} for validation, {len(x_test):,} for the test")
        print(f"convolutional net, {model.count_params():,} weights, Adam; seed {seed}")
    begin = time.perf_counter()
    history = model.fit(data, epochs=epochs, validation_data=validation, verbose=0 if as_json else "auto")
    facts = results.settings("mnist-cnn", epochs, BATCH, seed, time.perf_counter() - begin)
    facts["validation_accuracy"] = history.history["val_accuracy"][-1]
    facts["accuracy"] = float(model.evaluate(x_test[..., None], y_test, verbose=0)[1])
    facts["support_vectors"] = support_vectors(x[:-HELD_BACK], y[:-HELD_BACK], x_test, y_test)
    facts |= results.save(model, history, output, "mnist-cnn")
    wrong = round((1 - facts["accuracy"]) * len(y_test))
    other = facts["support_vectors"]
    lines = {
        "accuracy on the test set": f"{facts['accuracy']:.2%}, {wrong} of {len(y_test):,} wrong, after {facts['seconds']:.0f} s",
        "on the validation set": f"{facts['validation_accuracy']:.2%}",
        "support vector machine": results.classical(other and f"{other:.2%}, histograms of gradients"),
    }
    results.show(facts, lines, as_json)
    return 0


def augmented(x: Any, y: Any, seed: int) -> Any:
    """Batches of digits (n, 28, 28) that are turned by up to 11 degrees, moved by up to 2 pixels and zoomed by up to a tenth."""
    nnfast.set_random_seed(seed)
    changes = [
        layers.RandomRotation(0.03, fill_mode="constant"),
        layers.RandomTranslation(0.08, 0.08, fill_mode="constant"),
        layers.RandomZoom(0.1, fill_mode="constant"),
    ]
    return nnfast.AugmentedData(x[..., None], y, changes, batch_size=BATCH, seed=seed)


def make_model(steps: int, seed: int) -> Any:
    """Twice two convolutions and a pool, then a dense layer; takes images of 0 to 255."""
    nnfast.set_random_seed(seed)
    model = nnfast.Sequential(
        [
            nnfast.Input((28, 28, 1)),
            layers.Rescaling(1 / 255),
            *convolved(16, padding="valid"),
            *convolved(32, padding="valid"),
            layers.MaxPooling2D(),
            *convolved(48, padding="valid"),
            *convolved(64, padding="valid"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(10),
        ]
    )
    loss = nnfast.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(nnfast.optimizers.Adam(results.rise_and_fall(RATE, steps)), loss, metrics=["accuracy"])
    return model


def support_vectors(x: Any, y: Any, x_test: Any, y_test: Any) -> float | None:
    """Accuracy of scikit-learn's support vector machine on features made by hand; None without it."""
    try:
        from sklearn.decomposition import PCA
        from sklearn.pipeline import make_pipeline
        from sklearn.svm import SVC
    except ImportError:
        return None
    method = make_pipeline(PCA(COMPONENTS, svd_solver="covariance_eigh"), SVC(C=10))
    method.fit(gradient_histograms(x), y)
    return float(method.score(gradient_histograms(x_test), y_test))
