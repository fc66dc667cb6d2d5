"""Runs the batches of one epoch through plans: whole runs of batches where nobody wants to see each, one by one otherwise.

In: a source of data and a function that gives the Step for a batch's shapes. Out: Totals, from which logs are computed. A run of
batches is one call into compiled code of about a tenth of a second, so that Ctrl-C is heard and progress is shown. Totals know of every
batch that was run, also when Ctrl-C comes at its end.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nnfast.data import ArraySource, BatchSource
from nnfast.environment import debug_words
from nnfast.ops.random import SLOT
from nnfast.plan.show import show_times
from nnfast.training.state import MOST_BATCHES, TrainingState
from nnfast.training.step import Record, Step

RUN_SECONDS = 0.1


class Totals:
    """Sums over the batches of an epoch, in float64 and in the order of the batches."""

    def __init__(self) -> None:
        self.rows = 0
        self.batches = 0
        self.sums = np.zeros(0)
        self.step: Step | None = None  # of the last batch

    def add(self, step: Step, log: np.ndarray) -> None:
        """Add the log of some batches, [batches, width]. Losses are means over rows, statistics are sums."""
        if self.step is None:
            self.sums = np.zeros(step.width)
        factors = np.ones(step.width)
        for record in step.records:
            if record.metric is None:
                factors[record.start] = step.rows
        # cumsum adds one row after the other; sum would not keep an order
        self.sums = np.cumsum(np.vstack([self.sums, log * factors]), axis=0)[-1]
        self.step = step
        self.rows += step.rows * len(log)
        self.batches += len(log)

    def take(self, rows: int, batches: int, sums: np.ndarray, step: Step) -> None:
        """Go on from these sums; step is one like that of the last batch."""
        self.rows, self.batches, self.sums, self.step = rows, batches, sums, step

    def logs(self) -> dict[str, Any]:
        """Means of the losses over rows, and the metrics."""
        statistics: dict[str, list[np.ndarray]] = {}
        records: list[Record] = [] if self.step is None else self.step.records
        for record in records:
            statistics.setdefault(record.name, []).append(self.sums[record.start : record.stop].reshape(record.shape))
        metrics = {record.name: record.metric for record in records}
        found = {}
        for name, parts in statistics.items():
            found[name] = float(parts[0]) / self.rows if metrics[name] is None else metrics[name].compute(parts)
        return found


class Phase:
    """Runs steps of one kind (training or test) over a source."""

    def __init__(
        self,
        state: TrainingState,
        step_for: Callable[[int, list[np.ndarray]], Step],
        rates: Callable[[int], np.ndarray] | None,
        totals: Totals,
    ) -> None:
        self.state = state
        self.step_for = step_for  # (rows, arrays) -> Step
        self.rates = rates  # (count) -> learning rates of the next steps; None in a test
        self.totals = totals  # of the epoch; what is in them already is left out by `run`
        self.before_run: Callable[[], None] = _nothing
        self._log = np.zeros((MOST_BATCHES, 1))

    def run(
        self,
        source: ArraySource | BatchSource,
        order: np.ndarray | None,
        batch_size: int,
        steps: int | None,
        most: Callable[[], int] | None = None,
    ) -> Iterator[int]:
        """Run what is left of an epoch; yields the number of batches after each run of them, which is at most `most()`."""
        done = self.totals.batches
        if isinstance(source, BatchSource):
            for arrays in source.epoch(steps, done):
                rows = len(arrays[0])
                yield self._batches(arrays, np.arange(rows), 0, rows, 1)
            return
        assert order is not None
        alike = (lambda: self.state.alike) if self.rates is not None else (lambda: MOST_BATCHES)
        whole, rest = divmod(len(order), batch_size)
        if steps is not None and steps <= whole:
            whole, rest = steps, 0
        size = 1
        while done < whole:
            count = min(size, whole - done, MOST_BATCHES, most() if most is not None else MOST_BATCHES, alike())
            begin = time.perf_counter()
            self._batches(source.arrays, order, done * batch_size, batch_size, count)
            seconds = time.perf_counter() - begin
            yield count
            done += count
            size = max(1, min(MOST_BATCHES, 4 * size, int(count * RUN_SECONDS / max(seconds, 1e-9))))
        if rest and done == whole:
            yield self._batches(source.arrays, order, whole * batch_size, rest, 1)

    def _batches(self, arrays: list[np.ndarray], order: np.ndarray, first: int, rows: int, count: int) -> int:
        self.before_run()
        step = self.step_for(rows, arrays)
        plan = step.plan
        if self._log.shape[1] != step.width:
            self._log = np.zeros((MOST_BATCHES, step.width))
        for i, array in enumerate(arrays):
            plan.bind_source(i, array)
        plan.bind_order(order)
        plan.bind_log(self._log)
        self.state.begin_run(first)
        if self.rates is not None:
            self.state.learning_rates.storage[:count] = self.rates(count)
        timed = "time" in debug_words()
        try:
            plan.run(count, profile=timed)
        finally:
            ran = int(self.state.counters.storage[SLOT])
            if ran:
                self.totals.add(step, self._log[:ran])
        if timed:
            print(show_times(plan, count), file=sys.stderr)
        return count


def _nothing() -> None:
    pass
