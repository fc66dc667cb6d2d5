"""value_and_grad: a scalar function of nnfast.ops and its gradient, as arrays, for training loops of one's own.

In: a function over nnfast.ops, and what to differentiate with respect to. Out: a function of arrays that runs one plan per shapes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nnfast import ops, passes
from nnfast.config import get_num_threads
from nnfast.errors import DtypeError, ShapeError
from nnfast.graph.ir import FLOATS, Graph, Value
from nnfast.graph.trace import is_variable, tracing
from nnfast.locks import free_in_child
from nnfast.passes.autodiff import gradients
from nnfast.plan.eager import as_tensor
from nnfast.plan.plan import build
from nnfast.training.state import TrainingState


class GradientFunction:
    """What value_and_grad returns: call it with arrays; plans are kept per shapes."""

    def __init__(self, function: Callable[..., Any], wrt: Any, training: bool) -> None:
        self.function = function
        self.wrt = wrt
        self.training = training
        self.state = TrainingState()
        self._plans: dict[Any, Any] = {}
        self._lock = free_in_child(threading.Lock())

    def variables(self) -> list[Any] | None:
        """The variables to differentiate with respect to; None stands for the arguments."""
        if self.wrt is None:
            return None
        if is_variable(self.wrt):
            return [self.wrt]
        return list(self.wrt) if isinstance(self.wrt, Sequence) else list(self.wrt.trainable_weights)

    def __call__(self, *arrays: Any) -> tuple[np.ndarray, list[np.ndarray]]:
        given = [as_tensor(a, "float32", "array") for a in arrays]
        with self._lock:
            key = (tuple((a.shape, str(a.dtype)) for a in given), get_num_threads())
            plan = self._plans.get(key)
            if plan is None or not plan.valid:
                plan = self._plans[key] = self._make(given)
            value, *found = plan.call(given)
            self.state.counters.storage[0] += 1  # random ops draw anew in each call
        return value, found

    def _make(self, arrays: Sequence[np.ndarray]) -> Any:
        graph = Graph()
        with tracing(graph, self.training, self.state.counters) as trace:
            inputs = [graph.input(a.shape, str(a.dtype), f"argument_{i}") for i, a in enumerate(arrays)]
            value: Any = self.function(*inputs)
            if not isinstance(value, Value):
                raise ShapeError(
                    f"value_and_grad: the function returned {type(value).__name__}: expected a scalar computed with nnfast.ops"
                )
            for loss in trace.losses:
                value = ops.add(value, loss)
            graph.outputs = [value]
            variables = self.variables()
            for variable in variables or []:
                graph.variable(variable)
        graph = passes.run(graph, forward=True)
        with tracing(graph, self.training, self.state.counters):
            wrt = (
                [v for v in graph.inputs if v.dtype in FLOATS]
                if variables is None
                else [graph.variable(v) for v in variables]
            )
            if variables is None and not wrt:
                raise DtypeError(
                    "value_and_grad: none of the arguments is float32 or float64: nothing to differentiate"
                )
            graph.outputs += gradients(graph.outputs[0], wrt)
        return build(passes.run(graph, forward=False), threads=get_num_threads())


def value_and_grad(function: Callable[..., Any], wrt: Any = None, training: bool = True) -> GradientFunction:
    """A function that gives the value of `function` and its gradients.

    function: takes symbolic arguments, returns a scalar computed with nnfast.ops. wrt: a model or layer (its trainable weights), a
    Variable, a list of Variables, or None for the floating arguments themselves. training: as for layers.

    >>> import numpy as np, nnfast
    >>> square = nnfast.value_and_grad(lambda x: nnfast.ops.sum(x * x))
    >>> value, (gradient,) = square(np.array([1.0, 2.0, 3.0], np.float32))
    >>> float(value), gradient.tolist()
    (14.0, [2.0, 4.0, 6.0])
    """
    return GradientFunction(function, wrt, training)
