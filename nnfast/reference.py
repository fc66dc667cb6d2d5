"""The NumPy interpreter of graphs: the definition of every op, the oracle of the tests, the baseline of the benchmarks.

In: a graph, arrays for its inputs and, if wanted, for its variables. Out: arrays of its outputs, and the new contents of variables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nnfast.errors import ShapeError
from nnfast.graph.ir import Graph, Value
from nnfast.ops.registry import NNF_CHUNK, OPS


def run(
    graph: Graph, feeds: Sequence[np.ndarray], variables: Mapping[Any, np.ndarray] | None = None
) -> tuple[list[np.ndarray], dict[Any, np.ndarray]]:
    """Interpret a graph.

    feeds: one array per graph input, in order. variables: contents to use in place of those of the Variables.
    Returns the outputs, and for each updated Variable its new content; the Variables themselves stay as they are.
    """
    if len(feeds) != len(graph.inputs):
        raise ShapeError(f"the graph has {len(graph.inputs)} inputs, got {len(feeds)} arrays")
    values: dict[Value, np.ndarray] = dict(zip(graph.inputs, feeds, strict=True))

    def read(value: Value) -> np.ndarray:
        if value in values:
            return values[value]
        if value.kind == "constant":
            return value.payload
        if variables is not None and value.payload in variables:
            return variables[value.payload]
        return value.payload.numpy()

    for node in graph.nodes:
        results = node.op.reference(*(read(value) for value in node.inputs), **node.attributes)
        values.update(zip(node.outputs, results if isinstance(results, tuple) else (results,), strict=True))
    return [read(value) for value in graph.outputs], {variable.payload: read(new) for variable, new in graph.updates}


def contract_matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a b by the numeric contract: fused multiply-adds in ascending k, in chunks of 512 that are added in order.

    Exact for float32 (products of two float32 are exact in float64, and the sum is rounded once by way of an exact error term);
    slow, for small tests. Source: csrc/README.md.
    """
    total = np.zeros((a.shape[0], b.shape[1]), np.float32)
    for start in range(0, a.shape[1], NNF_CHUNK):
        chunk = np.zeros_like(total)
        for k in range(start, min(start + NNF_CHUNK, a.shape[1])):
            chunk = _fma32(a[:, k : k + 1], b[k : k + 1, :], chunk)
        total = chunk if start == 0 else total + chunk
    return total


def _fma32(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """float32 fused multiply-add: round(a * b + c) once. The double sum is made odd where it was inexact (Boldo, Melquiond 2008)."""
    product = a.astype(np.float64) * b.astype(np.float64)
    c64 = c.astype(np.float64)
    total = product + c64
    back = total - product
    error = (product - (total - back)) + (c64 - back)
    bits = total.view(np.int64)
    away = np.where((error > 0) == (total > 0), 0, -1)  # truncate towards zero, then set the last bit: rounding to odd
    odd = np.where((error != 0) & ((bits & 1) == 0), (bits + away) | 1, bits)
    return odd.view(np.float64).astype(np.float32)


def reference_of(name: str) -> Any:
    """The NumPy definition of an op."""
    return OPS[name].reference
