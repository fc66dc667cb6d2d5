"""The public functions of nnfast.ops on spatial axes: pooling, padding, resizing.

x is (batch, *spatial, channels), or with data_format="channels_first" (batch, channels, *spatial), which is transposed and back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from math import prod
from typing import Any

import numpy as np

from nnfast.errors import ShapeError, unknown_name
from nnfast.graph import trace
from nnfast.ops.elementwise import call
from nnfast.ops.functions import max as _greatest
from nnfast.ops.functions import mean as _mean
from nnfast.ops.resample import INTERPOLATIONS, taps
from nnfast.ops.shaping import Tensor, concatenate, reshape, shape_of, transpose
from nnfast.ops.shaping import slice as _slice
from nnfast.windows import Windows, check_data_format, check_padding, output_sizes, padding_of, per_axis

__all__ = [
    "adaptive_average_pool",
    "adaptive_max_pool",
    "average_pool",
    "depth_to_space",
    "max_pool",
    "pad",
    "resize",
]


def channels_last(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Decorator: bring a tensor of data_format="channels_first" to channels last, and the result back."""

    @wraps(function)
    def either(x: Tensor, *arguments: Any, data_format: str | None = None, **named: Any) -> Tensor:
        if check_data_format(data_format, function.__name__) == "channels_last":
            return function(x, *arguments, **named)
        ndim = len(shape_of(x))
        y = function(transpose(x, (0, *range(2, ndim), 1)), *arguments, **named)
        return transpose(y, (0, ndim - 1, *range(1, ndim - 1)))

    return either


def _spatial(x: Tensor, owner: str) -> tuple[int, ...]:
    shape = shape_of(x)
    if not 3 <= len(shape) <= 5:
        raise ShapeError(f"{owner}: x {list(shape)}: expected (batch, one to three spatial axes, channels)")
    return shape[1:-1]


def _pool(name: str, x: Tensor, pool_size: Any, strides: Any, padding: Any) -> Tensor:
    extents = _spatial(x, name)
    sizes = per_axis(pool_size, len(extents), name, "pool_size")
    steps = sizes if strides is None else per_axis(strides, len(extents), name, "strides")
    pairs = padding_of(check_padding(padding, len(extents), name), extents, sizes, steps)
    for size, (before, after) in zip(sizes, pairs, strict=True):
        if max(before, after) >= size:
            raise ShapeError(f"{name}(padding={padding!r}): windows of {size} need padding below {size} on each side")
    counts = output_sizes(name, extents, sizes, steps, pairs)
    windows = [Windows(c, k, s, p[0]) for c, k, s, p in zip(counts, sizes, steps, pairs, strict=True)]
    return call(name, x, windows=tuple(windows))


@trace.on_symbols
@channels_last
def max_pool(x: Tensor, pool_size: int | Sequence[int], strides: Any = None, padding: Any = "valid") -> Tensor:
    """The greatest element of each window; NaN if one is. One to three spatial axes; strides are pool_size by default.

    padding: "valid", "same", or numbers; what it adds is never the greatest. The gradient goes to the first of equals.

    >>> import numpy as np, nnfast
    >>> nnfast.ops.max_pool(np.float32([[[1], [5], [2], [3]]]), 2).tolist()
    [[[5.0], [3.0]]]
    """
    return _pool("max_pool", x, pool_size, strides, padding)


@trace.on_symbols
@channels_last
def average_pool(x: Tensor, pool_size: int | Sequence[int], strides: Any = None, padding: Any = "valid") -> Tensor:
    """The mean of each window, without what padding adds, as in Keras. One to three spatial axes.

    >>> import numpy as np, nnfast
    >>> nnfast.ops.average_pool(np.float32([[[1], [5], [2]]]), 2, padding="same").tolist()
    [[[3.0], [2.0]]]
    """
    return _pool("average_pool", x, pool_size, strides, padding)


def _adaptive(name: str, x: Tensor, output_size: Any) -> Tensor:
    extents = _spatial(x, name)
    counts = per_axis(output_size, len(extents), name, "output_size")
    if prod(counts) == 1:
        whole = _mean if name == "average_pool" else _greatest
        return whole(x, tuple(range(1, len(extents) + 1)), True)
    return call(name, x, windows=tuple(Windows(count) for count in counts))


@trace.on_symbols
@channels_last
def adaptive_average_pool(x: Tensor, output_size: int | Sequence[int]) -> Tensor:
    """The mean of each of `output_size` windows per axis, window i from floor(i n / size) to ceil((i + 1) n / size), as in PyTorch.

    >>> import numpy as np, nnfast
    >>> nnfast.ops.adaptive_average_pool(np.float32([[[1], [5], [2]]]), 2).tolist()
    [[[3.0], [3.5]]]
    """
    return _adaptive("average_pool", x, output_size)


@trace.on_symbols
@channels_last
def adaptive_max_pool(x: Tensor, output_size: int | Sequence[int]) -> Tensor:
    """The greatest element of each of the windows of `adaptive_average_pool`."""
    return _adaptive("max_pool", x, output_size)


@trace.on_symbols
def pad(x: Tensor, pad_width: Any, mode: str = "constant", constant_values: float = 0.0) -> Tensor:
    """Elements before and behind x, as in NumPy: pad_width is a pair per axis, one pair, or a number.

    mode: "constant", "reflect" (the edge not repeated), "symmetric" (the edge repeated) or "edge".

    >>> import numpy as np, nnfast
    >>> nnfast.ops.pad(np.float32([1, 2, 3]), 1, mode="reflect").tolist()
    [2.0, 1.0, 2.0, 3.0, 2.0]
    """
    shape = shape_of(x)
    pairs = np.broadcast_to(np.asarray(pad_width, np.int64), (len(shape), 2)).tolist()
    if min((p for pair in pairs for p in pair), default=0) < 0:
        raise ShapeError(f"pad(pad_width={pad_width!r}): expected numbers >= 0")
    if mode == "constant":
        return call("pad", x, pairs=tuple((before, after) for before, after in pairs), value=float(constant_values))
    if mode not in ("reflect", "symmetric", "edge"):
        raise unknown_name("padding mode", mode, ["constant", "reflect", "symmetric", "edge"])
    for axis, (before, after) in enumerate(pairs):
        x = _mirrored(x, axis, before, after, mode)
    return x


def _mirrored(x: Tensor, axis: int, before: int, after: int, mode: str) -> Tensor:
    n = shape_of(x)[axis]
    most = n - 1 if mode == "reflect" else n if mode == "symmetric" else max(before, after) if n else 0
    if max(before, after) > most:
        raise ShapeError(
            f"pad(mode={mode!r}): {max(before, after)} elements beside the {n} of axis {axis}: at most {most}"
        )

    def part(*bounds: Any) -> Tensor:
        return _slice(x, (*[slice(None)] * axis, slice(*bounds)))

    skip = int(mode == "reflect")
    left = [part(skip + before - 1, skip - 1 if skip else None, -1)] if before else []
    right = [part(n - 1 - skip, n - 1 - skip - after if n - 1 - skip - after >= 0 else None, -1)] if after else []
    if mode == "edge":
        left, right = [part(0, 1)] * before, [part(n - 1, n)] * after
    return concatenate([*left, x, *right], axis) if left or right else x


@trace.on_symbols
@channels_last
def resize(x: Tensor, size: int | Sequence[int], interpolation: str = "bilinear", antialias: bool = False) -> Tensor:
    """The spatial axes brought to other sizes, axis by axis, with half-pixel centres as in Keras.

    interpolation: "nearest", "bilinear", "bicubic", "lanczos3", "lanczos5" or "area". antialias: widen the filter where the size
    shrinks.

    >>> import numpy as np, nnfast
    >>> nnfast.ops.resize(np.float32([[[0], [4]]]), 4).ravel().tolist()
    [0.0, 1.0, 3.0, 4.0]
    """
    extents = _spatial(x, "resize")
    sizes = per_axis(size, len(extents), "resize", "size")
    if interpolation not in INTERPOLATIONS:
        raise unknown_name("interpolation", interpolation, INTERPOLATIONS)
    for axis, (n, m) in enumerate(zip(extents, sizes, strict=True), 1):
        if n != m:
            x = call("resample", x, axis=axis, table=taps(n, m, interpolation, bool(antialias)))
    return x


@trace.on_symbols
@channels_last
def depth_to_space(x: Tensor, block_size: int) -> Tensor:
    """(batch, H, W, C r^2) -> (batch, H r, W r, C), r = block_size; channel c r^2 + i r + j goes to row i, column j, as in PyTorch's
    pixel_shuffle (Shi et al. 2016).

    >>> import numpy as np, nnfast
    >>> nnfast.ops.depth_to_space(np.float32([[[[1, 2, 3, 4]]]]), 2)[0, :, :, 0].tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    shape = shape_of(x)
    r = per_axis(block_size, 1, "depth_to_space", "block_size")[0]
    if len(shape) != 4 or shape[-1] % (r * r):
        raise ShapeError(
            f"depth_to_space(block_size={r}): x {list(shape)}: expected (batch, H, W, channels), channels a multiple of {r * r}"
        )
    b, h, w, c = shape
    split = transpose(reshape(x, (b, h, w, c // (r * r), r, r)), (0, 1, 4, 2, 5, 3))
    return reshape(split, (b, h * r, w * r, c // (r * r)))
