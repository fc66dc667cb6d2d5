"""The public functions of nnfast.ops that normalise: along axes (layer, RMS), per channel (batch, group, instance).

On symbolic values, variables and arrays alike. Other axes than the last are brought there, and back.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from nnfast.errors import ShapeError
from nnfast.graph import trace
from nnfast.ops.channel import statistics_shape
from nnfast.ops.elementwise import call
from nnfast.ops.functions import mean as _mean
from nnfast.ops.shaping import Tensor, all_axes, broadcast_to, dtype_of, one_axis, reshape, shape_of, transpose

__all__ = [
    "batch_normalization",
    "group_normalization",
    "layer_normalization",
    "moments",
    "rms_normalization",
]


def _last(x: Tensor, axes: list[int]) -> tuple[Tensor, list[int]]:
    """x with these axes behind the others, and the order of axes that leads there."""
    ndim = len(shape_of(x))
    order = [i for i in range(ndim) if i not in axes] + axes
    return (x if order == list(range(ndim)) else transpose(x, order)), order


def _back(y: Tensor, order: list[int]) -> Tensor:
    return y if order == list(range(len(order))) else transpose(y, [int(i) for i in np.argsort(order)])


def _rows(name: str, x: Tensor, axis: int | Sequence[int], weights: Sequence[Tensor], epsilon: float) -> Tensor:
    """The op on the given axes as one row; a weight that is None is 1, for the second one 0."""
    axes = all_axes(axis, len(shape_of(x)))
    moved, order = _last(x, axes)
    shape = shape_of(moved)
    n = prod(shape[len(shape) - len(axes) :])
    full = [np.full(n, float(i == 0), dtype_of(x)) if w is None else reshape(w, (n,)) for i, w in enumerate(weights)]
    rows = moved if len(axes) == 1 else reshape(moved, (*shape[: len(shape) - len(axes)], n))
    y = call(name, rows, *full, epsilon=float(epsilon))[0]
    return _back(y if len(axes) == 1 else reshape(y, shape), order)


@trace.on_symbols
def layer_normalization(
    x: Tensor, gamma: Tensor = None, beta: Tensor = None, axis: int | Sequence[int] = -1, epsilon: float = 1e-5
) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, mean and variance over `axis` (Ba et al. 2016).

    gamma, beta: of the sizes of these axes; None for 1 and 0.

    >>> import numpy as np, nnfast
    >>> nnfast.ops.layer_normalization(np.array([[1.0, 3.0]]), epsilon=0.0).tolist()
    [[-1.0, 1.0]]
    """
    return _rows("layer_norm", x, axis, (gamma, beta), epsilon)


@trace.on_symbols
def rms_normalization(x: Tensor, scale: Tensor = None, axis: int | Sequence[int] = -1, epsilon: float = 1e-6) -> Tensor:
    """x / sqrt(mean(x^2) + epsilon) * scale, the mean over `axis` (Zhang, Sennrich 2019). scale: None for 1.

    >>> import numpy as np, nnfast
    >>> nnfast.ops.rms_normalization(np.array([[3.0, 3.0]]), epsilon=0.0).tolist()
    [[1.0, 1.0]]
    """
    return _rows("rms_norm", x, axis, (scale,), epsilon)


@trace.on_symbols
def moments(x: Tensor, axis: int = -1, per_sample: bool = False) -> Any:
    """Mean and variance of each channel (an index of `axis`) over all other axes; per_sample: but the first.

    Two tensors of shape (channels,), or (batch, 1, ..., 1, channels) with per_sample.

    >>> import numpy as np, nnfast
    >>> [part.tolist() for part in nnfast.ops.moments(np.array([[1.0], [3.0]]))]
    [[2.0], [1.0]]
    """
    channels = one_axis(axis, len(shape_of(x)))
    return tuple(call("moments", _last(x, [channels])[0], per_sample=builtins.bool(per_sample)))


@trace.on_symbols
def batch_normalization(
    x: Tensor, mean: Tensor, variance: Tensor, axis: int = -1, offset: Tensor = None, scale: Tensor = None,
    epsilon: float = 1e-3,
) -> Tensor:  # fmt: skip
    """(x - mean) / sqrt(variance + epsilon) * scale + offset, one number per channel (index of `axis`) each (Ioffe, Szegedy 2015).

    >>> import numpy as np, nnfast
    >>> nnfast.ops.batch_normalization(np.array([[5.0]]), np.array([1.0]), np.array([4.0]), epsilon=0.0).tolist()
    [[2.0]]
    """
    channels = one_axis(axis, len(shape_of(x)))
    moved, order = _last(x, [channels])
    return _back(_standardized(moved, mean, variance, scale, offset, epsilon), order)


def _standardized(x: Tensor, mean: Tensor, variance: Tensor, gamma: Tensor, beta: Tensor, epsilon: float) -> Tensor:
    """x with channels last."""
    factor = call("rsqrt", call("shift", variance, amount=float(epsilon)))
    if gamma is not None:
        factor = call("multiply", factor, gamma)
    shape = shape_of(mean)
    if beta is None:
        beta = np.zeros(shape, dtype_of(x))
    elif shape_of(beta) != shape:
        beta = broadcast_to(beta, shape)
    return call("standardize", x, mean, factor, beta)


@trace.on_symbols
def group_normalization(
    x: Tensor, groups: int, gamma: Tensor = None, beta: Tensor = None, axis: int = -1, epsilon: float = 1e-3
) -> Tensor:
    """Like batch_normalization, with mean and variance of each sample and group of neighbouring channels (Wu, He 2018).

    groups = the number of channels is instance normalisation (Ulyanov et al. 2016).

    >>> import numpy as np, nnfast
    >>> nnfast.ops.group_normalization(np.array([[[1.0, 3.0, 5.0, 7.0]]]), 2, epsilon=0.0).tolist()
    [[[-1.0, 1.0, -1.0, 1.0]]]
    """
    shape = shape_of(x)
    channels = one_axis(axis, len(shape))
    count = shape[channels]
    if groups < 1 or count % groups:
        raise ShapeError(f"group_normalization(groups={groups}): {count} channels do not divide into {groups} groups")
    moved, order = _last(x, [channels])
    last = shape_of(moved)
    wide = reshape(moved, (last[0], 1, count)) if len(last) == 2 else moved
    mean, variance = call("moments", wide, per_sample=True)
    if groups < count:
        mean, variance = _joined(mean, variance, (last[0], groups, count // groups))
        statistic = statistics_shape(shape_of(wide), True)
        mean, variance = reshape(mean, statistic), reshape(variance, statistic)
    y = _standardized(wide, mean, variance, gamma, beta, epsilon)
    return _back(reshape(y, last) if len(last) == 2 else y, order)


def _joined(mean: Tensor, variance: Tensor, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Moments of groups from those of their channels, which have equally many elements; again one for each channel."""
    mean, variance = reshape(mean, shape), reshape(variance, shape)
    middle = _mean(mean, -1, True)
    spread = _mean(call("add", variance, call("squared_difference", mean, middle)), -1, True)
    return broadcast_to(middle, shape), broadcast_to(spread, shape)
