"""`nnfast demo`: train a network on real data as a user would, and say how good and how fast it is.

In: the name of a data set. Out: progress, accuracy against a logistic regression, time per step against NumPy, a saved
model and a plot of the training.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import nnfast
from nnfast import datasets, layers
from nnfast.benchmark.reference_step import step_times
from nnfast.benchmark.timing import format_seconds
from nnfast.cli import baseline, results


@dataclass(frozen=True)
class Task:
    """A data set and the network for it."""

    title: str
    load: Callable[[], Any]
    highest: float  # value of a white pixel
    hidden: tuple[int, ...]
    epochs: int
    batch_size: int


TASKS = {
    "digits": Task("8 x 8 handwritten digits (UCI)", datasets.load_digits, 1.0, (128, 64), epochs=30, batch_size=32),
    "mnist": Task("MNIST, 28 x 28 digits", datasets.load_mnist, 255.0, (512, 256), epochs=10, batch_size=128),
}
CLASSES = 10


def run(name: str, epochs: int | None, seed: int, output: str, as_json: bool) -> int:
    """Train, compare, save, print; returns 0."""
    task = TASKS[name]
    epochs = epochs or task.epochs
    data = load(task)
    model = make_model(task, seed)
    if not as_json:
        _announce(task, data, seed)
    start = time.perf_counter()
    history = model.fit(
        data.x,
        data.y,
        batch_size=task.batch_size,
        epochs=epochs,
        validation_data=(data.x_test, data.y_test),
        verbose=0 if as_json else "auto",
    )
    seconds = time.perf_counter() - start
    facts = {
        "data": name,
        "epochs": epochs,
        "batch_size": task.batch_size,
        "seed": seed,
        "threads": nnfast.get_num_threads(),
        "seconds": round(seconds, 3),
        "accuracy": float(model.evaluate(data.x_test, data.y_test, verbose=0)[1]),
        "logistic_regression": _logistic_regression(task, data, epochs, seed),
    }
    facts |= results.save(model, history, output, name)
    facts["step_seconds"] = step_times(make_model(task, seed), data.x, data.y, task.batch_size)
    if as_json:
        print(json.dumps(facts, indent=2))
    else:
        _report(facts)
    return 0


@dataclass(frozen=True)
class Data:
    """Rows of pixels from 0 to 1, float32 (n, pixels), and labels (n,)."""

    x: Any
    y: Any
    x_test: Any
    y_test: Any


def load(task: Task) -> Data:
    """The data set as rows of pixels."""
    (x, y), (x_test, y_test) = task.load()

    def rows(images: Any) -> Any:
        return images.reshape(len(images), -1).astype(np.float32) / np.float32(task.highest)

    return Data(rows(x), y, rows(x_test), y_test)


def make_model(task: Task, seed: int) -> Any:
    """A multilayer network with dropout, compiled with Adam."""
    nnfast.set_random_seed(seed)
    stack: list[Any] = []
    for units in task.hidden:
        stack += [layers.Dense(units, activation="relu"), layers.Dropout(0.2)]
    model = nnfast.Sequential([*stack, layers.Dense(CLASSES)])
    loss = nnfast.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    return model


def _logistic_regression(task: Task, data: Data, epochs: int, seed: int) -> float:
    weights = baseline.train(data.x, data.y, CLASSES, epochs, task.batch_size, seed)
    return baseline.accuracy(data.x_test, data.y_test, *weights)


def _announce(task: Task, data: Data, seed: int) -> None:
    sizes = "-".join(str(size) for size in (data.x.shape[1], *task.hidden, CLASSES))
    print(f"{task.title}: {len(data.x):,} for training, {len(data.x_test):,} held out")
    print(f"network {sizes}, relu, dropout 0.2, Adam; seed {seed}, {nnfast.get_num_threads()} threads")


def _report(facts: dict[str, Any]) -> None:
    times = facts["step_seconds"]
    ratio = times["numpy"] / times["nnfast"]
    print()
    spent = f"after {facts['epochs']} epochs in {facts['seconds']:.1f} s"
    print(f"accuracy on held-out data    {facts['accuracy']:.2%}  {spent}")
    print(f"logistic regression, NumPy   {facts['logistic_regression']:.2%}  on the same rows")
    print(f"training step of {facts['batch_size']:3} rows    {format_seconds(times['nnfast'])}")
    print(f"the same step in NumPy       {format_seconds(times['numpy'])}, {ratio:.1f} times as long")
    print(f"model                        {facts['model']}")
    print("plot                         " + (facts["plot"] or 'needs matplotlib: pip install "nnfast[viz]"'))
