"""Matrix products: one op, whose two transposition flags give the three products of training.

    y  = matmul(x, w)                      forward
    dw = matmul(x, dy, transpose_a=True)   weight gradient
    dx = matmul(dy, w, transpose_b=True)   input gradient

`linear` is the forward product with its epilogue (bias, activation), made by the fusion pass.
Each result element is a chain of fused multiply-adds in ascending order, in chunks of 512 (nnfast.reference.contract_matmul).
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np

from nnfast.errors import ShapeError
from nnfast.graph.ir import Node, Value
from nnfast.ops.elementwise import call
from nnfast.ops.registry import Sample, Specs, define


def product_sizes(node: Node) -> tuple[int, int, int]:
    """Rows of the result, columns of the result, length of the sums."""
    a, b = node.inputs[:2]
    rows, inner = a.shape[::-1] if node.attributes["transpose_a"] else a.shape
    columns = b.shape[0] if node.attributes["transpose_b"] else b.shape[1]
    return rows, columns, inner


def _infer(node: Node) -> Specs:
    a, b = node.inputs[:2]
    if a.ndim != 2 or b.ndim != 2:
        raise ShapeError(
            f"matmul: expected two matrices, got shapes {list(a.shape)} and {list(b.shape)}; reshape or flatten first"
        )
    rows, columns, inner = product_sizes(node)
    other = b.shape[1] if node.attributes["transpose_b"] else b.shape[0]
    if inner != other:
        flags = "".join(f", {k}=True" for k in ("transpose_a", "transpose_b") if node.attributes[k])
        raise ShapeError(
            f"matmul: shapes {list(a.shape)} and {list(b.shape)}{flags} do not fit: {inner} columns meet {other} rows; the two must be equal"
        )
    return [((rows, columns), a.dtype)]


def _reference(a: np.ndarray, b: np.ndarray, transpose_a: bool, transpose_b: bool) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.matmul(a.T if transpose_a else a, b.T if transpose_b else b)


def _gradient(node: Node, dy: Value) -> list[Value]:
    a, b = node.inputs
    ta, tb = node.attributes["transpose_a"], node.attributes["transpose_b"]
    if ta:
        da = call("matmul", b, dy, transpose_a=tb, transpose_b=True)
    else:
        da = call("matmul", dy, b, transpose_a=False, transpose_b=not tb)
    if tb:
        db = call("matmul", dy, a, transpose_a=True, transpose_b=ta)
    else:
        db = call("matmul", a, dy, transpose_a=not ta, transpose_b=False)
    return [da, db]


KERNELS = {(False, False): "linear", (True, False): "linear_weight_gradient", (False, True): "linear_input_gradient"}


ROW_MAJOR = "matmul_rows"  # the forward product where b is no weight in panels


def _kernel(node: Node) -> str:
    transposed = node.attributes["transpose_a"], node.attributes["transpose_b"]
    return ROW_MAJOR if not any(transposed) and node.inputs[1].layout == "row" else KERNELS[transposed]


def _arguments(node: Node) -> tuple[list[int], list[float]]:
    a, b = node.inputs[:2]
    ta, tb = node.attributes["transpose_a"], node.attributes["transpose_b"]
    if ta:  # dw[K,N] = x[M,K]^T dy[M,N]
        m, k = a.shape
        n = b.shape[1]
        return [m, n, k, int(node.output.layout == "panel"), k, n], []
    if tb:  # dx[M,K] = dy[M,N] w[K,N]^T
        m, n = a.shape
        k = b.shape[0]
        return [m, n, k, k, n], []
    m, k = a.shape
    n = b.shape[1]
    return [m, n, k, n, k, *([n] if b.layout == "row" else [])], []


def flops(node: Node) -> float:
    rows, columns, inner = product_sizes(node)
    return 2.0 * rows * columns * inner


def _samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    shapes = [
        (1, 1, 1),
        (0, 3, 2),
        (3, 0, 2),
        (2, 3, 0),
        (1, 17, 5),
        (4, 10, 33),
        (7, 16, 16),
        (15, 31, 64),
        (33, 65, 17),
        (5, 3, 513),
        (130, 48, 70),
        (64, 100, 1030),
    ]
    for m, n, k in shapes:
        for ta, tb in KERNELS:
            a = rng.standard_normal((k, m) if ta else (m, k)).astype(dtype)
            b = rng.standard_normal((n, k) if tb else (k, n)).astype(dtype)
            yield [a, b], {"transpose_a": ta, "transpose_b": tb}


define(
    name="matmul",
    inputs=("a", "b"),
    formula="a b, with a or b transposed on request",
    kind="contraction",
    infer=_infer,
    reference=_reference,
    gradient=_gradient,
    kernel=_kernel,
    arguments=_arguments,
    flops=flops,
    tolerance="product",
    samples=_samples,
)


# Panels. A reference and a graph see the same matrix in either layout; only the memory differs. A tensor of more axes counts as the
# matrix of its last axis.
def _pack_infer(node: Node) -> Specs:
    shape = node.inputs[0].shape
    return [(shape[::-1] if node.attributes.get("transpose") else shape, node.inputs[0].dtype)]


def _pack_arguments(node: Node) -> tuple[list[int], list[float]]:
    x = node.inputs[0]
    shape = node.output.shape
    return [prod(shape[:-1]), shape[-1], x.shape[-1]], []


def _matrix_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for shape in ((1, 1), (0, 5), (5, 0), (3, 17), (16, 16), (70, 33)):
        yield [rng.standard_normal(shape).astype(dtype)], {}


def _pack_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for arrays, _ in _matrix_samples(rng, dtype):
        for transpose in (False, True):
            yield arrays, {"transpose": transpose}


def _no_flops(node: Node) -> float:
    return 0.0


_shared: dict[str, Any] = {"kind": "layout", "flops": _no_flops, "tolerance": "exact", "promotes": False}
define(
    name="pack_panels",
    inputs=("x",),
    formula="the same matrix (or its transpose) in 16-column panels",
    infer=_pack_infer,
    reference=lambda x, transpose: x.T.copy() if transpose else x.copy(),
    gradient=lambda n, d: [call("transpose", d, axes=(1, 0)) if n.attributes["transpose"] else d],
    kernel=lambda n: "pack_panels_transposed" if n.attributes["transpose"] else "pack_panels",
    arguments=_pack_arguments,
    samples=_pack_samples,
    layout="panel",
    **_shared,
)
define(
    name="unpack_panels",
    inputs=("x",),
    formula="the same matrix, row-major",
    infer=_pack_infer,
    reference=lambda x: x.copy(),
    gradient=lambda n, d: [d],
    kernel="unpack_panels",
    arguments=_pack_arguments,
    samples=_matrix_samples,
    **_shared,
)
