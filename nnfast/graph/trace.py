"""From Python code to a graph: which graph is being traced, and how an op is applied to what the user passes.

In: calls such as `nnfast.ops.relu(x)`. Out: nodes in the graph of the operands or of the running trace. When no operand is
symbolic and no trace runs, the op is computed at once (`eager`, set by nnfast.plan.eager).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from nnfast.errors import DtypeError, GraphError
from nnfast.graph.ir import DTYPES, FLOATS, Graph, Value

if TYPE_CHECKING:
    from nnfast.ops.registry import OpDef

F = TypeVar("F", bound=Callable[..., Any])
_INTEGER_FLOAT = {"int64": "float64"}


class Trace:
    """What is known while a graph is traced: the graph, whether it is for training, and the losses that layers add."""

    def __init__(self, graph: Graph, training: bool, counters: Any) -> None:
        self.graph = graph
        self.training = training
        self._counters = counters
        self.losses: list[Value] = []
        self.groups: dict[Any, int] = {}  # segments of layers that are recomputed together
        self.cache: Any = None  # keys and values of earlier tokens, where tokens are decoded one after the other

    @property
    def counters(self) -> Value:
        """The model's counters, from which random numbers are drawn."""
        if self._counters is None:
            raise GraphError(
                "random ops need the counters of a model: call them in a layer, or use nnfast.random on arrays"
            )
        return self.graph.variable(self._counters)

    def update(self, variable: Any, make: Callable[[Value], Value]) -> None:
        """Give a variable new content in each run: what `make` says of the old one. A second update follows on the first."""
        value = self.graph.variable(variable)
        updates = self.graph.updates
        place = next((i for i, (old, _) in enumerate(updates) if old is value), len(updates))
        updates[place:] = [(value, make(updates[place][1] if place < len(updates) else value)), *updates[place + 1 :]]

    def latest(self, variable: Any) -> Value:
        """A variable's content at this place of the trace."""
        value = self.graph.variable(variable)
        return next((new for old, new in self.graph.updates if old is value), value)

    @contextmanager
    def inside(self, layer: Any, training: bool) -> Iterator[None]:
        """A layer computes in this block: `training` holds for the layers inside, too. What a layer that is marked so computes is a segment
        to be recomputed, unless a layer around it is."""
        graph, before = self.graph, (self.training, self.graph.segment)
        self.training = training
        number = self.groups.get(layer, 0)
        if training and not graph.segment and (number or layer.recompute):
            if not number:
                graph.segments += 1
            graph.segment = number or graph.segments
        try:
            yield
        finally:
            self.training, graph.segment = before


class _Stack(threading.local):
    def __init__(self) -> None:
        self.traces: list[Trace] = []


_stack = _Stack()
eager: Callable[[OpDef, Sequence[Any], dict[str, Any]], Any] | None = None
cast: Any = None  # the op that converts between types; set by nnfast.ops.shape
symbolic: tuple[type, Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]] | None = None  # set by nnfast.layers.base


@contextmanager
def tracing(graph: Graph, training: bool = False, counters: Any = None) -> Iterator[Trace]:
    """Operations in this block go to `graph`; random ops draw from `counters`, a Variable."""
    trace = Trace(graph, training, counters)
    _stack.traces.append(trace)
    try:
        yield trace
    except TypeError as error:
        if "does not support ufuncs" not in str(error):
            raise
        raise TypeError(
            "a function of NumPy was called on a symbolic value: take the one of nnfast.ops, as in nnfast.ops.exp(x)"
        ) from error
    finally:
        _stack.traces.pop()


def current() -> Trace | None:
    """The innermost running trace, or None."""
    return _stack.traces[-1] if _stack.traces else None


def is_variable(x: Any) -> bool:
    return hasattr(x, "_nnfast_variable")


def _find_graph(operands: Sequence[Any]) -> Graph | None:
    for x in operands:
        if isinstance(x, Value):
            return x.graph
    trace = current()
    return trace.graph if trace is not None else None


def float_dtype(operands: Sequence[Any]) -> str:
    """The floating type of an op: that of its symbolic operands and variables; else of its arrays; else float32."""
    strong = [x.dtype for x in operands if (isinstance(x, Value) and x.kind != "constant") or is_variable(x)]
    weak = [_native_name(x.dtype) for x in operands if isinstance(x, np.ndarray | np.generic | Value)]
    for group in (strong, weak):
        floats = [dtype for dtype in group if dtype in FLOATS]
        if floats:
            return "float64" if "float64" in floats else "float32"
    integers = [dtype for dtype in (*strong, *weak) if dtype in _INTEGER_FLOAT]
    return _INTEGER_FLOAT[integers[0]] if integers else "float32"


def _native_name(dtype: Any) -> str:
    """The name of a dtype in the machine's byte order, that of the nearest floating type of kernels for other floats."""
    if isinstance(dtype, str):
        return dtype
    if dtype.kind == "f":
        return "float64" if dtype.itemsize >= 8 else "float32"
    return str(dtype.name)


def as_value(graph: Graph, x: Any, dtype: str | None = None) -> Value:
    """A value of `graph` for x: itself, a variable's value, or a constant of the given dtype."""
    if isinstance(x, Value):
        if x.graph is not graph:
            raise GraphError(
                f"{x!r} belongs to another trace. A symbolic value cannot be kept between calls: return it from call(), or use a Variable for state"
            )
        return x
    if is_variable(x):
        return graph.variable(x)
    array = np.asarray(x)
    if array.dtype == object or array.dtype.kind not in "biuf":
        raise DtypeError(
            f"operand of type {type(x).__name__}: expected a number, an array, a Variable or a symbolic value"
        )
    if dtype is None:
        name = _native_name(array.dtype)
        dtype = name if name in DTYPES else "int32"
    return graph.constant(array, dtype)


def apply(op: OpDef, *operands: Any, **attributes: Any) -> Any:
    """Apply an op. Returns one value, or a list where the op has several outputs."""
    for x in operands:
        if type(x) is not np.ndarray:
            break
    else:  # arrays alone: no search for symbolic operands
        if eager is not None and not _stack.traces:
            return eager(op, operands, attributes)
    if symbolic is not None and any(isinstance(x, symbolic[0]) for x in operands):
        return symbolic[1](op, operands, attributes)
    graph = _find_graph(operands)
    if graph is None:
        if eager is None:
            raise GraphError(f"{op.name}: no compiled core to compute on arrays; import nnfast as a whole")
        return eager(op, operands, attributes)
    outputs = add(graph, op, operands, attributes)
    return outputs[0] if len(outputs) == 1 else outputs


def on_symbols(function: F) -> F:
    """Decorator for a function of nnfast.ops that computes with sizes: on the symbols of a model that is being put together, where the
    batch has no size yet, it becomes a layer that calls the function in each trace."""

    @wraps(function)
    def apply_or_wait(*operands: Any, **attributes: Any) -> Any:
        if symbolic is not None and any(isinstance(x, symbolic[0]) for x in operands):
            return symbolic[1](function.__name__, operands, attributes)
        return function(*operands, **attributes)

    return apply_or_wait  # type: ignore[return-value]


def add(graph: Graph, op: OpDef, operands: Sequence[Any], attributes: dict[str, Any]) -> list[Value]:
    """Add a node for operands of any kind, converting numbers and integer tensors to the op's floating type."""
    if not op.promotes:
        values = [as_value(graph, x) for x in operands]
    else:
        dtype = float_dtype(operands)
        values = [_to_float(graph, as_value(graph, x, dtype), dtype) for x in operands]
    return graph.add(op, values, attributes)


def _to_float(graph: Graph, value: Value, dtype: str) -> Value:
    if value.dtype == dtype:
        return value
    if value.kind == "constant":
        return graph.constant(value.payload, dtype)
    return graph.add(cast, [value], {"dtype": dtype})[0]
