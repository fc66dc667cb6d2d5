"""Ops on NumPy arrays: a plan of one op, made once per shapes and types, run at once.

In: an op and arrays. Out: arrays. So arrays go through the same kernels as models, with the same bits.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from nnfast._core.calls import Calls
from nnfast.boundary import refuse_unfolded
from nnfast.config import get_num_threads
from nnfast.errors import DataError, DtypeError, ShapeError
from nnfast.graph import trace
from nnfast.graph.ir import DTYPES, Graph
from nnfast.locks import free_in_child
from nnfast.ops.random import COUNTERS, SLOT
from nnfast.ops.registry import OpDef
from nnfast.passes.layout import assign_layouts
from nnfast.passes.simplify import decompose, decompose_late
from nnfast.plan.plan import Plan, build

_plans: OrderedDict[Any, Plan] = OrderedDict()
_lock = free_in_child(threading.RLock())
_all: weakref.WeakSet[OpCall] = weakref.WeakSet()
MOST_PLANS = 256
INT32 = np.iinfo(np.int32)


def as_tensor(x: Any, floating: str, name: str = "operand") -> np.ndarray:
    """An array of a dtype that kernels take: floats stay, integers become int32, numbers get the dtype of the other operands."""
    if trace.is_variable(x):
        return x.numpy()
    array = _as_array(x, name)
    refuse_unfolded(array, name)
    if array.dtype.kind == "f":
        if not isinstance(x, np.ndarray | np.generic):
            return array.astype(floating)
        return (
            array if str(array.dtype) in DTYPES else array.astype("float64" if array.dtype.itemsize >= 8 else "float32")
        )
    if array.dtype.kind == "b" or (array.dtype.kind in "iu" and array.dtype.itemsize < 4):
        return array.astype(np.int32)
    if array.dtype.kind in "iu":
        if array.size and (array.max() > INT32.max or array.min() < INT32.min):
            raise DtypeError(
                f"{name}: integers from {array.min()} to {array.max()}: nnfast computes with int32; cast to a float first"
            )
        return array.astype(np.int32)
    raise DtypeError(f"{name} of type {type(x).__name__} and dtype {array.dtype}: expected numbers")


def _as_array(x: Any, name: str) -> np.ndarray:
    """np.asarray(x), but what it would refuse in its own words, or take without its mask, is refused by name."""
    if type(x) is np.ndarray:
        return x
    if "numpy.ma" in sys.modules and isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        raise DataError(f"{name} is a masked array with masked elements; fill them first, as in x.filled(0)")
    try:
        return np.asarray(x)
    except ValueError as error:
        raise DtypeError(
            f"{name} of type {type(x).__name__}: expected numbers, in rows of equal length ({error})"
        ) from None


class OpCall:
    """An op with its attributes, ready to be computed on arrays; it remembers the plans of arrays that could be used as they lay."""

    def __init__(self, op: OpDef, attributes: dict[str, Any]) -> None:
        self.op = op
        self.attributes = attributes
        self._calls = Calls()
        _all.add(self)

    def __call__(self, operands: Sequence[Any], out: np.ndarray | None = None) -> Any:
        """One array (in `out`, if given), or a list where the op has several outputs."""
        found = self._calls.call(tuple(operands), get_num_threads(), None if out is None else (out,))
        if found is None:
            found = self._long_way(operands, None if out is None else [out])
        return found[0] if len(found) == 1 else found

    def quick(self, operands: tuple[Any, ...], out: Any = None) -> np.ndarray | None:
        """The output of an op with one, or None where these arrays have to go the long way, by a call."""
        return self._calls.one(operands, get_num_threads(), out)

    def _long_way(self, operands: Sequence[Any], out: Sequence[np.ndarray] | None) -> list[np.ndarray]:
        op = self.op
        op.check_operands(len(operands))
        if op.view:
            return [
                op.reference(
                    as_tensor(operands[0], "float32", f"{op.name}: operand {op.inputs[0]}"), **self.attributes
                ).copy()
            ]
        arrays = converted(op, operands)
        results = run_op(op, arrays, self.attributes, out=out)
        if op.kind != "update" and all(a is b for a, b in zip(arrays, operands, strict=True)):
            plan = _plans.get(_key(op, arrays, self.attributes, None, get_num_threads()))
            if plan is not None and plan.gives_all:  # another thread may have pushed it out
                self._calls.add(plan.direct)
        return results

    def forget(self) -> None:
        self._calls = Calls()


_op_calls: dict[str, OpCall] = {}


def forget_plans() -> None:
    """Let all plans be made anew; the kept ones keep their division over threads too."""
    with _lock:
        _plans.clear()
    for call in list(_all):
        call.forget()


def op_call(op: OpDef, attributes: dict[str, Any]) -> OpCall:
    """The OpCall of an op with these attributes; the same one as long as it is remembered."""
    key = f"{op.name} {attributes}" if attributes else op.name
    call = _op_calls.get(key)
    if call is None:
        if len(_op_calls) >= MOST_PLANS:
            _op_calls.clear()
        call = _op_calls[key] = OpCall(op, dict(attributes))
    return call


def compute(op: OpDef, operands: Sequence[Any], attributes: dict[str, Any]) -> Any:
    """Apply an op to arrays; returns one array, or a list where the op has several outputs."""
    return op_call(op, attributes)(operands)


def converted(op: OpDef, operands: Sequence[Any]) -> list[np.ndarray]:
    if op.kind in ("update", "random"):
        return [np.asarray(x) for x in operands]
    names = [f"{op.name}: operand {op.inputs[min(i, len(op.inputs) - 1)].lstrip('*')}" for i in range(len(operands))]
    items = [
        x if isinstance(x, int | float | np.generic) or trace.is_variable(x) else _as_array(x, name)
        for x, name in zip(operands, names, strict=True)
    ]
    floating = trace.float_dtype(items)
    return [
        as_tensor(x if isinstance(x, list | tuple) else item, floating, name)  # numbers in lists take the others' type
        for x, item, name in zip(operands, items, names, strict=True)
    ]


def _check_slot(op: OpDef, arrays: Sequence[np.ndarray]) -> None:
    """The counters say which learning rate is meant: one that is there."""
    named = dict(zip(op.inputs, arrays, strict=False))
    rates, counters = named.get("learning_rate"), named.get("counters")
    if rates is None or counters is None or counters.shape != (COUNTERS,):
        return
    if not 0 <= counters[SLOT] < rates.size:
        raise ShapeError(f"{op.name}: counters[{SLOT}] = {counters[SLOT]}; learning_rate has {rates.size} elements")


def run_op(
    op: OpDef, arrays: Sequence[np.ndarray], attributes: dict[str, Any], level: str | None = None, threads: int | None = None,
    out: Sequence[np.ndarray] | None = None,
) -> list[np.ndarray]:  # fmt: skip
    """The op's outputs on arrays of kernel dtypes, on a level and number of threads of choice."""
    if op.kind == "update":
        arrays = [array.copy() for array in arrays]  # updated in place
        _check_slot(op, arrays)
    count = get_num_threads() if threads is None else threads
    key = _key(op, arrays, attributes, level, count)
    with _lock:
        plan = _plans.get(key)
        if plan is None:
            plan = _make(op, arrays, attributes, level, count)
            _plans[key] = plan
            if len(_plans) > MOST_PLANS:
                _plans.popitem(last=False)
    return plan.call(arrays, out)


def _key(op: OpDef, arrays: Sequence[np.ndarray], attributes: dict[str, Any], level: str | None, threads: int) -> Any:
    return op.name, repr(attributes), tuple([(a.shape, a.dtype) for a in arrays]), level, threads


def _make(op: OpDef, arrays: Sequence[np.ndarray], attributes: dict[str, Any], level: str | None, threads: int) -> Plan:
    graph = Graph()
    values = [graph.input(a.shape, str(a.dtype)) for a in arrays]
    graph.outputs = trace.add(graph, op, values, attributes)
    graph = assign_layouts(decompose_late(decompose(graph)))
    return build(graph, threads=threads, level=level)


trace.eager = compute
