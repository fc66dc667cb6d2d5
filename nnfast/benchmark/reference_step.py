"""A model's training step, by nnfast and by the NumPy reference: compared, and timed.

In: a compiled model and one batch. Out: seconds per step of both. The reference interprets the very graph that nnfast's
plan was made from, and keeps weights, optimizer state and counters of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnfast import reference
from nnfast.benchmark.timing import interleaved_medians
from nnfast.data import ArraySource
from nnfast.errors import NnfastError
from nnfast.ops.random import ITERATION

STEPS = 16  # steps of one call, so that what fit does once per call is spread as in an epoch
CHECKED = 5
RELATIVE = 1e-4  # float32 losses after some steps; sums are taken in another order


class ReferenceStep:
    """Training steps on one batch, interpreted in NumPy.

    Args:
        model: a compiled model.
        x, y: one batch.
    """

    def __init__(self, model: Any, x: NDArray[Any], y: NDArray[Any]) -> None:
        model.predict_on_batch(x)  # builds a model that has no Input
        source = ArraySource(x, y)
        model.prepare_training(source)
        arrays = list(source.arrays)
        self.graph = model.train_step_for(len(x), arrays).plan.graph
        self.feeds = [array.astype(value.dtype) for array, value in zip(arrays, self.graph.inputs, strict=True)]
        self.contents = {value.payload: value.payload.numpy() for value in self.graph.variables.values()}
        self.counters = self.contents[model.state.counters]
        rates = model.optimizer.learning_rates(model.state.iteration, 1)
        self.contents[model.state.learning_rates][: len(rates)] = rates

    def run(self) -> float:
        """One step; returns the loss before it."""
        outputs, updated = reference.run(self.graph, self.feeds, self.contents)
        self.contents.update(updated)
        self.counters[ITERATION] += 1
        return float(outputs[0])


def check_step(model: Any, x: NDArray[Any], y: NDArray[Any], batch_size: int) -> None:
    """Train some steps with both from the same weights.

    Raises:
        NnfastError: the losses differ.
    """
    x, y = x[:batch_size], y[:batch_size]
    steps = ReferenceStep(model, x, y)
    for step in range(CHECKED):
        found = model.train_on_batch(x, y)
        loss = float(found[0] if isinstance(found, list) else found)
        expected = steps.run()
        if not abs(loss - expected) <= RELATIVE * abs(expected):
            raise NnfastError(f"step {step}: the loss is {loss:.7g}, in the NumPy reference {expected:.7g}")


def make_steps(model: Any, x: NDArray[Any], y: NDArray[Any], batch_size: int) -> dict[str, Callable[[], object]]:
    """Functions that train STEPS steps each, by nnfast and by the reference."""
    x, y = x[:batch_size], y[:batch_size]
    steps = ReferenceStep(model, x, y)
    many_x, many_y = np.concatenate([x] * STEPS), np.concatenate([y] * STEPS)

    def with_nnfast() -> object:
        return model.fit(many_x, many_y, batch_size=batch_size, shuffle=False, verbose=0)

    def with_numpy() -> object:
        return [steps.run() for _ in range(STEPS)]

    return {"nnfast": with_nnfast, "numpy": with_numpy}


def step_times(model: Any, x: NDArray[Any], y: NDArray[Any], batch_size: int, rounds: int = 9) -> dict[str, float]:
    """Median seconds per training step of both, which take turns."""
    times = interleaved_medians(make_steps(model, x, y, batch_size), rounds)
    return {name: seconds / STEPS for name, seconds in times.items()}
