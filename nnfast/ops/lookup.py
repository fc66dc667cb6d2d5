"""Rows of a table by number, their gradient, and updates that touch these rows alone.

The gradient of a table is a matrix of its size, zero in all rows but those that the batch named. The pass sparse_updates takes it away
where an update may leave the other rows alone: `sparse_update_*` add up the gradients of equal ids themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from nnfast.errors import GraphError, ShapeError
from nnfast.graph.ir import Node, Value
from nnfast.ops import update  # noqa: F401  (defines the updates that this file makes sparse)
from nnfast.ops.elementwise import call
from nnfast.ops.registry import NOT_DIFFERENTIABLE, OPS, Call, Sample, Specs, define

MOST_SORTED = 1 << 19  # ids that sort_ids takes: its scratch holds them once more


def _valid(ids: np.ndarray, rows: int) -> np.ndarray:
    return (ids >= 0) & (ids < rows)


def _infer(node: Node) -> Specs:
    table, ids = node.inputs
    if table.ndim != 2 or ids.dtype != "int32":
        raise ShapeError(
            f"embedding: expected a table [rows, size] and int32 ids, got {list(table.shape)} and {ids.dtype}{list(ids.shape)}"
        )
    return [((*ids.shape, table.shape[1]), table.dtype)]


def _reference(table: np.ndarray, ids: np.ndarray, sparse: bool) -> np.ndarray:
    y = np.full((*ids.shape, table.shape[1]), np.nan, table.dtype)
    y[_valid(ids, len(table))] = table[ids[_valid(ids, len(table))]]
    return y


def _gradient(node: Node, dy: Value) -> list[Value | None]:
    table, ids = node.inputs
    return [call("embedding_gradient", dy, ids, rows=table.shape[0], sparse=node.attributes["sparse"]), None]


def _no_second(node: Node, d: Value) -> list[Value | None]:
    raise GraphError("embedding: no second derivative is defined; multiply the table by nnfast.ops.one_hot of the ids")


def _gradient_reference(dy: np.ndarray, ids: np.ndarray, rows: int, sparse: bool) -> np.ndarray:
    size = dy.shape[-1]
    total = np.zeros((rows, size))
    keep = _valid(ids, rows)
    np.add.at(total, ids[keep], dy[keep].astype(np.float64))
    return total.astype(dy.dtype)


IDS: tuple[tuple[int, list[int]], ...] = (
    (1, []),
    (3, [2, 0, 2, 2, 1]),
    (5, [-1, 4, 5, 0, 4, 4]),
    (3000, [2999, 7, 2050, 7, 2, 1, 2999, 0, 7, 4000]),
)


def _cases(rng: np.random.Generator, dtype: str) -> Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Tables, ids and gradients of the rows."""
    for size in (1, 16, 33):
        for rows, listed in IDS:
            ids = np.array(listed, np.int32)
            table, dy = (rng.standard_normal((n, size)).astype(dtype) for n in (rows, len(ids)))
            yield table, ids, dy


def _samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for table, ids, _ in _cases(rng, dtype):
        yield [table, ids], {"sparse": False}
    yield [rng.standard_normal((9, 70)).astype(dtype), rng.integers(0, 9, (3, 40)).astype(np.int32)], {"sparse": True}


def _gradient_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for table, ids, dy in _cases(rng, dtype):
        yield [dy, ids], {"rows": len(table), "sparse": False}
    ids = rng.integers(0, 9, (3, 40)).astype(np.int32)
    yield [rng.standard_normal((3, 40, 70)).astype(dtype), ids], {"rows": 9, "sparse": False}


def _sort_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for rows, listed in IDS:
        yield [np.array(listed, np.int32)], {"rows": rows}
    yield [rng.integers(-5, 5_000_000, 999).astype(np.int32)], {"rows": 4_999_990}


def _sort_reference(ids: np.ndarray, rows: int) -> np.ndarray:
    return np.argsort(np.where(_valid(ids, rows), ids, rows), kind="stable").astype(np.int32)


_shared: dict[str, Any] = {"kind": "shape", "promotes": False}
define(
    name="embedding", inputs=("table", "ids"), formula="rows of the table; NaN for an id outside", infer=_infer, reference=_reference, gradient=_gradient,
    kernel="embedding", arguments=lambda n: ([n.inputs[1].size, *n.inputs[0].shape], []), flops=lambda n: 0.0, tolerance="exact", samples=_samples, **_shared,
)  # fmt: skip
define(
    name="embedding_gradient", inputs=("dy", "ids"), formula="sum of the rows of dy with equal ids, zero elsewhere; ids outside are passed over",
    infer=lambda n: [((n.attributes["rows"], n.inputs[0].shape[-1]), n.inputs[0].dtype)], reference=_gradient_reference,
    gradient=_no_second, kernel="embedding_gradient",
    arguments=lambda n: ([n.inputs[1].size, *n.output.shape], []), flops=lambda n: float(n.inputs[0].size), tolerance="sum", samples=_gradient_samples, **_shared,
)  # fmt: skip
define(
    name="sort_ids", inputs=("ids",), formula="places of the ids in ascending order of id, ids outside last", infer=lambda n: [((n.inputs[0].size,), "int32")],
    reference=_sort_reference, gradient=NOT_DIFFERENTIABLE, kernel=None, calls=lambda n: [Call("sort_ids", [n.inputs[0].size, n.attributes["rows"]], dtype="float32")],
    flops=lambda n: 0.0, tolerance="exact", samples=_sort_samples, **_shared,
)  # fmt: skip


def _define_sparse(name: str) -> None:
    """sparse_<update>: the update's inputs with dy in place of g, then ids and their order."""
    dense = OPS[name]
    states = len(dense.inputs) - 4

    def infer(node: Node) -> Specs:
        return [(node.inputs[i].shape, node.inputs[i].dtype) for i in dense.updates]

    def calls(node: Node) -> list[Call]:
        (inner,) = dense.kernel_calls(node)
        last = len(node.inputs)
        buffers = [i for i in inner.inputs or () if i is None or i < last - 2]
        sizes = [node.inputs[-1].size, *node.inputs[0].shape, len(buffers)]
        return [Call(f"sparse_{inner.kernel}", sizes, inner.scalars, outputs=(), inputs=[*buffers, last - 2, last - 1])]

    def reference(*arrays: np.ndarray, **attributes: Any) -> Any:
        table, dy, *rest, ids, _ = arrays
        touched = np.unique(ids[_valid(ids, len(table))])
        g = _gradient_reference(dy.reshape(-1, dy.shape[-1]), ids.reshape(-1), len(table), False)
        slots, others = rest[:states], rest[states:]
        found = dense.reference(table[touched], g[touched], *[s[touched] for s in slots], *others, **attributes)
        results = []
        for old, new in zip((table, *slots), found, strict=True):
            results.append(old.copy())
            results[-1][touched] = new
        return tuple(results)

    def samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
        attributes = list({repr(a): a for _, a in dense.samples(rng, dtype)}.values())
        others = next(iter(dense.samples(rng, dtype)))[0][-2:]
        for chosen in attributes:
            for table, ids, dy in _cases(rng, dtype):
                slots = [(0.1 + rng.random(table.shape)).astype(dtype) for _ in range(states)]
                if chosen.get("centered"):
                    slots[2] = (slots[2] * 0.1).astype(dtype)
                yield [table, dy, *slots, *others, ids, _sort_reference(ids, len(table))], chosen

    define(
        name=f"sparse_{name}", inputs=(*dense.inputs, "ids", "order"), formula=f"{name} on the rows that an id names: {dense.formula}", kind="update", infer=infer,
        reference=reference, gradient=NOT_DIFFERENTIABLE, kernel=None, calls=calls, flops=lambda n: 12.0 * n.inputs[1].size, tolerance="update",
        samples=samples, promotes=False, updates=dense.updates,
    )  # fmt: skip


for _name in [name for name, op in OPS.items() if name.startswith("update_") and "learning_rate" in op.inputs]:
    _define_sparse(_name)
