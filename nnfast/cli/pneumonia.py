"""`nnfast demo pneumonia`: does a child's chest X-ray show pneumonia? Most of the training pictures do, so classes are weighted.

In: number of epochs, seed, a folder. Out: progress, AUC and balanced accuracy with intervals beside a logistic regression on histograms of
gradients, a saved model, a plot.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import nnfast
from nnfast import datasets, layers
from nnfast.cli import results
from nnfast.cli.features import gradient_histograms
from nnfast.cli.income import area_under_curve
from nnfast.cli.results import convolved

EPOCHS, BATCH, RATE = 15, 64, 2e-3


def run(epochs: int | None, seed: int, output: str, as_json: bool) -> int:
    """Train, compare, save, print; returns 0."""
    epochs = epochs or EPOCHS
    (x, y), (x_val, y_val), (x_test, y_test) = datasets.load_pneumonia_mnist()
    weights = {label: float(len(y) / (2 * (y == label).sum())) for label in (0, 1)}
    data = augmented(x, y, seed)
    model = make_model(epochs * len(data), seed)
    if not as_json:
        print(f"Chest X-rays: {len(y):,} for training, {len(y_val)} for validation, {len(y_test)} for the test")
        print(
            f"pneumonia in {y.mean():.0%}, {y_val.mean():.0%} and {y_test.mean():.0%} of them; class weights {weights[0]:.2f} and {weights[1]:.2f}"
        )
        print(f"convolutional net, {model.count_params():,} weights, AdamW; seed {seed}")
    begin = time.perf_counter()
    validation = x_val[..., None], y_val.astype(np.float32)
    history = model.fit(
        data, epochs=epochs, class_weight=weights, validation_data=validation, verbose=0 if as_json else "auto"
    )
    facts = results.settings("pneumonia", epochs, BATCH, seed, time.perf_counter() - begin)
    scores = {
        name: model.predict(images[..., None], verbose=0)[:, 0] for name, images in (("val", x_val), ("test", x_test))
    }
    facts["validation_auc"] = area_under_curve(scores["val"], y_val)
    facts |= judged(scores["test"], y_test, threshold(scores["val"], y_val))
    facts["logistic_regression"] = logistic_regression((x, y), (x_val, y_val), (x_test, y_test))
    facts |= results.save(model, history, output, "pneumonia")
    lines = {"net": f"{_figures(facts)}, after {facts['seconds']:.0f} s"}
    other = facts["logistic_regression"]
    lines["logistic regression"] = results.classical(other and f"{_figures(other)}, histograms of gradients")
    if not as_json:
        print(f"\nOn the test set, with 95 % intervals; the validation AUC was {facts['validation_auc']:.3f}.")
    results.show(facts, lines, as_json)
    return 0


def augmented(x: Any, y: Any, seed: int) -> Any:
    """Batches of pictures (n, 28, 28) that are mirrored, moved, turned, zoomed, and exposed otherwise."""
    nnfast.set_random_seed(seed)
    changes = [
        layers.RandomFlip("horizontal"),
        layers.RandomTranslation(0.1, 0.1, fill_mode="nearest"),
        layers.RandomRotation(0.03, fill_mode="nearest"),
        layers.RandomZoom(0.1, fill_mode="nearest"),
        layers.RandomContrast(0.3),
        layers.RandomBrightness(0.15),
    ]
    return nnfast.AugmentedData(x[..., None], y.astype(np.float32), changes, batch_size=BATCH, seed=seed)


def make_model(steps: int, seed: int) -> Any:
    """Three times two convolutions, the mean over the picture, a logit; takes pictures of 0 to 255."""
    nnfast.set_random_seed(seed)
    model = nnfast.Sequential(
        [
            nnfast.Input((28, 28, 1)),
            layers.Rescaling(1 / 255),
            *convolved(16),
            *convolved(16),
            layers.MaxPooling2D(),
            *convolved(32),
            *convolved(32),
            layers.MaxPooling2D(),
            *convolved(64),
            *convolved(64),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.4),
            layers.Dense(1),
        ]
    )
    optimizer = nnfast.optimizers.AdamW(results.rise_and_fall(RATE, steps), weight_decay=1e-3)
    model.compile(optimizer, nnfast.losses.BinaryCrossentropy(from_logits=True))
    return model


def threshold(scores: Any, labels: Any) -> float:
    """The score from which on "pneumonia" is said: with the greatest balanced accuracy on these, in the middle of two scores.

    >>> threshold(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0, 0, 1, 1]))
    1.5
    """
    ordered = np.unique(scores)
    between = (ordered[1:] + ordered[:-1]) / 2
    return float(max(between, key=lambda least: balanced_accuracy(scores >= least, labels), default=0.0))


def balanced_accuracy(found: Any, labels: Any) -> float:
    """The mean of what is right among the healthy and among the ill.

    >>> balanced_accuracy(np.array([False, True, True, True]), np.array([0, 0, 1, 1]))
    0.75
    """
    return float(np.mean([np.mean((found == label)[labels == label]) for label in (0, 1)]))


def judged(scores: Any, labels: Any, least: float) -> dict[str, Any]:
    """AUC, and the balanced accuracy where `least` divides, with intervals of 95 %."""
    found = scores >= least
    return {
        "auc": area_under_curve(scores, labels),
        "auc_interval": results.interval(area_under_curve, scores, labels),
        "balanced_accuracy": balanced_accuracy(found, labels),
        "balanced_accuracy_interval": results.interval(balanced_accuracy, found, labels),
        "sensitivity": float(np.mean(found[labels == 1])),
        "specificity": float(np.mean(~found[labels == 0])),
    }


def logistic_regression(train: Any, validation: Any, test: Any) -> dict[str, Any] | None:
    """The same figures of scikit-learn's logistic regression on features made by hand; None without it."""
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
    except ImportError:
        return None
    method = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", max_iter=500))
    method.fit(gradient_histograms(train[0]), train[1])
    scores = [method.decision_function(gradient_histograms(images)) for images, _ in (validation, test)]
    return judged(scores[1], test[1], threshold(scores[0], validation[1]))


def _figures(facts: dict[str, Any]) -> str:
    low, high = facts["auc_interval"]
    text = f"AUC {facts['auc']:.3f} ({low:.3f} to {high:.3f}), balanced accuracy "
    low, high = facts["balanced_accuracy_interval"]
    return text + f"{facts['balanced_accuracy']:.1%} ({low:.1%} to {high:.1%})"
