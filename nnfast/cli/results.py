"""What demos have in common: convolutions in their nets, what is saved, and how sure a figure is.

In: a trained model, its history, scores. Out: files, and facts for the report.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import nnfast
from nnfast import layers, schedules
from nnfast.errors import MissingExtraError

RESAMPLES = 2000


def convolved(filters: int, size: int = 3, strides: int = 1, padding: str = "same") -> list[Any]:
    """A convolution, batch normalisation and relu.

    A momentum of 0.9: the statistics follow within a short training.
    """
    return [
        layers.Conv2D(filters, size, strides, padding, use_bias=False),
        layers.BatchNormalization(momentum=0.9),
        layers.Activation("relu"),
    ]


def rise_and_fall(rate: float, steps: int) -> Any:
    """A learning rate that rises from a tenth to `rate` in the first tenth of the steps, then falls to 0 along a cosine."""
    rising = max(steps // 10, 1)
    return schedules.CosineDecay(rate / 10, max(steps - rising, 1), warmup_target=rate, warmup_steps=rising)


def save(model: Any, history: Any, output: str, name: str) -> dict[str, str | None]:
    """Save the model and, where matplotlib is there, a plot of the training; returns where."""
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / f"{name}.nnf")
    plot: str | None = str(folder / f"{name}.png")
    try:
        history.plot(plot)
    except MissingExtraError:
        plot = None
    return {"model": str(folder / f"{name}.nnf"), "plot": plot}


def settings(name: str, epochs: int, batch_size: int, seed: int, seconds: float) -> dict[str, Any]:
    """The facts that stand first."""
    return {
        "data": name,
        "epochs": epochs,
        "batch_size": batch_size,
        "seed": seed,
        "threads": nnfast.get_num_threads(),
        "seconds": round(seconds, 3),
    }


def interval(measure: Callable[[Any, Any], float], scores: Any, labels: Any) -> tuple[float, float]:
    """95 % of what a measure gives on rows drawn again, as many of each class as there are (Efron 1979).

    >>> interval(lambda scores, labels: scores.mean(), np.ones(5), np.array([0, 1, 1, 1, 0]))
    (1.0, 1.0)
    """
    rng = np.random.default_rng(0)
    classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    found = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([rng.choice(own, len(own)) for own in classes])
        found.append(measure(scores[rows], labels[rows]))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def show(facts: dict[str, Any], lines: dict[str, str], as_json: bool) -> None:
    """Print the facts as JSON, or the lines of a report and where the files are."""
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    plot = facts["plot"] or 'needs matplotlib: pip install "nnfast[viz]"'
    print()
    for title, text in (lines | {"model": facts["model"], "plot": plot}).items():
        print(f"{title:28} {text}")


def classical(figure: str | None) -> str:
    """The figure of a method of scikit-learn, or how to get it."""
    return figure or 'needs scikit-learn: pip install "nnfast[sklearn]"'
