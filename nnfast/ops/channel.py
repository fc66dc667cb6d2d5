"""Statistics per channel (the last axis), and values brought to them: what batch, group and instance normalisation are made of.

`moments` and `standardize` have gradients as a whole. After differentiation they become sums over blocks of ROW_BLOCK rows, and
elementwise ops, which fuse with what stands around them. With per_sample=True the first axis keeps statistics of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np

from nnfast.errors import GraphError, ShapeError
from nnfast.graph.ir import Node, Value
from nnfast.ops.elementwise import call
from nnfast.ops.norm import ROW_BLOCK, add_blocks, blocks_of
from nnfast.ops.registry import NOT_DIFFERENTIABLE, Call, Sample, Specs, define, stored_size

SHAPES = (((1, 1), False), ((0, 3), False), ((7, 5), False), ((65, 17), False), ((2, 5, 9, 16), False), ((200, 3), False), ((4400, 2), False), ((3, 70, 133), False), ((3, 1, 4), True), ((2, 3, 4, 5), True), ((2, 70, 33), True))  # fmt: skip


def statistics_shape(shape: tuple[int, ...], per_sample: bool) -> tuple[int, ...]:
    """Of one number per channel, or per sample and channel: it broadcasts to the tensor."""
    return (shape[0], *[1] * (len(shape) - 2), shape[-1]) if per_sample else (shape[-1],)


def _folded(shape: tuple[int, ...], per_sample: bool) -> tuple[int, int, int]:
    """Outer, rows, channels."""
    outer = shape[0] if per_sample else 1
    return outer, prod(shape[per_sample:-1]), shape[-1]


# moments
def _infer_moments(node: Node) -> Specs:
    x, per_sample = node.inputs[0], node.attributes["per_sample"]
    if x.ndim < 2 + per_sample:
        raise ShapeError(f"moments: a tensor {list(x.shape)}: expected at least {2 + per_sample} axes")
    return [(statistics_shape(x.shape, per_sample), x.dtype)] * 2


def _moments(x: np.ndarray, per_sample: bool) -> tuple[np.ndarray, ...]:
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64).reshape(_folded(x.shape, per_sample))
        rows = np.float64(wide.shape[1])
        mean = wide.sum(1, keepdims=True) / rows
        variance = np.square(wide - mean).sum(1) / rows
    shape = statistics_shape(x.shape, per_sample)
    return mean.astype(x.dtype).reshape(shape), variance.astype(x.dtype).reshape(shape)


def _decompose_moments(node: Node) -> list[Value]:
    x, per_sample = node.inputs[0], node.attributes["per_sample"]
    outer, rows, n = _folded(x.shape, per_sample)
    means, squares = call("block_moments", call("reshape", x, shape=(outer, rows, n)))
    shape = statistics_shape(x.shape, per_sample)
    return [call("reshape", part, shape=shape) for part in call("combine_moments", means, squares, rows=rows)]


def _moments_rule(node: Node, dmean: Value | None, dvariance: Value | None) -> list[Value | None]:
    """(dmean + 2 dvariance (x - mean)) / rows."""
    x, mean = node.inputs[0], node.outputs[0]
    share = 1 / max(_folded(x.shape, node.attributes["per_sample"])[1], 1)
    dx = None
    if dvariance is not None:
        dx = call("multiply", call("subtract", x, mean), call("scale", dvariance, factor=2 * share))
    if dmean is not None:
        part = call("scale", dmean, factor=share)
        dx = call("broadcast_to", part, shape=x.shape) if dx is None else call("add", dx, part)
    return [dx]


# standardize
def _infer_standardize(node: Node) -> Specs:
    x, *statistics = node.inputs
    allowed = {(x.shape[-1],), *([statistics_shape(x.shape, True)] if x.ndim > 2 else [])}
    if x.ndim < 2 or len({s.shape for s in statistics}) != 1 or statistics[0].shape not in allowed:
        shapes = ", ".join(str(list(s.shape)) for s in statistics)
        raise ShapeError(
            f"standardize: x {list(x.shape)}, mean, scale and shift {shapes}: expected one number per channel for each"
        )
    return [(x.shape, x.dtype)]


def _standardize(x: np.ndarray, mean: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> np.ndarray:
    wide, m, s, t = (a.astype(np.float64) for a in (x, mean, scale, shift))
    return ((wide - m) * s + t).astype(x.dtype)


def _decompose_standardize(node: Node) -> list[Value]:
    x, mean, scale, shift = node.inputs
    return [call("add", call("multiply", call("subtract", x, mean), scale), shift)]


def _standardize_rule(node: Node, dy: Value) -> list[Value]:
    x, mean, scale, _ = node.inputs
    sums, products = call("channel_products", dy, x, mean)
    return [call("multiply", dy, scale), call("negative", call("multiply", scale, sums)), products, sums]


# channel_products
def _infer_products(node: Node) -> Specs:
    dy, x, mean = node.inputs
    if dy.shape != x.shape:
        raise ShapeError(f"channel_products: dy {list(dy.shape)} and x {list(x.shape)} must have one shape")
    return [(mean.shape, x.dtype)] * 2


def _channel_products(dy: np.ndarray, x: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, ...]:
    folded = _folded(x.shape, mean.ndim > 1)
    d, centred = dy.astype(np.float64), x.astype(np.float64) - mean.astype(np.float64)
    return tuple(part.reshape(folded).sum(1).reshape(mean.shape).astype(x.dtype) for part in (d, d * centred))


def _decompose_products(node: Node) -> list[Value]:
    dy, x, mean = node.inputs
    outer, rows, n = _folded(x.shape, mean.ndim > 1)
    dy, x = (call("reshape", v, shape=(outer, rows, n)) for v in (dy, x))
    parts = call("block_products", dy, x, call("reshape", mean, shape=(outer, n)))
    return [call("reshape", call("sum", part, start=1, stop=2), shape=mean.shape) for part in parts]


def _products_rule(node: Node, dsums: Value | None, dproducts: Value | None) -> list[Value | None]:
    dy, x, mean = node.inputs
    if dproducts is None:
        return [None if dsums is None else call("broadcast_to", dsums, shape=x.shape), None, None]
    ddy = call("multiply", call("subtract", x, mean), dproducts)
    if dsums is not None:
        ddy = call("add", ddy, dsums)
    return [ddy, call("multiply", dy, dproducts), call("negative", call("multiply", dproducts, node.outputs[0]))]


# What they become
def _never(node: Node, *_: Any) -> list[Value | None]:
    raise GraphError(f"{node.op.name} is made after differentiation")


def _infer_blocks(node: Node) -> Specs:
    outer, rows, n = node.inputs[0].shape
    return [((outer, blocks_of(rows), n), node.inputs[0].dtype)] * 2


def _block_moments(x: np.ndarray) -> tuple[np.ndarray, ...]:
    means, squares = [], []
    wide = x.astype(np.float64)
    for first in range(0, x.shape[1], ROW_BLOCK):
        block = wide[:, first : first + ROW_BLOCK]
        means.append(block.mean(1))
        squares.append(np.square(block - block.mean(1, keepdims=True)).sum(1))
    shape = (x.shape[0], blocks_of(x.shape[1]), x.shape[2])
    return tuple(np.stack(p, 1).astype(x.dtype) if p else np.zeros(shape, x.dtype) for p in (means, squares))


def _infer_combined(node: Node) -> Specs:
    outer, _, n = node.inputs[0].shape
    return [((outer, n), node.inputs[0].dtype)] * 2


def _combine_moments(means: np.ndarray, squares: np.ndarray, rows: int) -> tuple[np.ndarray, ...]:
    counts = np.minimum(ROW_BLOCK, rows - ROW_BLOCK * np.arange(means.shape[1]))[:, None]
    with np.errstate(all="ignore"):
        wide = means.astype(np.float64)
        mean = (wide * counts).sum(1) / np.float64(rows)
        variance = (squares.astype(np.float64) + counts * np.square(wide - mean[:, None])).sum(1) / np.float64(rows)
    return mean.astype(means.dtype), variance.astype(means.dtype)


def _block_products(dy: np.ndarray, x: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, ...]:
    d, centred = dy.astype(np.float64), x.astype(np.float64) - mean.astype(np.float64)[:, None]
    return tuple(
        np.stack([add_blocks(part) for part in whole]).astype(x.dtype).reshape(x.shape[0], blocks_of(x.shape[1]), x.shape[2])
        for whole in (d, d * centred)
    )  # fmt: skip


# Samples
def _tensors(rng: np.random.Generator, dtype: str, count: int) -> Iterable[tuple[list[np.ndarray], bool]]:
    for shape, per_sample in SHAPES:
        yield [(2 * rng.standard_normal(shape) + 1).astype(dtype) for _ in range(count)], per_sample


def _moments_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for arrays, per_sample in _tensors(rng, dtype, 1):
        yield arrays, {"per_sample": per_sample}


def _statistics(rng: np.random.Generator, x: np.ndarray, per_sample: bool) -> np.ndarray:
    return rng.uniform(0.5, 1.5, statistics_shape(x.shape, per_sample)).astype(x.dtype)


def _standardize_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for [x], per_sample in _tensors(rng, dtype, 1):
        yield [x, *[_statistics(rng, x, per_sample) for _ in range(3)]], {}


def _products_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for [dy, x], per_sample in _tensors(rng, dtype, 2):
        yield [dy, x, _statistics(rng, x, per_sample)], {}


def _block_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for [x], per_sample in _tensors(rng, dtype, 1):
        yield [x.reshape(_folded(x.shape, per_sample))], {}


def _combine_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for [x], _ in _block_samples(rng, dtype):
        yield list(_block_moments(x)), {"rows": x.shape[1]}


def _block_product_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for [x], _ in _block_samples(rng, dtype):
        yield [rng.standard_normal(x.shape).astype(dtype), x, rng.standard_normal((x.shape[0], x.shape[2])).astype(dtype)], {}  # fmt: skip


_whole: dict[str, Any] = {"kind": "reduction", "tolerance": "sum", "kernel": None, "late": True}
define(
    name="moments", inputs=("x",), formula="mean and variance of each channel over all other axes (per_sample: but the first)", infer=_infer_moments,
    reference=_moments, gradient=_moments_rule, decompose=_decompose_moments, flops=lambda n: 4.0 * n.inputs[0].size, samples=_moments_samples, **_whole,
)  # fmt: skip
define(
    name="standardize", inputs=("x", "mean", "scale", "shift"), formula="(x - mean) scale + shift, one number per channel each", infer=_infer_standardize,
    reference=_standardize, gradient=_standardize_rule, decompose=_decompose_standardize, flops=lambda n: 3.0 * n.inputs[0].size, samples=_standardize_samples, **_whole,
)  # fmt: skip
define(
    name="channel_products", inputs=("dy", "x", "mean"), formula="sum of dy, and of dy (x - mean), per channel", infer=_infer_products,
    reference=_channel_products, gradient=_products_rule, decompose=_decompose_products, flops=lambda n: 4.0 * n.inputs[0].size, samples=_products_samples, **_whole,
)  # fmt: skip

_parts: dict[str, Any] = {"kind": "reduction", "tolerance": "sum", "gradient": _never}
define(
    name="block_moments", inputs=("x",), formula="mean, and sum of (x - mean)^2, of blocks of 64 rows of x[outer, rows, n]", infer=_infer_blocks,
    reference=_block_moments, kernel="block_moments", arguments=lambda n: (n.inputs[0].shape, []), flops=lambda n: 4.0 * n.inputs[0].size, samples=_block_samples, **_parts,
)  # fmt: skip
define(
    name="combine_moments", inputs=("means", "squares"), formula="mean and variance from those of blocks (Chan et al. 1979)", infer=_infer_combined, reference=_combine_moments,
    kernel="combine_moments", arguments=lambda n: ([n.inputs[0].shape[0], n.attributes["rows"], n.inputs[0].shape[2]], []),
    flops=lambda n: 6.0 * n.inputs[0].size, samples=_combine_samples, **_parts,
)  # fmt: skip
define(
    name="block_products", inputs=("dy", "x", "mean"), formula="sums of dy, and of dy (x - mean), over blocks of 64 rows of x[outer, rows, n]", infer=_infer_blocks,
    reference=_block_products, kernel="block_products", arguments=lambda n: (n.inputs[0].shape, []), flops=lambda n: 4.0 * n.inputs[0].size,
    samples=_block_product_samples, **_parts,
)  # fmt: skip


# update_average: the moving statistics of batch normalisation
def _average_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for n in (0, 1, 15, 17, 64, 65, 1000):
        yield [rng.standard_normal(n).astype(dtype), rng.standard_normal(n).astype(dtype)], {"momentum": 0.9}


def _average(w: np.ndarray, value: np.ndarray, momentum: float) -> np.ndarray:
    return (momentum * w.astype(np.float64) + (1 - momentum) * value.astype(np.float64)).astype(w.dtype)


define(
    name="update_average", inputs=("w", "value"), formula="w = momentum w + (1 - momentum) value", kind="update",
    infer=lambda n: [(n.inputs[0].shape, n.inputs[0].dtype)], reference=_average, gradient=NOT_DIFFERENTIABLE, kernel=None,
    calls=lambda n: [Call("moving_average", [stored_size(n.inputs[0])], [float(n.attributes["momentum"])], outputs=(), inputs=(0, 1))],
    flops=lambda n: 3.0 * n.output.size, tolerance="update", samples=_average_samples, promotes=False, updates=(0,),
)  # fmt: skip
