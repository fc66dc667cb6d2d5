"""train_on_batch and test_on_batch for batches like earlier ones: a check that nothing has changed, and one call into compiled code.

In: plain arrays of a shape and dtype that the long way (Model._on_batch) has taken before. Out: logs with the same bits, or None: then
the long way converts, plans, or says what is wrong. With 4-64-64-2 and batch 4 a call takes 3 us beside the step, the long way 190 us
(two-core Intel Xeon, AVX-512, 2026-11).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnfast._core.calls import BatchCall
from nnfast.config import get_num_threads
from nnfast.environment import debug_words
from nnfast.optimizers.base import Optimizer
from nnfast.plan.plan import SOURCE_CODES
from nnfast.training.phase import Totals
from nnfast.training.step import Step

MOST = 8  # calls kept for each kind of step
INT32 = np.iinfo(np.int32)


class QuickSteps:
    """The prepared calls of one `compile`."""

    def __init__(self, compiled: Any) -> None:
        self.compiled = compiled
        self.calls: dict[str, list[tuple[BatchCall, Step]]] = {"train": [], "accumulate": [], "test": []}
        self.own_rates = type(compiled.optimizer).learning_rates is not Optimizer.learning_rates

    def run(self, kind: str, x: Any, y: Any) -> dict[str, Any] | None:
        """Logs of one step; None where no prepared call takes these arrays."""
        state = self.compiled.model.state
        if kind == "train" and state.batches_of_update > 1:
            kind = state.kind
            state.count_updates()
        calls = self.calls[kind]
        if not calls:
            return None
        if not self.compiled.unchanged():
            calls[:] = [(call, step) for call, step in calls if self.compiled.knows(step)]
        threads = get_num_threads()
        rate = self._rate() if kind != "test" else 0.0
        for i, (call, step) in enumerate(calls):
            if call.threads == threads and call.run((x, y), rate):
                if i:
                    calls.insert(0, calls.pop(i))
                if len(step.records) == 1:
                    return {"loss": call.mean()}
                totals = Totals()
                totals.add(step, call.log)
                return totals.logs()
        return None

    def _rate(self) -> float:
        rate = self.compiled.optimizer._learning_rate
        if type(rate) is float and not self.own_rates:
            return rate
        state = self.compiled.model.state
        return float(self.compiled.optimizer.rates_of_batches(state.iteration, 1)[0])

    def add(self, kind: str, x: Any, y: Any, step: Step) -> None:
        """Prepare a call for batches like this one, for which the step was made; only plain arrays get one."""
        plain = all(type(array) is np.ndarray and _plain(array) for array in (x, y))
        if not plain or len(step.plan.graph.inputs) != 2 or "time" in debug_words():
            return
        limits = self._limits(y, step)
        if limits is not None:
            call = step.plan.batch_call([x, y], [None, limits], self.compiled.model.state.learning_rates.storage)
            self.calls[kind] = [(call, step), *self.calls[kind][: MOST - 1]]

    def _limits(self, y: np.ndarray, step: Step) -> tuple[float, float, bool] | None:
        """Between which targets a batch goes into this step without an error; None where that is not so simple."""
        target = self.compiled.targets[0]
        low, high, whole = -np.inf, np.inf, False
        if target.loss is not None:
            limits = target.loss.target_limits((len(y), *self.compiled.model.output_shapes[0][1:]))
            if limits is None:
                return None
            low, high, whole = limits
        if y.dtype.kind in "iu" and y.dtype.itemsize >= 4 and y.dtype != np.int32:
            if step.plan.graph.inputs[1].dtype != "int32":  # too large for labels, these; others may not be
                return None
            low, high = max(low, float(INT32.min)), min(high, float(INT32.max))
        return low, high, whole


def _plain(array: np.ndarray) -> bool:
    known = array.dtype.isnative and array.dtype.name in SOURCE_CODES
    return known and array.flags.c_contiguous and array.flags.aligned and array.size > 0
