"""Softmax and log-softmax along the last axis, and their gradients. A row is read once and stays in L1."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np

from nnfast.errors import ShapeError
from nnfast.graph.ir import Node, Value
from nnfast.ops.elementwise import call
from nnfast.ops.registry import Sample, Specs, define

SHAPES = ((1, 1), (0, 4), (3, 2), (5, 10), (4, 63), (4, 64), (4, 65), (2, 3, 17), (3, 1000), (2, 9000))


def rows_of(node: Node) -> tuple[int, int]:
    shape = node.inputs[0].shape
    return prod(shape[:-1]), shape[-1]


def _infer(node: Node) -> Specs:
    if not node.inputs[0].shape:
        raise ShapeError(f"{node.op.name} of a single number; expected at least one axis, as in x.reshape(1)")
    return [(node.inputs[0].shape, node.inputs[0].dtype)]


def _arguments(node: Node) -> tuple[tuple[int, int], list[float]]:
    return rows_of(node), []


def _softmax(x: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        z = x.astype(np.float64)
        e = np.exp(z - z.max(-1, keepdims=True)) if z.size else z
        return (e / e.sum(-1, keepdims=True)).astype(x.dtype)


def _log_softmax(x: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        z = x.astype(np.float64)
        z = z - z.max(-1, keepdims=True) if z.size else z
        return (z - np.log(np.exp(z).sum(-1, keepdims=True))).astype(x.dtype)


def _softmax_gradient(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    d, p = dy.astype(np.float64), y.astype(np.float64)
    return (p * (d - (d * p).sum(-1, keepdims=True))).astype(dy.dtype)


def _log_softmax_gradient(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    d = dy.astype(np.float64)
    return (d - np.exp(y.astype(np.float64)) * d.sum(-1, keepdims=True)).astype(dy.dtype)


def _second_softmax(node: Node, d: Value) -> list[Value]:
    dy, y = node.inputs  # dx = y * (dy - sum(dy * y))
    last = y.ndim - 1
    inner = row_sum(call("multiply", dy, y), last)
    projected = row_sum(call("multiply", d, y), last)
    ddy = call("softmax_gradient", d, y)
    direct = call("multiply", d, call("subtract", dy, inner))
    return [ddy, call("subtract", direct, call("multiply", dy, projected))]


def _second_log_softmax(node: Node, d: Value) -> list[Value]:
    dy, y = node.inputs  # dx = dy - exp(y) * sum(dy)
    last = y.ndim - 1
    p = call("exp", y)
    projected = row_sum(call("multiply", d, p), last)
    dy_gradient = call("subtract", d, call("broadcast_to", projected, shape=y.shape))
    return [dy_gradient, call("negative", call("multiply", call("multiply", d, p), row_sum(dy, last)))]


def row_sum(x: Value, last: int) -> Value:
    """Sum over the last axis, which is kept with size 1."""
    return call("reshape", call("sum", x, start=last, stop=last + 1), shape=(*x.shape[:-1], 1))


def _samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for shape in SHAPES:
        yield [(rng.standard_normal(shape) * 5).astype(dtype)], {}
    yield [np.array([[0.0, -np.inf, 3.0], [1e4, -1e4, 0.0]], dtype)], {}


def _gradient_samples(transform: Any) -> Any:
    def samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
        for shape in SHAPES:
            y = transform((rng.standard_normal(shape) * 2).astype(dtype))
            yield [rng.standard_normal(shape).astype(dtype), y], {}

    return samples


_shared: dict[str, Any] = {"kind": "row", "infer": _infer, "arguments": _arguments, "tolerance": "sum"}
define(
    name="softmax", inputs=("x",), formula="exp(x - max) / sum(exp(x - max)) over the last axis", reference=_softmax,
    gradient=lambda n, d: [call("softmax_gradient", d, n.output)], kernel="softmax", flops=lambda n: 16.0 * n.output.size,
    samples=_samples, in_place=(0,), **_shared,
)  # fmt: skip
define(
    name="log_softmax", inputs=("x",), formula="x - max - log(sum(exp(x - max))) over the last axis", reference=_log_softmax,
    gradient=lambda n, d: [call("log_softmax_gradient", d, n.output)], kernel="log_softmax", flops=lambda n: 16.0 * n.output.size,
    samples=_samples, in_place=(0,), **_shared,
)  # fmt: skip
define(
    name="softmax_gradient", inputs=("dy", "y"), formula="y * (dy - sum(dy * y))", reference=_softmax_gradient, gradient=_second_softmax,
    kernel="softmax_gradient", flops=lambda n: 4.0 * n.output.size, samples=_gradient_samples(_softmax), in_place=(0, 1), **_shared,
)  # fmt: skip
define(
    name="log_softmax_gradient", inputs=("dy", "y"), formula="dy - exp(y) * sum(dy)", reference=_log_softmax_gradient, gradient=_second_log_softmax,
    kernel="log_softmax_gradient", flops=lambda n: 14.0 * n.output.size, samples=_gradient_samples(_log_softmax), in_place=(0, 1), **_shared,
)  # fmt: skip
