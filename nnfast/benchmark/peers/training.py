"""Training in a library whose user writes the loop: one function trains one step, the rest is the same for all.

In: a function of the learning rate that makes a network afresh and returns its step, (rows, labels) -> loss. Out: Work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nnfast.benchmark import inputs
from nnfast.benchmark.cases import TRAINING_EPOCHS, Case
from nnfast.benchmark.peers import Array, Work, repeated

LEARNING_RATE = 0.001
# While time is taken: a network that has learned its rows by heart has gradients so small that denormal numbers slow every library.
TIMED_RATE = 1e-6
WEIGHT_DECAY = 0.01  # of AdamW
CHECKED = 3  # steps whose losses are compared
Step = Callable[[Any, Any], Any]


def timed_rate(case: Case) -> float:
    """The learning rate while time is taken; a whole training learns, since its loss is compared."""
    return LEARNING_RATE if case.kind == "whole training" else TIMED_RATE


def train_by_steps(
    case: Case,
    make_step: Callable[[float], Step],
    convert: Callable[[Array], Any] = lambda array: array,
    finish: Callable[[Any], object] = lambda loss: loss,
) -> Work:
    """Work of a training case.

    Args:
        convert: an array into the library's own, done before the time is taken, except by train_on_batch.
        finish: waits for a loss, and all before it.
    """
    x, y = inputs.rows_and_labels(case)
    size = case.batch
    batches = [(convert(x[i : i + size]), convert(y[i : i + size])) for i in range(0, len(x), size)]
    on_batch = case.kind == "train_on_batch"
    made: list[Step] = []

    def step() -> Step:
        if not made:
            made.append(make_step(timed_rate(case)))  # with the first use, as `fit` makes its plan
        return made[0]

    def epochs(count: int, train: Step) -> list[float]:
        means = []
        for _ in range(count):
            losses = [train(*batch) for batch in batches]
            finish(losses[-1])
            means.append(losses)
        return [float(np.mean([float(loss) for loss in losses])) for losses in means]

    def run(count: int) -> None:
        for _ in range(count):
            for batch in batches:
                loss = step()(*batch)
            finish(loss)

    def result() -> list[Array]:
        fresh = make_step(LEARNING_RATE)
        if case.kind == "whole training":
            return [np.array(epochs(TRAINING_EPOCHS, fresh))]
        chosen = [batches[0]] * CHECKED if on_batch else batches[:CHECKED]
        return [np.array([float(fresh(*batch)) for batch in chosen])]

    if case.kind == "whole training":
        return Work(repeated(lambda: epochs(TRAINING_EPOCHS, step())), result)
    if on_batch:
        return Work(repeated(lambda: finish(step()(convert(x[:size]), convert(y[:size])))), result)
    return Work(run, result, times=len(batches))
