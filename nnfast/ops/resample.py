"""`resample`, one axis read at other places, as resizing and upsampling do; and `pad`, elements of one value around a tensor.

What each element of y reads is a row of weights (`taps`). The gradient reads by the transposed table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from math import prod

import numpy as np

from nnfast.errors import ShapeError
from nnfast.graph.ir import Node, Value
from nnfast.ops.elementwise import call
from nnfast.ops.registry import Call, Sample, Specs, define, row_strides
from nnfast.ops.shape import copy_sizes

Taps = tuple[
    tuple[int, tuple[float, ...]], ...
]  # for each element of y: the first element of x, and weights from there on


def _cubic(t: float) -> float:
    """Keys 1981, a = -0.5."""
    t = abs(t)
    return (1.5 * t - 2.5) * t * t + 1 if t <= 1 else ((-0.5 * t + 2.5) * t - 4) * t + 2 if t < 2 else 0.0


def _lanczos(radius: int) -> Callable[[float], float]:
    def kernel(t: float) -> float:
        if t == 0:
            return 1.0
        angle = math.pi * t
        return radius * math.sin(angle) * math.sin(angle / radius) / (angle * angle) if abs(t) < radius else 0.0

    return kernel


KERNELS: dict[str, tuple[int, Callable[[float], float]]] = {
    "bilinear": (1, lambda t: max(1 - abs(t), 0.0)),
    "bicubic": (2, _cubic),
    "lanczos3": (3, _lanczos(3)),
    "lanczos5": (5, _lanczos(5)),
}
INTERPOLATIONS = ("nearest", *KERNELS, "area")


def taps(n: int, m: int, interpolation: str, antialias: bool = False) -> Taps:
    """How m elements read n: centres at (i + 0.5) n / m - 0.5, as half-pixel centres in Keras; weights sum to 1 at the edges too.

    >>> taps(2, 4, "bilinear")
    ((0, (1.0,)), (0, (0.75, 0.25)), (0, (0.25, 0.75)), (1, (1.0,)))
    """
    rows: list[tuple[int, tuple[float, ...]]] = []
    for i in range(m):
        centre = (i + 0.5) * n / m - 0.5
        if interpolation == "nearest":
            rows.append((min((2 * i + 1) * n // (2 * m), n - 1), (1.0,)))
            continue
        if interpolation == "area":
            begin, end = i * n / m, (i + 1) * n / m
            first, last = math.floor(begin), math.ceil(end) - 1
            weights = [min(j + 1, end) - max(j, begin) for j in range(first, last + 1)]
        else:
            radius, kernel = KERNELS[interpolation]
            scale = max(n / m, 1.0) if antialias else 1.0
            first = max(math.ceil(centre - radius * scale), 0)
            last = min(math.floor(centre + radius * scale), n - 1)
            weights = [kernel((j - centre) / scale) for j in range(first, last + 1)]
        rows.append(_trimmed(first, [w / math.fsum(weights) for w in weights]))
    return tuple(rows)


def _trimmed(first: int, weights: list[float]) -> tuple[int, tuple[float, ...]]:
    """Without zeros at the ends: what has weight 0 is not read."""
    while weights and weights[-1] == 0:
        weights.pop()
    while weights and weights[0] == 0:
        weights.pop(0)
        first += 1
    return (first if weights else 0), tuple(weights)


def transposed(table: Taps, n: int) -> Taps:
    """The table of the gradient: for each element of x, what reads it."""
    readers: list[dict[int, float]] = [{} for _ in range(n)]
    for i, (first, weights) in enumerate(table):
        for t, weight in enumerate(weights):
            readers[first + t][i] = weight
    rows: list[tuple[int, tuple[float, ...]]] = []
    for found in readers:
        first = min(found, default=0)
        rows.append(_trimmed(first, [found.get(i, 0.0) for i in range(first, max(found, default=-1) + 1)]))
    return tuple(rows)


def _infer(node: Node) -> Specs:
    x, axis, table = node.inputs[0], node.attributes["axis"], node.attributes["table"]
    if any(first + len(weights) > x.shape[axis] for first, weights in table):
        raise ShapeError(f"resample: the table reads beyond the {x.shape[axis]} elements of axis {axis}")
    return [((*x.shape[:axis], len(table), *x.shape[axis + 1 :]), x.dtype)]


def _reference(x: np.ndarray, axis: int, table: Taps) -> np.ndarray:
    matrix = np.zeros((len(table), x.shape[axis]))
    for i, (first, weights) in enumerate(table):
        matrix[i, first : first + len(weights)] = weights
    return np.moveaxis(np.tensordot(matrix, x.astype(np.float64), (1, axis)), 0, axis).astype(x.dtype)


def _arguments(node: Node) -> tuple[list[int], list[float]]:
    shape, axis, table = node.inputs[0].shape, node.attributes["axis"], node.attributes["table"]
    sizes = [prod(shape[:axis]), shape[axis], len(table), prod(shape[axis + 1 :])]
    scalars: list[float] = []
    for first, weights in table:
        sizes += [first, len(weights), len(scalars)]
        scalars += weights
    return sizes, scalars


def _gradient(node: Node, dy: Value) -> list[Value]:
    axis = node.attributes["axis"]
    return [call("resample", dy, axis=axis, table=transposed(node.attributes["table"], node.inputs[0].shape[axis]))]


def _samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for shape, axis, m, interpolation, antialias in (
        ((1, 1), 0, 3, "bilinear", False),
        ((0, 4), 1, 3, "bilinear", False),
        ((3, 5), 1, 9, "nearest", False),
        ((2, 4, 3), 1, 7, "bilinear", False),
        ((2, 7, 3), 1, 3, "bilinear", True),
        ((2, 7, 33), 1, 4, "bicubic", False),
        ((9, 2), 0, 4, "lanczos3", True),
        ((2, 5, 131), 1, 3, "area", False),
        ((2, 3, 6, 5), 2, 2, "nearest", False),
    ):
        table = taps(shape[axis], m, interpolation, antialias)
        yield [rng.standard_normal(shape).astype(dtype)], {"axis": axis, "table": table}
        gradient = rng.standard_normal((*shape[:axis], m, *shape[axis + 1 :])).astype(dtype)
        yield [gradient], {"axis": axis, "table": transposed(table, shape[axis])}


define(
    name="resample", inputs=("x",), formula="sums of neighbours along an axis, with the weights of a table", kind="reduction", infer=_infer, reference=_reference,
    gradient=_gradient, kernel="resample", arguments=_arguments, flops=lambda n: 2.0 * prod(n.output.shape) * max((len(w) for _, w in n.attributes["table"]), default=0),
    tolerance="sum", samples=_samples,
)  # fmt: skip


# pad
def _infer_pad(node: Node) -> Specs:
    x, pairs = node.inputs[0], node.attributes["pairs"]
    if len(pairs) != x.ndim:
        raise ShapeError(f"pad: {len(pairs)} pairs for a tensor {list(x.shape)}: expected one for each axis")
    return [(tuple(before + n + after for n, (before, after) in zip(x.shape, pairs, strict=True)), x.dtype)]


def _pad_calls(node: Node) -> list[Call]:
    x, pairs = node.inputs[0], node.attributes["pairs"]
    strides = row_strides(node.output.shape)
    offset = sum(before * stride for (before, _), stride in zip(pairs, strides, strict=True))
    fill = Call("fill", [node.output.size], [float(node.attributes["value"])], inputs=())
    return [fill, Call("copy", copy_sizes(x.shape, strides, row_strides(x.shape), offset))]


def _pad_gradient(node: Node, dy: Value) -> list[Value]:
    x, pairs = node.inputs[0], node.attributes["pairs"]
    return [call("slice", dy, ranges=tuple((before, n, 1) for n, (before, _) in zip(x.shape, pairs, strict=True)))]


def _pad_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for shape, pairs, value in (
        ((3,), ((2, 1),), 1.5),
        ((2, 5), ((0, 0), (1, 0)), 0.0),
        ((0, 4), ((0, 0), (2, 2)), 0.0),
        ((2, 4, 6, 17), ((0, 0), (1, 2), (3, 0), (0, 0)), 0.0),
        ((2, 3, 2, 4, 5), ((0, 0), (1, 1), (0, 2), (1, 0), (0, 0)), -1.0),
    ):
        yield [rng.standard_normal(shape).astype(dtype)], {"pairs": pairs, "value": value}


define(
    name="pad", inputs=("x",), formula="x with elements of one value before and behind it on each axis", kind="shape", infer=_infer_pad,
    reference=lambda x, pairs, value: np.pad(x, pairs, constant_values=value), gradient=_pad_gradient, kernel=None, calls=_pad_calls,
    flops=lambda n: 0.0, tolerance="exact", samples=_pad_samples,
)  # fmt: skip
