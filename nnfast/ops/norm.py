"""Layer and RMS normalisation of rows (the last axis), and their gradients. A row is read once and stays in L1.

Gradients with respect to gamma and beta come as sums over blocks of ROW_BLOCK rows, which `sum` adds up in order.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np

from nnfast.errors import GraphError, ShapeError
from nnfast.graph.ir import Node, Value
from nnfast.ops.elementwise import call
from nnfast.ops.registry import Sample, Specs, define

ROW_BLOCK = 64  # NNF_ROW_BLOCK
SHAPES = ((1, 1), (0, 4), (3, 2), (5, 16), (4, 63), (65, 17), (2, 3, 7), (130, 5), (3, 1000), (2, 9000))


def blocks_of(rows: int) -> int:
    """How many blocks of ROW_BLOCK rows there are."""
    return -(-rows // ROW_BLOCK)


def add_blocks(x: np.ndarray) -> np.ndarray:
    """x[rows, n] summed over blocks of rows: [blocks, n]."""
    return np.stack([x[i : i + ROW_BLOCK].sum(0) for i in range(0, len(x), ROW_BLOCK)] or [x[:0]]).reshape(-1, x.shape[1])  # fmt: skip


def _rows(shape: tuple[int, ...]) -> tuple[int, int]:
    return prod(shape[:-1]), shape[-1]


def _check_weights(node: Node, x: Value, weights: list[Value]) -> None:
    if x.ndim < 1 or any(w.shape != (x.shape[-1],) for w in weights):
        shapes = ", ".join(str(list(w.shape)) for w in weights)
        raise ShapeError(
            f"{node.op.name}: x {list(x.shape)} and weights {shapes}: expected one weight per last element"
        )


# Forward
def _infer_layer_norm(node: Node) -> Specs:
    x = node.inputs[0]
    _check_weights(node, x, node.inputs[1:])
    return [(x.shape, x.dtype), (x.shape[:-1], x.dtype), (x.shape[:-1], x.dtype)]


def _infer_rms_norm(node: Node) -> Specs:
    x = node.inputs[0]
    _check_weights(node, x, node.inputs[1:])
    return [(x.shape, x.dtype), (x.shape[:-1], x.dtype)]


def _layer_norm(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, epsilon: float) -> tuple[np.ndarray, ...]:
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64)
        mean = wide.mean(-1)
        centred = wide - mean[..., None]
        inverse = 1 / np.sqrt((centred * centred).mean(-1) + epsilon)
        y = centred * inverse[..., None] * gamma.astype(np.float64) + beta.astype(np.float64)
    return y.astype(x.dtype), mean.astype(x.dtype), inverse.astype(x.dtype)


def _rms_norm(x: np.ndarray, gamma: np.ndarray, epsilon: float) -> tuple[np.ndarray, ...]:
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64)
        inverse = 1 / np.sqrt((wide * wide).mean(-1) + epsilon)
        y = wide * inverse[..., None] * gamma.astype(np.float64)
    return y.astype(x.dtype), inverse.astype(x.dtype)


def _arguments(node: Node) -> tuple[tuple[int, int], list[float]]:
    return _rows(node.inputs[0].shape), [float(node.attributes["epsilon"])]


# Gradients
def _zeros(like: Value) -> Value:
    return call("broadcast_to", like.graph.constant(0.0, like.dtype), shape=like.shape)


def _column(x: Value) -> Value:
    return call("reshape", x, shape=(*x.shape, 1))


def _layer_norm_rule(node: Node, dy: Value | None, dmean: Value | None, dinverse: Value | None) -> list[Value]:
    x, gamma = node.inputs[:2]
    _, mean, inverse = node.outputs
    dy = _zeros(x) if dy is None else dy
    dx, dgamma, dbeta = call("layer_norm_gradient", dy, x, gamma, mean, inverse)
    if dmean is not None:
        dx = call("add", dx, _column(call("scale", dmean, factor=1 / x.shape[-1])))
    if dinverse is not None:
        dx = call("subtract", dx, _through_inverse(call("subtract", x, _column(mean)), inverse, dinverse))
    return [dx, call("sum", dgamma, start=0, stop=1), call("sum", dbeta, start=0, stop=1)]


def _rms_norm_rule(node: Node, dy: Value | None, dinverse: Value | None) -> list[Value]:
    x, gamma = node.inputs
    inverse = node.outputs[1]
    dy = _zeros(x) if dy is None else dy
    dx, dgamma = call("rms_norm_gradient", dy, x, gamma, inverse)
    if dinverse is not None:
        dx = call("subtract", dx, _through_inverse(x, inverse, dinverse))
    return [dx, call("sum", dgamma, start=0, stop=1)]


def _through_inverse(centred: Value, inverse: Value, dinverse: Value) -> Value:
    """What 1 / sqrt(mean(centred^2) + epsilon) adds to dx, negative: dinverse inverse^3 centred / n."""
    cube = call("multiply", call("square", inverse), inverse)
    factor = call("scale", call("multiply", dinverse, cube), factor=1 / centred.shape[-1])
    return call("multiply", centred, _column(factor))


def _infer_layer_norm_gradient(node: Node) -> Specs:
    x, gamma = node.inputs[1], node.inputs[2]
    _check_weights(node, x, [gamma])
    blocks = (blocks_of(_rows(x.shape)[0]), x.shape[-1])
    return [(x.shape, x.dtype), (blocks, x.dtype), (blocks, x.dtype)]


def _layer_norm_gradient(dy: Any, x: Any, gamma: Any, mean: Any, inverse: Any) -> tuple[np.ndarray, ...]:
    dtype = x.dtype
    dy, x, gamma, mean, inverse = (a.astype(np.float64) for a in (dy, x, gamma, mean, inverse))
    z = (x - mean[..., None]) * inverse[..., None]
    g = dy * gamma
    dx = inverse[..., None] * (g - g.mean(-1, keepdims=True) - z * (g * z).mean(-1, keepdims=True))
    flat = (-1, x.shape[-1])
    dgamma, dbeta = add_blocks((dy * z).reshape(flat)), add_blocks(dy.reshape(flat))
    return dx.astype(dtype), dgamma.astype(dtype), dbeta.astype(dtype)


def _rms_norm_gradient(dy: Any, x: Any, gamma: Any, inverse: Any) -> tuple[np.ndarray, ...]:
    dtype = x.dtype
    dy, x, gamma, inverse = (a.astype(np.float64) for a in (dy, x, gamma, inverse))
    z = x * inverse[..., None]
    g = dy * gamma
    dx = inverse[..., None] * (g - z * (g * z).mean(-1, keepdims=True))
    return dx.astype(dtype), add_blocks((dy * z).reshape(-1, x.shape[-1])).astype(dtype)


def refuse_second(node: Node, *_: Any) -> list[Value | None]:
    """The rule of derivatives that have none themselves."""
    raise GraphError(f"{node.op.name}: no second derivative is defined; build the normalisation from nnfast.ops.mean")


# Samples
def _weights(rng: np.random.Generator, n: int, dtype: str) -> np.ndarray:
    return rng.uniform(0.5, 1.5, n).astype(dtype)


def _layer_norm_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for shape in SHAPES:
        x = (3 * rng.standard_normal(shape) + 1).astype(dtype)
        beta = rng.standard_normal(shape[-1]).astype(dtype)
        yield [x, _weights(rng, shape[-1], dtype), beta], {"epsilon": 0.1}


def _rms_norm_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for arrays, attributes in _layer_norm_samples(rng, dtype):
        yield arrays[:2], attributes


def _layer_norm_gradient_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for (x, gamma, beta), attributes in _layer_norm_samples(rng, dtype):
        _, mean, inverse = _layer_norm(x, gamma, beta, **attributes)
        yield [rng.standard_normal(x.shape).astype(dtype), x, gamma, mean, inverse], {}


def _rms_norm_gradient_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for (x, gamma), attributes in _rms_norm_samples(rng, dtype):
        yield [rng.standard_normal(x.shape).astype(dtype), x, gamma, _rms_norm(x, gamma, **attributes)[1]], {}


def _gradient_arguments(node: Node) -> tuple[tuple[int, int], list[float]]:
    return _rows(node.inputs[1].shape), []


_rows_of_sums: dict[str, Any] = {"kind": "row", "tolerance": "sum"}
define(
    name="layer_norm", inputs=("x", "gamma", "beta"), formula="(x - mean) inverse gamma + beta over the last axis, inverse = 1 / sqrt(variance + epsilon); mean; inverse",
    infer=_infer_layer_norm, reference=_layer_norm, gradient=_layer_norm_rule, kernel="layer_norm", arguments=_arguments,
    flops=lambda n: 8.0 * n.inputs[0].size, samples=_layer_norm_samples, in_place=(0,), **_rows_of_sums,
)  # fmt: skip
define(
    name="rms_norm", inputs=("x", "gamma"), formula="x inverse gamma over the last axis, inverse = 1 / sqrt(mean(x^2) + epsilon); inverse",
    infer=_infer_rms_norm, reference=_rms_norm, gradient=_rms_norm_rule, kernel="rms_norm", arguments=_arguments,
    flops=lambda n: 4.0 * n.inputs[0].size, samples=_rms_norm_samples, in_place=(0,), **_rows_of_sums,
)  # fmt: skip
define(
    name="layer_norm_gradient", inputs=("dy", "x", "gamma", "mean", "inverse"), formula="dx = inverse (g - mean(g) - z mean(g z)), g = dy gamma, z = (x - mean) inverse; sums of dy z and of dy over blocks of rows",
    infer=_infer_layer_norm_gradient, reference=_layer_norm_gradient, gradient=refuse_second, kernel="layer_norm_gradient", arguments=_gradient_arguments,
    flops=lambda n: 16.0 * n.inputs[0].size, samples=_layer_norm_gradient_samples, in_place=(0, 1), **_rows_of_sums,
)  # fmt: skip
define(
    name="rms_norm_gradient", inputs=("dy", "x", "gamma", "inverse"), formula="dx = inverse (g - z mean(g z)), g = dy gamma, z = x inverse; sums of dy z over blocks of rows",
    infer=lambda n: _infer_layer_norm_gradient(n)[:2], reference=_rms_norm_gradient, gradient=refuse_second, kernel="rms_norm_gradient", arguments=_gradient_arguments,
    flops=lambda n: 12.0 * n.inputs[0].size, samples=_rms_norm_gradient_samples, in_place=(0, 1), **_rows_of_sums,
)  # fmt: skip
