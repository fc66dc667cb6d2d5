"""Ops on NumPy arrays: a plan of one op, made once per shapes and types, run at once.

In: an op and arrays. Out: arrays. So arrays go through the same kernels as models, with the same bits.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from nnfast.config import get_num_threads
from nnfast.errors import DtypeError
from nnfast.graph import trace
from nnfast.graph.ir import DTYPES, Graph
from nnfast.ops.registry import OpDef
from nnfast.passes.layout import assign_layouts
from nnfast.passes.simplify import decompose
from nnfast.plan.plan import Plan, build

_plans: OrderedDict[Any, Plan] = OrderedDict()
_direct: OrderedDict[Any, Plan] = OrderedDict()  # for operands that are arrays of kernel dtypes as they stand
_lock = threading.RLock()
MOST_PLANS = 256
INT32 = np.iinfo(np.int32)


def as_tensor(x: Any, floating: str) -> np.ndarray:
    """An array of a dtype that kernels take: floats stay, integers become int32, numbers get the dtype of the other operands."""
    if trace.is_variable(x):
        return x.numpy()
    array = np.asarray(x)
    if array.dtype.kind == "f":
        if not isinstance(x, np.ndarray | np.generic):
            return array.astype(floating)
        return (
            array if str(array.dtype) in DTYPES else array.astype("float64" if array.dtype.itemsize > 8 else "float32")
        )
    if array.dtype.kind == "b" or (array.dtype.kind in "iu" and array.dtype.itemsize < 4):
        return array.astype(np.int32)
    if array.dtype.kind in "iu":
        if array.size and (array.max() > INT32.max or array.min() < INT32.min):
            raise DtypeError(
                f"integers from {array.min()} to {array.max()}: nnfast computes with int32; cast to a float first"
            )
        return array.astype(np.int32)
    raise DtypeError(f"an operand of type {type(x).__name__} and dtype {array.dtype}: expected numbers")


def compute(op: OpDef, operands: Sequence[Any], attributes: dict[str, Any], out: np.ndarray | None = None) -> Any:
    """Apply an op to arrays; returns one array (in `out`, if given), or a list where the op has several outputs."""
    key = (
        op.name,
        repr(attributes) if attributes else "",
        get_num_threads(),
        *[(type(x), *_spec(x)) for x in operands],
    )
    with _lock:
        plan = _direct.get(key)
        if plan is not None:
            results = plan.call(operands, None if out is None else [out])
            return results[0] if len(results) == 1 else results
    if op.view:
        return op.reference(as_tensor(operands[0], "float32"), **attributes).copy()
    arrays = converted(op, operands)
    results = run_op(op, arrays, attributes, out=None if out is None else [out])
    if op.kind != "update" and all(a is b for a, b in zip(arrays, operands, strict=True)):
        plan = _plans.get(_key(op, arrays, attributes, None, get_num_threads()))
        if plan is not None:  # another thread may have pushed it out
            _remember(_direct, key, plan)
    return results[0] if len(results) == 1 else results


def _spec(x: Any) -> tuple[Any, Any]:
    return (x.shape, x.dtype) if type(x) is np.ndarray else ((), None)


def converted(op: OpDef, operands: Sequence[Any]) -> list[np.ndarray]:
    if op.kind in ("update", "random"):
        return [np.asarray(x) for x in operands]
    floating = trace.float_dtype([np.asarray(x) if isinstance(x, list | tuple) else x for x in operands])
    return [as_tensor(x, floating) for x in operands]


def run_op(
    op: OpDef, arrays: Sequence[np.ndarray], attributes: dict[str, Any], level: str | None = None, threads: int | None = None,
    out: Sequence[np.ndarray] | None = None,
) -> list[np.ndarray]:  # fmt: skip
    """The op's outputs on arrays of kernel dtypes, on a level and number of threads of choice."""
    if op.kind == "update":
        arrays = [array.copy() for array in arrays]  # updated in place
    count = get_num_threads() if threads is None else threads
    key = _key(op, arrays, attributes, level, count)
    with _lock:
        plan = _plans.get(key)
        if plan is None:
            plan = _make(op, arrays, attributes, level, count)
            _remember(_plans, key, plan)
        return plan.call(arrays, out)


def _key(op: OpDef, arrays: Sequence[np.ndarray], attributes: dict[str, Any], level: str | None, threads: int) -> Any:
    return op.name, repr(attributes), tuple([(a.shape, a.dtype) for a in arrays]), level, threads


def _remember(plans: OrderedDict[Any, Plan], key: Any, plan: Plan) -> None:
    with _lock:
        plans[key] = plan
        if len(plans) > MOST_PLANS:
            plans.popitem(last=False)


def _make(op: OpDef, arrays: Sequence[np.ndarray], attributes: dict[str, Any], level: str | None, threads: int) -> Plan:
    graph = Graph()
    values = [graph.input(a.shape, str(a.dtype)) for a in arrays]
    graph.outputs = trace.add(graph, op, values, attributes)
    graph = assign_layouts(decompose(graph))
    return build(graph, threads=threads, level=level)


trace.eager = compute
