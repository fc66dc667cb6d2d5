"""Ops that move numbers without computing: reshape, transpose, broadcast, slice, concatenate, cast, one-hot.

All but reshape (a view) are strided copies by one kernel, `copy`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

import numpy as np

from nnfast.errors import DtypeError, ShapeError
from nnfast.graph import trace
from nnfast.graph.ir import FLOATS, Node, Value
from nnfast.ops.elementwise import call
from nnfast.ops.registry import NOT_DIFFERENTIABLE, Call, Sample, Specs, broadcast_strides, define, row_strides

MAX_RANK = 6  # NNF_MAX_RANK


def _padded(numbers: Sequence[int], fill: int) -> list[int]:
    return [*numbers, *[fill] * (MAX_RANK - len(numbers))]


def copy_sizes(
    shape: Sequence[int], y_strides: Sequence[int], x_strides: Sequence[int], y_offset: int = 0, x_offset: int = 0
) -> list[int]:
    """The sizes of the kernel `copy`, after merging axes that lie behind each other in both tensors."""
    dims: list[list[int]] = []
    for extent, y, x in zip(shape, y_strides, x_strides, strict=True):
        if extent == 1 and prod(shape) != 0:
            continue
        if dims and dims[-1][1] == extent * y and dims[-1][2] == extent * x:
            dims[-1] = [dims[-1][0] * extent, y, x]
        else:
            dims.append([extent, y, x])
    if not dims:
        dims = [[1 if prod(shape) else 0, 1, 1]]
    if len(dims) > MAX_RANK:
        raise ShapeError(f"a copy over {len(dims)} axes that cannot be merged: at most {MAX_RANK} are supported")
    extents, y_list, x_list = (list(column) for column in zip(*dims, strict=True))
    return [len(dims), *_padded(extents, 1), *_padded(y_list, 0), *_padded(x_list, 0), y_offset, x_offset]


def _nothing(node: Node) -> float:
    return 0.0


_moves: dict[str, Any] = {"kind": "shape", "promotes": False, "flops": _nothing, "tolerance": "exact"}


# reshape: a view.
def _infer_reshape(node: Node) -> Specs:
    x = node.inputs[0]
    shape = tuple(node.attributes["shape"])
    if prod(shape) != x.size:
        raise ShapeError(f"reshape: {list(x.shape)} has {x.size} elements, {list(shape)} has {prod(shape)}")
    return [(shape, x.dtype)]


def _reshape_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    yield [rng.standard_normal((3, 4)).astype(dtype)], {"shape": (2, 6)}
    yield [rng.standard_normal((0, 4)).astype(dtype)], {"shape": (4, 0)}


define(
    name="reshape", inputs=("x",), formula="the same elements under another shape", infer=_infer_reshape, reference=lambda x, shape: x.reshape(shape),
    gradient=lambda n, d: [call("reshape", d, shape=n.inputs[0].shape)], kernel=None, view=True, samples=_reshape_samples, **_moves,
)  # fmt: skip
define(
    name="stop_gradient", inputs=("x",), formula="x; its gradient is zero", infer=lambda n: [(n.inputs[0].shape, n.inputs[0].dtype)], reference=lambda x: x,
    gradient=lambda n, d: [None], kernel=None, view=True, samples=lambda rng, dtype: [([rng.standard_normal(5).astype(dtype)], {})], **_moves,
)  # fmt: skip


# transpose
def _transpose_arguments(node: Node) -> tuple[list[int], list[float]]:
    x, axes = node.inputs[0], node.attributes["axes"]
    strides = row_strides(x.shape)
    shape = node.output.shape
    return copy_sizes(shape, row_strides(shape), [strides[a] for a in axes]), []


def _transpose_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for shape, axes in (
        ((1, 1), (1, 0)),
        ((3, 5), (1, 0)),
        ((64, 33), (1, 0)),
        ((130, 257), (1, 0)),
        ((2, 3, 4), (2, 0, 1)),
        ((2, 3, 4), (0, 2, 1)),
        ((2, 3, 4, 5), (3, 1, 2, 0)),
        ((0, 4), (1, 0)),
    ):
        yield [rng.standard_normal(shape).astype(dtype)], {"axes": axes}


define(
    name="transpose", inputs=("x",), formula="axes in another order", infer=lambda n: [(tuple(n.inputs[0].shape[a] for a in n.attributes["axes"]), n.inputs[0].dtype)],
    reference=lambda x, axes: np.ascontiguousarray(x.transpose(axes)), gradient=lambda n, d: [call("transpose", d, axes=tuple(int(i) for i in np.argsort(n.attributes["axes"])))],
    kernel="copy", arguments=_transpose_arguments, samples=_transpose_samples, **_moves,
)  # fmt: skip


# broadcast_to
def _infer_broadcast(node: Node) -> Specs:
    x, shape = node.inputs[0], tuple(node.attributes["shape"])
    try:
        fits = np.broadcast_shapes(x.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(f"broadcast_to: shape {list(x.shape)} does not broadcast to {list(shape)}")
    return [(shape, x.dtype)]


def _broadcast_arguments(node: Node) -> tuple[list[int], list[float]]:
    shape = node.output.shape
    return copy_sizes(shape, row_strides(shape), broadcast_strides(node.inputs[0].shape, shape)), []


def _broadcast_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for shape, target in (
        ((), (3,)),
        ((1, 4), (3, 4)),
        ((3, 1), (3, 70)),
        ((5,), (2, 3, 5)),
        ((2, 1, 2), (2, 9, 2)),
        ((1,), (0,)),
    ):
        yield [rng.standard_normal(shape).astype(dtype)], {"shape": target}


define(
    name="broadcast_to", inputs=("x",), formula="x repeated to a larger shape", infer=_infer_broadcast, reference=lambda x, shape: np.broadcast_to(x, shape).copy(),
    gradient=lambda n, d: [d], kernel="copy", arguments=_broadcast_arguments, samples=_broadcast_samples, **_moves,
)  # fmt: skip


# slice: start, stop (as a count) and step per axis
def _infer_slice(node: Node) -> Specs:
    return [(tuple(count for _, count, _ in node.attributes["ranges"]), node.inputs[0].dtype)]


def _slice_arguments(node: Node) -> tuple[list[int], list[float]]:
    strides = row_strides(node.inputs[0].shape)
    ranges = node.attributes["ranges"]
    offset = sum(start * stride for (start, _, _), stride in zip(ranges, strides, strict=True))
    stepped = [step * stride for (_, _, step), stride in zip(ranges, strides, strict=True)]
    return copy_sizes(node.output.shape, row_strides(node.output.shape), stepped, 0, offset), []


def _slice_reference(x: np.ndarray, ranges: Sequence[tuple[int, int, int]]) -> np.ndarray:
    for axis, (start, count, step) in enumerate(ranges):
        x = np.take(x, [start + i * step for i in range(count)], axis)
    return np.ascontiguousarray(x)


def _slice_gradient(node: Node, dy: Value) -> list[Value]:
    """Put dy back among zeros, axis by axis."""
    for axis, (start, count, step) in enumerate(node.attributes["ranges"]):
        extent = node.inputs[0].shape[axis]
        if (start, count, step) == (0, extent, 1):
            continue
        if step < 0:
            dy = call(
                "slice", dy, ranges=tuple((c - 1, c, -1) if a == axis else (0, c, 1) for a, c in enumerate(dy.shape))
            )
            start, step = start + (count - 1) * step, -step
        if step > 1:
            split = call("reshape", dy, shape=(*dy.shape[: axis + 1], 1, *dy.shape[axis + 1 :]))
            spaced = _with_zeros(split, axis + 1, 0, step - 1)
            dy = call("reshape", spaced, shape=(*dy.shape[:axis], count * step, *dy.shape[axis + 1 :]))
            keep = min(count * step, extent - start)
            dy = call("slice", dy, ranges=tuple((0, keep if a == axis else c, 1) for a, c in enumerate(dy.shape)))
        dy = _with_zeros(dy, axis, start, extent - start - dy.shape[axis])
    return [dy]


def _with_zeros(x: Value, axis: int, before: int, after: int) -> Value:
    parts: list[Any] = [x]
    for count, place in ((before, 0), (after, 2)):
        if count:
            zeros = x.graph.constant(np.zeros((*x.shape[:axis], count, *x.shape[axis + 1 :])), x.dtype)
            parts.insert(place, zeros)
    return call("concatenate", *parts, axis=axis) if len(parts) > 1 else x


def _slice_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    yield [rng.standard_normal(9).astype(dtype)], {"ranges": ((2, 3, 2),)}
    yield [rng.standard_normal(9).astype(dtype)], {"ranges": ((8, 9, -1),)}
    yield [rng.standard_normal((4, 33)).astype(dtype)], {"ranges": ((1, 2, 1), (3, 20, 1))}
    yield [rng.standard_normal((4, 5, 6)).astype(dtype)], {"ranges": ((0, 4, 1), (4, 2, -2), (0, 0, 1))}


define(
    name="slice", inputs=("x",), formula="elements start, start + step, ... of each axis", infer=_infer_slice, reference=_slice_reference,
    gradient=_slice_gradient, kernel="copy", arguments=_slice_arguments, samples=_slice_samples, **_moves,
)  # fmt: skip


# concatenate
def _infer_concatenate(node: Node) -> Specs:
    axis = node.attributes["axis"]
    first = node.inputs[0]
    for x in node.inputs:
        if (
            x.ndim != first.ndim
            or x.dtype != first.dtype
            or any(a != b for i, (a, b) in enumerate(zip(x.shape, first.shape, strict=True)) if i != axis)
        ):
            shapes = ", ".join(str(list(v.shape)) for v in node.inputs)
            raise ShapeError(f"concatenate: shapes {shapes} must be equal except along axis {axis}")
    total = sum(x.shape[axis] for x in node.inputs)
    return [((*first.shape[:axis], total, *first.shape[axis + 1 :]), first.dtype)]


def _concatenate_calls(node: Node) -> list[Call]:
    axis = node.attributes["axis"]
    strides = row_strides(node.output.shape)
    calls, offset = [], 0
    for i, x in enumerate(node.inputs):
        if x.size:
            calls.append(
                Call("copy", copy_sizes(x.shape, strides, row_strides(x.shape), offset * strides[axis]), inputs=(i,))
            )
        offset += x.shape[axis]
    return calls


def _concatenate_gradient(node: Node, dy: Value) -> list[Value]:
    axis = node.attributes["axis"]
    gradients, offset = [], 0
    for x in node.inputs:
        gradients.append(
            call("slice", dy, ranges=tuple((offset if a == axis else 0, c, 1) for a, c in enumerate(x.shape)))
        )
        offset += x.shape[axis]
    return gradients


def _concatenate_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for shapes, axis in (
        (((3,), (4,)), 0),
        (((2, 3), (2, 17), (2, 1)), 1),
        (((2, 3), (5, 3)), 0),
        (((2, 0, 3), (2, 4, 3)), 1),
    ):
        yield [rng.standard_normal(shape).astype(dtype) for shape in shapes], {"axis": axis}


define(
    name="concatenate", inputs=("*xs",), formula="tensors behind each other along an axis", infer=_infer_concatenate,
    reference=lambda *xs, axis: np.concatenate(xs, axis), gradient=_concatenate_gradient, kernel=None, calls=_concatenate_calls,
    samples=_concatenate_samples, **_moves,
)  # fmt: skip


# cast
def _infer_cast(node: Node) -> Specs:
    x, dtype = node.inputs[0], node.attributes["dtype"]
    if dtype not in (*FLOATS, "int32") or x.dtype not in (*FLOATS, "int32"):
        raise DtypeError(f"cast: from {x.dtype} to {dtype}: expected float32, float64 or int32")
    return [(x.shape, dtype)]


def _cast_calls(node: Node) -> list[Call]:
    x, to = node.inputs[0], node.attributes["dtype"]
    if x.dtype == to:
        return [Call("copy", copy_sizes((x.size,), (1,), (1,)))]
    if x.dtype == "int32":
        return [Call("cast_from_int32", [x.size])]
    if to == "int32":
        return [Call("cast_to_int32", [x.size], dtype=x.dtype)]
    return [Call("cast_from_other", [x.size])]


def _cast_reference(x: np.ndarray, dtype: str) -> np.ndarray:
    if dtype == "int32" and x.dtype.kind == "f":
        with np.errstate(all="ignore"):
            limited = np.clip(np.trunc(x.astype(np.float64)), -(2.0**31), 2.0**31 - 1)
            return np.where(np.isnan(limited), -(2.0**31), limited).astype(np.int64).astype(np.int32)
    with np.errstate(all="ignore"):
        return x.astype(dtype)


def _cast_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for size in (0, 1, 15, 17, 300):
        yield [(rng.standard_normal(size) * 100).astype(dtype)], {"dtype": "int32"}
        yield [rng.integers(-1000, 1000, size).astype(np.int32)], {"dtype": dtype}
        yield [rng.standard_normal(size).astype("float64" if dtype == "float32" else "float32")], {"dtype": dtype}
    yield [np.array([np.nan, np.inf, -np.inf, 1e10, -1e10, 0.9, -0.9], dtype)], {"dtype": "int32"}


trace.cast = define(
    name="cast", inputs=("x",), formula="x in another dtype; to int32: truncated and limited, NaN to the least", infer=_infer_cast, reference=_cast_reference,
    gradient=lambda n, d: [call("cast", d, dtype=n.inputs[0].dtype) if n.inputs[0].dtype in FLOATS and n.output.dtype in FLOATS else None],
    kernel=None, calls=_cast_calls, samples=_cast_samples, **_moves,
)  # fmt: skip


# one_hot
def _one_hot_reference(labels: np.ndarray, classes: int, dtype: str) -> np.ndarray:
    return (labels[..., None] == np.arange(classes)).astype(dtype)


def _one_hot_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for rows, classes in ((0, 3), (1, 1), (5, 10), (7, 65)):
        yield [rng.integers(0, classes, rows).astype(np.int32)], {"classes": classes, "dtype": dtype}
    yield [np.array([-1, 3, 1], np.int32)], {"classes": 3, "dtype": dtype}


define(
    name="one_hot", inputs=("labels",), formula="1 at the label, else 0; a label outside gives zeros",
    infer=lambda n: [((*n.inputs[0].shape, n.attributes["classes"]), n.attributes["dtype"])], reference=_one_hot_reference, gradient=NOT_DIFFERENTIABLE,
    kernel="one_hot", arguments=lambda n: ([n.inputs[0].size, n.attributes["classes"]], []), samples=_one_hot_samples, **_moves,
)  # fmt: skip
