"""The public functions of nnfast.ops that compute: thin, named as NumPy and Keras name them.

Functions that are one op apply it; the others are written in ops, so gradients and plans follow from those. Those that only move
numbers stand in nnfast.ops.shaping.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from nnfast.errors import ShapeError
from nnfast.graph import trace
from nnfast.graph.ir import Value
from nnfast.ops.elementwise import call
from nnfast.ops.shaping import Tensor, all_axes, cast, dtype_of, one_axis, reshape, shape_of, stop_gradient, transpose

__all__ = [
    "argmax",
    "argmin",
    "binary_crossentropy",
    "categorical_crossentropy",
    "clip",
    "dropout",
    "elu",
    "gelu",
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
    "power",
    "random_normal",
    "random_uniform",
    "softmax",
    "sparse_categorical_crossentropy",
    "std",
    "sum",
    "variance",
]


# Reductions
def _reduce(name: str, x: Tensor, axis: int | Sequence[int] | None, keepdims: bool) -> Tensor:
    shape = shape_of(x)
    axes = all_axes(axis, len(shape))
    kept = tuple(1 if i in axes else extent for i, extent in enumerate(shape))
    if axes and axes != list(range(axes[0], axes[-1] + 1)):  # bring the axes together
        order = [i for i in range(len(shape)) if i not in axes] + axes
        x = transpose(x, order)
        axes = list(range(len(shape) - len(axes), len(shape)))
    start, stop = (axes[0], axes[-1] + 1) if axes else (0, 0)
    y = call(name, x, start=start, stop=stop)
    return reshape(y, kept) if keepdims else y


@trace.on_symbols
def sum(x: Tensor, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
    """Sum of elements over the given axes (all by default), in the fixed order of the numeric contract.

    >>> import numpy as np, nnfast
    >>> float(nnfast.ops.sum(np.ones((2, 3), np.float32)))
    6.0
    """
    return _reduce("sum", x, axis, keepdims)


@trace.on_symbols
def mean(x: Tensor, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
    """Arithmetic mean over the given axes (all by default)."""
    return _reduce("mean", x, axis, keepdims)


@trace.on_symbols
def max(x: Tensor, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
    """Greatest element over the given axes (all by default); NaN if any is NaN."""
    return _reduce("max", x, axis, keepdims)


@trace.on_symbols
def min(x: Tensor, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
    """Smallest element over the given axes (all by default); NaN if any is NaN."""
    return _reduce("min", x, axis, keepdims)


@trace.on_symbols
def argmax(x: Tensor, axis: int = -1, keepdims: bool = False) -> Tensor:
    """Index (int32) of the first greatest element along an axis."""
    return _reduce("argmax", x, axis, keepdims)


@trace.on_symbols
def argmin(x: Tensor, axis: int = -1, keepdims: bool = False) -> Tensor:
    """Index (int32) of the first smallest element along an axis."""
    return _reduce("argmin", x, axis, keepdims)


@trace.on_symbols
def logsumexp(x: Tensor, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))) without overflow."""
    greatest = stop_gradient(max(x, axis, True))
    y = call(
        "log", sum(call("exp", x - greatest if isinstance(x, Value) else call("subtract", x, greatest)), axis, True)
    )
    y = call("add", y, greatest)
    return y if keepdims else _drop(y, axis)


def _drop(y: Tensor, axis: int | Sequence[int] | None) -> Tensor:
    shape = shape_of(y)
    axes = all_axes(axis, len(shape))
    return reshape(y, tuple(extent for i, extent in enumerate(shape) if i not in axes))


@trace.on_symbols
def variance(x: Tensor, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
    """Mean squared distance from the mean (divided by n)."""
    return mean(call("squared_difference", x, mean(x, axis, True)), axis, keepdims)


@trace.on_symbols
def std(x: Tensor, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
    """Square root of the variance."""
    return call("sqrt", variance(x, axis, keepdims))


@trace.on_symbols
def l2_norm(x: Tensor, axis: int | Sequence[int] | None = None, keepdims: bool = False) -> Tensor:
    """Euclidean norm over the given axes."""
    return call("sqrt", sum(call("square", x), axis, keepdims))


@trace.on_symbols
def l2_normalize(x: Tensor, axis: int | Sequence[int] = -1, epsilon: float = 1e-12) -> Tensor:
    """x / sqrt(max(sum(x^2), epsilon)) along an axis."""
    total = sum(call("square", x), axis, True)
    return call("multiply", x, call("rsqrt", call("maximum", total, epsilon)))


# Rows
def _along(name: str, x: Tensor, axis: int) -> Tensor:
    ndim = len(shape_of(x))
    axis = one_axis(axis, ndim)
    if axis == ndim - 1:
        return call(name, x)
    order = [i for i in range(ndim) if i != axis] + [axis]
    return transpose(call(name, transpose(x, order)), [int(i) for i in np.argsort(order)])


@trace.on_symbols
def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """exp(x - max) / sum(exp(x - max)) along an axis.

    >>> import numpy as np, nnfast
    >>> nnfast.ops.softmax(np.zeros((1, 4), np.float32)).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """
    return _along("softmax", x, axis)


@trace.on_symbols
def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """x - logsumexp(x) along an axis."""
    return _along("log_softmax", x, axis)


# Products
@trace.on_symbols
def matmul(a: Tensor, b: Tensor) -> Tensor:
    """Matrix product. a [..., K], b [K, N] -> [..., N]; leading axes of a are kept. Vectors count as rows or columns, as in NumPy.

    Raises ShapeError where the inner sizes differ.

    >>> import numpy as np, nnfast
    >>> nnfast.ops.matmul(np.eye(2, dtype=np.float32), np.array([[1, 2], [3, 4]], np.float32)).tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    shape_a, shape_b = shape_of(a), shape_of(b)
    if not shape_a or not 1 <= len(shape_b) <= 2:
        raise ShapeError(
            f"matmul: shapes {list(shape_a)} and {list(shape_b)}: the second operand must be a matrix or a vector"
        )
    matrix_b = reshape(b, (shape_b[0], 1)) if len(shape_b) == 1 else b
    matrix_a = a if len(shape_a) == 2 else reshape(a, (prod(shape_a[:-1]), shape_a[-1]))
    y = call("matmul", matrix_a, matrix_b, transpose_a=False, transpose_b=False)
    wanted = (*shape_a[:-1], *shape_b[1:])
    return y if shape_of(y) == wanted else reshape(y, wanted)


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
        raise ShapeError(
            "random ops draw from the counters of a model and have no meaning on arrays: use nnfast.random"
        )
    return running.counters


def dropout(x: Tensor, rate: float, seed_stream: int) -> Tensor:
    """x / (1 - rate) with probability 1 - rate, else 0; drawn anew in each step."""
    return call("dropout", x, _counters(), rate=float(rate), stream=int(seed_stream))


def random_uniform(shape: Sequence[int], low: float, high: float, stream: int, dtype: str = "float32") -> Tensor:
    """Uniform numbers in [low, high), drawn anew in each step."""
    return call(
        "random_uniform",
        _counters(),
        shape=tuple(shape),
        low=float(low),
        high=float(high),
        stream=int(stream),
        dtype=dtype,
    )


def random_normal(shape: Sequence[int], mean: float, std: float, stream: int, dtype: str = "float32") -> Tensor:
    """Normal numbers, drawn anew in each step."""
    return call(
        "random_normal",
        _counters(),
        shape=tuple(shape),
        mean=float(mean),
        std=float(std),
        stream=int(stream),
        dtype=dtype,
    )
