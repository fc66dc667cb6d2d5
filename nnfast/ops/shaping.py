"""Functions of nnfast.ops that move numbers without computing, and what both files of functions share.

On symbolic values, variables and arrays alike; shapes are checked here, where the error can name the argument.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from nnfast.errors import ShapeError
from nnfast.graph import trace
from nnfast.graph.ir import Value
from nnfast.ops.elementwise import call

__all__ = [
    "broadcast_to",
    "cast",
    "concatenate",
    "expand_dims",
    "flatten",
    "full",
    "identity",
    "one_hot",
    "ones_like",
    "reshape",
    "slice",
    "squeeze",
    "stack",
    "stop_gradient",
    "transpose",
    "zeros_like",
]

Tensor = Any  # a Value, a Variable or a NumPy array


def shape_of(x: Tensor) -> tuple[int, ...]:
    return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)


def dtype_of(x: Tensor) -> str:
    return str(x.dtype) if hasattr(x, "dtype") else str(np.asarray(x).dtype)


def one_axis(axis: int, ndim: int, name: str = "axis") -> int:
    if not -ndim <= axis < ndim:
        raise ShapeError(f"{name}={axis}: expected a value from {-ndim} to {ndim - 1} for a tensor of {ndim} axes")
    return axis % ndim


def all_axes(axis: int | Sequence[int] | None, ndim: int) -> list[int]:
    if axis is None:
        return list(range(ndim))
    given = [axis] if isinstance(axis, int) else list(axis)
    axes = sorted(one_axis(a, ndim) for a in given)
    if len(set(axes)) != len(axes):
        raise ShapeError(f"axis={axis}: an axis is named twice")
    return axes


@trace.on_symbols
def reshape(x: Tensor, shape: Sequence[int]) -> Tensor:
    """The same elements under another shape; one size may be -1."""
    old, new = shape_of(x), [int(extent) for extent in shape]
    if new.count(-1) > 1:
        raise ShapeError(f"reshape: shape {list(shape)} has more than one -1")
    if -1 in new:
        rest = prod(extent for extent in new if extent != -1)
        if rest == 0 or prod(old) % rest:
            raise ShapeError(f"reshape: {list(old)} ({prod(old)} elements) does not divide into {list(shape)}")
        new[new.index(-1)] = prod(old) // rest
    return x if isinstance(x, Value) and tuple(new) == old else call("reshape", x, shape=tuple(new))


@trace.on_symbols
def flatten(x: Tensor) -> Tensor:
    """Keep the first axis, merge all others."""
    shape = shape_of(x)
    return reshape(x, (shape[0], prod(shape[1:])))


@trace.on_symbols
def expand_dims(x: Tensor, axis: int) -> Tensor:
    """Insert an axis of size 1."""
    shape = list(shape_of(x))
    shape.insert(one_axis(axis, len(shape) + 1), 1)
    return reshape(x, shape)


@trace.on_symbols
def squeeze(x: Tensor, axis: int | Sequence[int] | None = None) -> Tensor:
    """Drop axes of size 1 (all of them by default)."""
    shape = shape_of(x)
    axes = [i for i, extent in enumerate(shape) if extent == 1] if axis is None else all_axes(axis, len(shape))
    for i in axes:
        if shape[i] != 1:
            raise ShapeError(f"squeeze: axis {i} of {list(shape)} has size {shape[i]}, expected 1")
    return reshape(x, [extent for i, extent in enumerate(shape) if i not in axes])


@trace.on_symbols
def transpose(x: Tensor, axes: Sequence[int] | None = None) -> Tensor:
    """Axes in another order; reversed by default."""
    ndim = len(shape_of(x))
    order = tuple(reversed(range(ndim))) if axes is None else tuple(one_axis(a, ndim, "axes") for a in axes)
    if sorted(order) != list(range(ndim)):
        raise ShapeError(f"transpose: axes={list(axes or ())} is not a permutation of {ndim} axes")
    return x if isinstance(x, Value) and order == tuple(range(ndim)) else call("transpose", x, axes=order)


def broadcast_to(x: Tensor, shape: Sequence[int]) -> Tensor:
    """x repeated to a larger shape by NumPy's rules."""
    return call("broadcast_to", x, shape=tuple(shape))


def concatenate(xs: Sequence[Tensor], axis: int = -1) -> Tensor:
    """Tensors behind each other along an axis."""
    if not xs:
        raise ShapeError("concatenate: expected at least one tensor, got an empty list")
    return call("concatenate", *xs, axis=one_axis(axis, len(shape_of(xs[0]))))


def stack(xs: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Tensors of one shape along a new axis."""
    return concatenate([expand_dims(x, axis) for x in xs], axis)


@trace.on_symbols
def slice(x: Tensor, key: Any) -> Tensor:
    """Basic slicing: x[key] with integers, slices, ... and None; no index arrays."""
    keys = list(key) if isinstance(key, tuple) else [key]
    shape = shape_of(x)
    used = builtins.sum(k is not None and k is not Ellipsis for k in keys)
    if used > len(shape):
        raise ShapeError(f"index {key!r}: {used} indices for a tensor of {len(shape)} axes")
    if Ellipsis not in [k for k in keys if not isinstance(k, np.ndarray)]:
        keys.append(Ellipsis)
    at = next(i for i, k in enumerate(keys) if k is Ellipsis)
    keys[at : at + 1] = [builtins.slice(None)] * (len(shape) - used)
    ranges, result, axis = [], [], 0
    for k in keys:
        if k is None:
            result.append(1)
            continue
        extent = shape[axis]
        if isinstance(k, builtins.slice):
            start, stop, step = k.indices(extent)
            count = len(range(start, stop, step))
            ranges.append((start if count else 0, count, step))
            result.append(count)
        elif isinstance(k, int | np.integer):
            if not -extent <= k < extent:
                raise ShapeError(f"index {int(k)} is out of range for axis {axis} of size {extent}")
            ranges.append((int(k) % extent, 1, 1))
        else:
            raise ShapeError(f"index {k!r}: expected integers, slices, ... or None")
        axis += 1
    if all(r == (0, extent, 1) for r, extent in zip(ranges, shape, strict=True)):
        return reshape(x, result)
    return reshape(call("slice", x, ranges=tuple(ranges)), result)


def cast(x: Tensor, dtype: str) -> Tensor:
    """x as float32, float64 or int32; a float becomes an int32 by truncation."""
    return (
        x if isinstance(x, Value) and x.dtype == str(np.dtype(dtype)) else call("cast", x, dtype=str(np.dtype(dtype)))
    )


@trace.on_symbols
def one_hot(x: Tensor, num_classes: int, dtype: str = "float32") -> Tensor:
    """1 at the label (int32), else 0, along a new last axis."""
    return call("one_hot", x, classes=int(num_classes), dtype=dtype)


def full(shape: Sequence[int], value: float, dtype: str = "float32") -> Tensor:
    """A tensor of one value."""
    running = trace.current()
    if running is None:
        return np.full(tuple(shape), value, dtype)
    return broadcast_to(running.graph.constant(value, dtype), shape)


@trace.on_symbols
def zeros_like(x: Tensor) -> Tensor:
    """Zeros in the shape and dtype of x."""
    return full(shape_of(x), 0.0, dtype_of(x))


@trace.on_symbols
def ones_like(x: Tensor) -> Tensor:
    """Ones in the shape and dtype of x."""
    return full(shape_of(x), 1.0, dtype_of(x))


def identity(x: Tensor) -> Tensor:
    """x itself."""
    return x


def stop_gradient(x: Tensor) -> Tensor:
    """x, through which no gradient flows."""
    return call("stop_gradient", x)
