"""The public functions of nnfast.ops: thin, named as NumPy and Keras name them, on symbolic values, variables and arrays.

Functions that are one op apply it; the others are written in ops, so gradients and plans follow from those.
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
    "argmax",
    "argmin",
    "binary_crossentropy",
    "broadcast_to",
    "cast",
    "categorical_crossentropy",
    "clip",
    "concatenate",
    "dropout",
    "elu",
    "expand_dims",
    "flatten",
    "full",
    "gelu",
    "identity",
    "in_top_k",
    "l2_norm",
    "l2_normalize",
    "leaky_relu",
    "log_softmax",
    "logsumexp",
    "matmul",
    "max",
    "mean",
    "min",
    "one_hot",
    "ones_like",
    "power",
    "random_normal",
    "random_uniform",
    "reshape",
    "slice",
    "softmax",
    "sparse_categorical_crossentropy",
    "squeeze",
    "stack",
    "std",
    "stop_gradient",
    "sum",
    "transpose",
    "variance",
    "zeros_like",
]

Tensor = Any  # a Value, a Variable or a NumPy array


def shape_of(x: Tensor) -> tuple[int, ...]:
    return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)


def dtype_of(x: Tensor) -> str:
    return str(x.dtype) if hasattr(x, "dtype") else str(np.asarray(x).dtype)


def _axis(axis: int, ndim: int, name: str = "axis") -> int:
    if not -ndim <= axis < ndim:
        raise ShapeError(f"{name}={axis}: expected a value from {-ndim} to {ndim - 1} for a tensor of {ndim} axes")
    return axis % ndim


def _axes(axis: int | Sequence[int] | None, ndim: int) -> list[int]:
    if axis is None:
        return list(range(ndim))
    given = [axis] if isinstance(axis, int) else list(axis)
    axes = sorted(_axis(a, ndim) for a in given)
    if len(set(axes)) != len(axes):
        raise ShapeError(f"axis={axis}: an axis is named twice")
    return axes


# Reductions
def _reduce(name: str, x: Tensor, axis: int | Sequence[int] | None, keepdims: bool) -> Tensor:
    shape = shape_of(x)
    axes = _axes(axis, len(shape))
    kept = tuple(1 if i in axes else extent for i, extent in enumerate(shape))
    if axes and axes != list(range(axes[0], axes[-1] + 1)):  # bring the axes together
        order = [i for i in range(len(shape)) if i not in axes] + axes
        x = transpose(x, order)
        axes = list(range(len(shape) - len(axes), len(shape)))
    start, stop = (axes[0], axes[-1] + 1) if axes else (0, 0)
    y = call(name, x, start=start, stop=stop)
    return reshape(y, kept) if keepdims else y


def sum(x: Tensor, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
    """Sum of elements over the given axes (all by default), in the fixed order of the numeric contract.

    >>> import numpy as np, nnfast
    >>> float(nnfast.ops.sum(np.ones((2, 3), np.float32)))
    6.0
    """
    return _reduce("sum", x, axis, keepdims)


def mean(x: Tensor, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
    """Arithmetic mean over the given axes (all by default)."""
    return _reduce("mean", x, axis, keepdims)


def max(x: Tensor, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
    """Greatest element over the given axes (all by default); NaN if any is NaN."""
    return _reduce("max", x, axis, keepdims)


def min(x: Tensor, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
    """Smallest element over the given axes (all by default); NaN if any is NaN."""
    return _reduce("min", x, axis, keepdims)


def argmax(x: Tensor, axis: int = -1, keepdims: bool = False) -> Tensor:
    """Index (int32) of the first greatest element along an axis."""
    return _reduce("argmax", x, axis, keepdims)


def argmin(x: Tensor, axis: int = -1, keepdims: bool = False) -> Tensor:
    """Index (int32) of the first smallest element along an axis."""
    return _reduce("argmin", x, axis, keepdims)


def logsumexp(x: Tensor, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))) without overflow."""
    greatest = stop_gradient(max(x, axis, True))
    y = call("log", sum(call("exp", x - greatest if isinstance(x, Value) else call("subtract", x, greatest)), axis, True))
    y = call("add", y, greatest)
    return y if keepdims else _drop(y, axis)


def _drop(y: Tensor, axis: int | Sequence[int] | None) -> Tensor:
    shape = shape_of(y)
    axes = _axes(axis, len(shape))
    return reshape(y, tuple(extent for i, extent in enumerate(shape) if i not in axes))


def variance(x: Tensor, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
    """Mean squared distance from the mean (divided by n)."""
    return mean(call("squared_difference", x, mean(x, axis, True)), axis, keepdims)


def std(x: Tensor, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
    """Square root of the variance."""
    return call("sqrt", variance(x, axis, keepdims))


def l2_norm(x: Tensor, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
    """Euclidean norm over the given axes."""
    return call("sqrt", sum(call("square", x), axis, keepdims))


def l2_normalize(x: Tensor, axis: int | Sequence[int] = -1, epsilon: float = 1e-12) -> Tensor:
    """x / sqrt(max(sum(x^2), epsilon)) along an axis."""
    total = sum(call("square", x), axis, True)
    return call("multiply", x, call("rsqrt", call("maximum", total, epsilon)))


# Rows
def _along(name: str, x: Tensor, axis: int) -> Tensor:
    ndim = len(shape_of(x))
    axis = _axis(axis, ndim)
    if axis == ndim - 1:
        return call(name, x)
    order = [i for i in range(ndim) if i != axis] + [axis]
    return transpose(call(name, transpose(x, order)), [int(i) for i in np.argsort(order)])


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """exp(x - max) / sum(exp(x - max)) along an axis.

    >>> import numpy as np, nnfast
    >>> nnfast.ops.softmax(np.zeros((1, 4), np.float32)).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """
    return _along("softmax", x, axis)


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """x - logsumexp(x) along an axis."""
    return _along("log_softmax", x, axis)


# Products
def matmul(a: Tensor, b: Tensor) -> Tensor:
    """Matrix product. a [..., K], b [K, N] -> [..., N]; leading axes of a are kept. Vectors count as rows or columns, as in NumPy.

    Raises ShapeError where the inner sizes differ.

    >>> import numpy as np, nnfast
    >>> nnfast.ops.matmul(np.eye(2, dtype=np.float32), np.array([[1, 2], [3, 4]], np.float32)).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    shape_a, shape_b = shape_of(a), shape_of(b)
    if not shape_a or not 1 <= len(shape_b) <= 2:
        raise ShapeError(f"matmul: shapes {list(shape_a)} and {list(shape_b)}: the second operand must be a matrix or a vector")
    matrix_b = reshape(b, (shape_b[0], 1)) if len(shape_b) == 1 else b
    matrix_a = a if len(shape_a) == 2 else reshape(a, (prod(shape_a[:-1]), shape_a[-1]))
    y = call("matmul", matrix_a, matrix_b, transpose_a=False, transpose_b=False)
    wanted = (*shape_a[:-1], *shape_b[1:])
    return y if shape_of(y) == wanted else reshape(y, wanted)


# Shapes
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


def flatten(x: Tensor) -> Tensor:
    """Keep the first axis, merge all others."""
    shape = shape_of(x)
    return reshape(x, (shape[0], prod(shape[1:])))


def expand_dims(x: Tensor, axis: int) -> Tensor:
    """Insert an axis of size 1."""
    shape = list(shape_of(x))
    shape.insert(_axis(axis, len(shape) + 1), 1)
    return reshape(x, shape)


def squeeze(x: Tensor, axis: int | Sequence[int] | None = None) -> Tensor:
    """Drop axes of size 1 (all of them by default)."""
    shape = shape_of(x)
    axes = [i for i, extent in enumerate(shape) if extent == 1] if axis is None else _axes(axis, len(shape))
    for i in axes:
        if shape[i] != 1:
            raise ShapeError(f"squeeze: axis {i} of {list(shape)} has size {shape[i]}, expected 1")
    return reshape(x, [extent for i, extent in enumerate(shape) if i not in axes])


def transpose(x: Tensor, axes: Sequence[int] | None = None) -> Tensor:
    """Axes in another order; reversed by default."""
    ndim = len(shape_of(x))
    order = tuple(reversed(range(ndim))) if axes is None else tuple(_axis(a, ndim, "axes") for a in axes)
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
    return call("concatenate", *xs, axis=_axis(axis, len(shape_of(xs[0]))))


def stack(xs: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Tensors of one shape along a new axis."""
    return concatenate([expand_dims(x, axis) for x in xs], axis if axis >= 0 else axis)


def slice(x: Tensor, key: Any) -> Tensor:
    """Basic slicing: x[key] with integers, slices, ... and None; no index arrays."""
    keys = list(key) if isinstance(key, tuple) else [key]
    shape = shape_of(x)
    used = builtins.sum(k is not None and k is not Ellipsis for k in keys)
    if used > len(shape):
        raise ShapeError(f"index {key!r}: {used} indices for a tensor of {len(shape)} axes")
    if Ellipsis not in [k for k in keys if not isinstance(k, np.ndarray)]:
        keys.append(Ellipsis)
    at = [i for i, k in enumerate(keys) if k is Ellipsis][0]
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
    return x if isinstance(x, Value) and x.dtype == str(np.dtype(dtype)) else call("cast", x, dtype=str(np.dtype(dtype)))


def one_hot(x: Tensor, num_classes: int, dtype: str = "float32") -> Tensor:
    """1 at the label (int32), else 0, along a new last axis."""
    return call("one_hot", x, classes=int(num_classes), dtype=dtype)


def full(shape: Sequence[int], value: float, dtype: str = "float32") -> Tensor:
    """A tensor of one value."""
    running = trace.current()
    if running is None:
        return np.full(tuple(shape), value, dtype)
    return broadcast_to(running.graph.constant(value, dtype), shape)


def zeros_like(x: Tensor) -> Tensor:
    """Zeros in the shape and dtype of x."""
    return full(shape_of(x), 0.0, dtype_of(x))


def ones_like(x: Tensor) -> Tensor:
    """Ones in the shape and dtype of x."""
    return full(shape_of(x), 1.0, dtype_of(x))


def identity(x: Tensor) -> Tensor:
    """x itself."""
    return x


def stop_gradient(x: Tensor) -> Tensor:
    """x, through which no gradient flows."""
    return call("stop_gradient", x)


# Elementwise functions with parameters
def clip(x: Tensor, x_min: float, x_max: float) -> Tensor:
    """x limited to [x_min, x_max]."""
    return call("clip", x, low=float(x_min), high=float(x_max))


def power(a: Tensor, b: Tensor) -> Tensor:
    """a ** b; a number as exponent takes the faster way."""
    if isinstance(b, int | float):
        return call("square", a) if b == 2 else call("power_scalar", a, exponent=float(b))
    return call("power", a, b)


def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    """x where positive, else negative_slope * x."""
    return call("leaky_relu", x, negative_slope=float(negative_slope))


def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x where positive, else alpha * (e^x - 1)."""
    return call("elu", x, alpha=float(alpha))


def gelu(x: Tensor, approximate: bool = False) -> Tensor:
    """x * Phi(x) with the error function; approximate=True takes the tanh form."""
    return call("gelu_tanh" if approximate else "gelu", x)


# Losses
def categorical_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False) -> Tensor:
    """Cross-entropy per row, [rows]. output: logits or probabilities [..., classes]; target: probabilities of the same shape."""
    name = "categorical_cross_entropy" if from_logits else "categorical_cross_entropy_of_probabilities"
    return _row_loss(name, output, cast(target, dtype_of(output)))


def sparse_categorical_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False) -> Tensor:
    """Cross-entropy per row, [rows]. output: logits or probabilities [..., classes]; target: labels [...]."""
    name = "sparse_cross_entropy" if from_logits else "sparse_cross_entropy_of_probabilities"
    return _row_loss(name, output, cast(target, "int32"))


def _row_loss(name: str, output: Tensor, target: Tensor) -> Tensor:
    shape = shape_of(output)
    if len(shape) > 2:
        rows = prod(shape[:-1])
        target = reshape(target, (rows, shape[-1]) if len(shape_of(target)) == len(shape) else (rows,))
        output = reshape(output, (rows, shape[-1]))
    losses = call(name, output, target)
    losses = losses[0] if isinstance(losses, list | tuple) else losses
    return reshape(losses, shape[:-1]) if len(shape) != 2 else losses


def binary_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False) -> Tensor:
    """Cross-entropy per element: softplus(z) - target * z on logits z."""
    target = cast(target, dtype_of(output))
    if from_logits:
        return call("subtract", call("softplus", output), call("multiply", target, output))
    return call("binary_cross_entropy_of_probabilities", output, target)


def in_top_k(targets: Tensor, predictions: Tensor, k: int) -> Tensor:
    """1.0 per row where fewer than k predictions exceed the label's, else 0.0."""
    return call("in_top_k", predictions, cast(targets, "int32"), k=int(k))


# Random ops, inside a layer
def _counters() -> Value:
    running = trace.current()
    if running is None:
        raise ShapeError("random ops draw from the counters of a model and have no meaning on arrays: use nnfast.random")
    return running.counters


def dropout(x: Tensor, rate: float, seed_stream: int) -> Tensor:
    """x / (1 - rate) with probability 1 - rate, else 0; drawn anew in each step."""
    return call("dropout", x, _counters(), rate=float(rate), stream=int(seed_stream))


def random_uniform(shape: Sequence[int], low: float, high: float, stream: int, dtype: str = "float32") -> Tensor:
    """Uniform numbers in [low, high), drawn anew in each step."""
    return call("random_uniform", _counters(), shape=tuple(shape), low=float(low), high=float(high), stream=int(stream), dtype=dtype)


def random_normal(shape: Sequence[int], mean: float, std: float, stream: int, dtype: str = "float32") -> Tensor:
    """Normal numbers, drawn anew in each step."""
    return call("random_normal", _counters(), shape=tuple(shape), mean=float(mean), std=float(std), stream=int(stream), dtype=dtype)
