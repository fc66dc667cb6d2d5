"""Pooling over windows: the greatest element or the average, of one to three spatial axes, and the gradients.

x is [batch, *spatial, channels]; `windows` holds one nnfast.windows.Windows per spatial axis. Elements that padding adds belong to no
window: they are never the greatest, and an average leaves them out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np

from nnfast.errors import ShapeError
from nnfast.graph.ir import Node, Value
from nnfast.ops.elementwise import call
from nnfast.ops.registry import Sample, Specs, define
from nnfast.windows import Windows

AXES = 3  # of the kernels
Bounds = list[list[tuple[int, int]]]


def _bounds(node: Node, extents: Sequence[int]) -> Bounds:
    return [w.bounds(extent) for w, extent in zip(node.attributes["windows"], extents, strict=True)]


def _pooled(shape: Sequence[int], windows: Sequence[Windows]) -> tuple[int, ...]:
    return (shape[0], *[w.count for w in windows], shape[-1])


def _check(node: Node, x: Value) -> None:
    windows = node.attributes["windows"]
    if x.ndim != len(windows) + 2 or not 1 <= len(windows) <= AXES:
        raise ShapeError(
            f"{node.op.name}: x {list(x.shape)} and windows on {len(windows)} axes: expected batch, axes, channels"
        )
    for bounds in _bounds(node, x.shape[1:-1]):
        if any(begin >= end for begin, end in bounds):
            raise ShapeError(f"{node.op.name}: a window of x {list(x.shape)} holds no element: pad less")


def _infer_pool(node: Node) -> Specs:
    x = node.inputs[-1]
    _check(node, x)
    return [(_pooled(x.shape, node.attributes["windows"]), x.dtype)]


def _infer_max_gradient(node: Node) -> Specs:
    _check(node, node.inputs[1])
    return [(node.inputs[1].shape, node.inputs[1].dtype)]


def _infer_average_gradient(node: Node) -> Specs:
    dy = node.inputs[0]
    return [((dy.shape[0], *node.attributes["extents"], dy.shape[-1]), dy.dtype)]


def _padded(numbers: Sequence[int]) -> list[int]:
    return [*[1] * (AXES - len(numbers)), *numbers]


def _sizes(node: Node, x_shape: Sequence[int], with_holders: bool = False) -> list[int]:
    """Batch, extents, channels, windows, then the tables (csrc/kernels/pool.h)."""
    extents = list(x_shape[1:-1])
    bounds: Bounds = [[(0, 1)]] * (AXES - len(extents)) + _bounds(node, extents)
    sizes = [x_shape[0], *_padded(extents), x_shape[-1], *[len(b) for b in bounds]]
    for table in bounds + (_holders(_padded(extents), bounds) if with_holders else []):
        sizes += [number for pair in table for number in pair]
    return sizes


def _holders(extents: Sequence[int], bounds: Bounds) -> Bounds:
    """Per axis and element: first and end of the windows that hold it."""
    tables = []
    for extent, table in zip(extents, bounds, strict=True):
        begins, ends = np.array(table).T
        places = np.arange(extent)
        first, end = np.searchsorted(ends, places, "right"), np.searchsorted(begins, places, "right")
        tables.append(list(zip(first.tolist(), end.tolist(), strict=True)))
    return tables


# References: window by window
def _each(x_shape: Sequence[int], windows: Sequence[Windows]) -> Iterator[tuple[Any, Any]]:
    """Index of each element of y (without batch and channels), and of its window in x."""
    bounds = [w.bounds(extent) for w, extent in zip(windows, x_shape[1:-1], strict=True)]
    for place in product(*[range(len(b)) for b in bounds]):
        yield (slice(None), *place), (slice(None), *[slice(*b[i]) for b, i in zip(bounds, place, strict=True)])


def _merged(window: np.ndarray) -> np.ndarray:
    return window.reshape(window.shape[0], prod(window.shape[1:-1]), window.shape[-1])


def _pool(function: Callable[..., Any]) -> Callable[..., Any]:
    def reference(x: np.ndarray, windows: Sequence[Windows]) -> np.ndarray:
        y = np.zeros(_pooled(x.shape, windows), x.dtype)
        for place, window in _each(x.shape, windows):
            y[place] = function(_merged(x[window]).astype(np.float64), 1)
        return y

    return reference


def _max_pick(g: np.ndarray, x: np.ndarray, windows: Sequence[Windows]) -> np.ndarray:
    y = np.zeros(_pooled(x.shape, windows), x.dtype)
    for place, window in _each(x.shape, windows):
        chosen = _merged(x[window]).argmax(1)[:, None]
        y[place] = np.take_along_axis(_merged(g[window]), chosen, 1)[:, 0]
    return y


def _max_gradient(dy: np.ndarray, x: np.ndarray, windows: Sequence[Windows]) -> np.ndarray:
    dx = np.zeros(x.shape)
    for place, window in _each(x.shape, windows):
        part = np.zeros_like(_merged(x[window]), np.float64)
        np.put_along_axis(part, _merged(x[window]).argmax(1)[:, None], dy[place][:, None], 1)
        dx[window] += part.reshape(x[window].shape)
    return dx.astype(x.dtype)


def _average_gradient(dy: np.ndarray, windows: Sequence[Windows], extents: Sequence[int]) -> np.ndarray:
    dx = np.zeros((dy.shape[0], *extents, dy.shape[-1]))
    for place, window in _each(dx.shape, windows):
        count = prod(dx[window].shape[1:-1])
        dx[window] += (dy[place] / count).reshape(-1, *[1] * len(windows), dy.shape[-1])
    return dx.astype(dy.dtype)


# Samples
SAMPLES: tuple[tuple[tuple[int, ...], tuple[Windows, ...]], ...] = (
    ((1, 1, 1), (Windows(1, 1, 1),)),
    ((0, 4, 3), (Windows(2, 2, 2),)),
    ((2, 9, 17), (Windows(4, 3, 2),)),  # overlapping
    ((2, 7, 3), (Windows(2, 2, 4),)),  # gaps between and behind
    ((2, 7, 3), (Windows(3),)),  # adaptive, overlapping
    ((3, 4, 6, 5), (Windows(2, 2, 2), Windows(3, 2, 2))),
    ((1, 5, 4, 33), (Windows(5, 3, 1, 1), Windows(2, 3, 2, 0))),  # "same"
    ((1, 3, 2, 131), (Windows(2, 2, 1), Windows(2, 2, 1, 1))),
    ((2, 8, 8, 70), (Windows(4, 2, 2), Windows(4, 2, 2))),
    ((2, 3, 4, 2, 2), (Windows(2, 2, 1), Windows(2, 2, 2), Windows(1, 2, 2))),
)


def _pool_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for shape, windows in SAMPLES:
        yield [rng.standard_normal(shape).astype(dtype)], {"windows": windows}


def _max_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    yield from _pool_samples(rng, dtype)
    x = rng.integers(0, 2, (2, 8, 17)).astype(dtype)  # equals
    x[0, 3], x[1, 2:6, 4:9], x[1, :, 1] = np.nan, np.nan, -np.inf
    yield [x], {"windows": (Windows(3, 3, 2),)}


def _with_tensor(first_like_x: bool) -> Callable[..., Iterable[Sample]]:
    def samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
        for (x,), attributes in _max_samples(rng, dtype):
            shape = x.shape if first_like_x else _pooled(x.shape, attributes["windows"])
            yield [rng.standard_normal(shape).astype(dtype), x], attributes

    return samples


def _average_gradient_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for (x,), attributes in _pool_samples(rng, dtype):
        dy = rng.standard_normal(_pooled(x.shape, attributes["windows"])).astype(dtype)
        yield [dy], {**attributes, "extents": x.shape[1:-1]}


def _work(node: Node) -> float:
    """Elements of all windows."""
    shape = node.output.shape if "extents" in node.attributes else node.inputs[-1].shape
    return float(shape[0] * shape[-1] * prod(sum(e - b for b, e in axis) for axis in _bounds(node, shape[1:-1])))


_shared: dict[str, Any] = {"kind": "reduction", "flops": _work}
define(
    name="max_pool", inputs=("x",), formula="the greatest of each window; NaN if one is", infer=_infer_pool, reference=_pool(np.max),
    gradient=lambda n, d: [call("max_pool_gradient", d, n.inputs[0], **n.attributes)], kernel="max_pool", arguments=lambda n: (_sizes(n, n.inputs[0].shape), []),
    tolerance="exact", samples=_max_samples, **_shared,
)  # fmt: skip
define(
    name="max_pool_pick", inputs=("g", "x"), formula="g where x is the greatest of its window, the first of equals", infer=_infer_pool, reference=_max_pick,
    gradient=lambda n, d: [call("max_pool_gradient", d, n.inputs[1], **n.attributes), None], kernel="max_pool_pick",
    arguments=lambda n: (_sizes(n, n.inputs[1].shape), []), tolerance="exact", samples=_with_tensor(True), **_shared,
)  # fmt: skip
define(
    name="max_pool_gradient", inputs=("dy", "x"), formula="sum of dy over the windows in which x is the greatest, the first of equals", infer=_infer_max_gradient, reference=_max_gradient,
    gradient=lambda n, d: [call("max_pool_pick", d, n.inputs[1], **n.attributes), None], kernel="max_pool_gradient",
    arguments=lambda n: (_sizes(n, n.inputs[1].shape), []), tolerance="sum", samples=_with_tensor(False), **_shared,
)  # fmt: skip
define(
    name="average_pool", inputs=("x",), formula="mean of each window", infer=_infer_pool, reference=_pool(np.mean),
    gradient=lambda n, d: [call("average_pool_gradient", d, extents=n.inputs[0].shape[1:-1], **n.attributes)], kernel="average_pool",
    arguments=lambda n: (_sizes(n, n.inputs[0].shape), []), tolerance="sum", samples=_pool_samples, **_shared,
)  # fmt: skip
define(
    name="average_pool_gradient", inputs=("dy",), formula="sum of dy / number of elements over the windows that hold an element", infer=_infer_average_gradient,
    reference=_average_gradient, gradient=lambda n, d: [call("average_pool", d, windows=n.attributes["windows"])], kernel="average_pool_gradient",
    arguments=lambda n: (_sizes(n, n.output.shape, True), []), tolerance="sum", samples=_average_gradient_samples, **_shared,
)  # fmt: skip
