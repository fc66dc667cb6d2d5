"""Images moved by an affine map per sample: what augmentation layers are made of."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

import numpy as np

from nnfast.errors import ShapeError
from nnfast.graph.ir import Node
from nnfast.ops.registry import NOT_DIFFERENTIABLE, Sample, Specs, define

INTERPOLATIONS = ("nearest", "bilinear")
FILL_MODES = ("constant", "nearest", "reflect", "wrap")
FAR = 1e9  # coordinates are limited to this


def _infer(node: Node) -> Specs:
    x, matrix = node.inputs
    if x.ndim != 4:
        raise ShapeError(f"affine_image: images of shape {list(x.shape)}: expected (batch, height, width, channels)")
    if matrix.shape != (x.shape[0], 6):
        raise ShapeError(
            f"affine_image: matrix of shape {list(matrix.shape)}: expected {[x.shape[0], 6]}, six numbers per image"
        )
    if 0 in x.shape[1:3] and x.shape[0]:
        raise ShapeError(f"affine_image: images of shape {list(x.shape)} have no pixels")
    return [((x.shape[0], node.attributes["height"], node.attributes["width"], x.shape[3]), x.dtype)]


def _index(i: np.ndarray, n: int, fill_mode: str) -> np.ndarray:
    """The pixel that stands for coordinate i of n; n for the constant, which the reference puts there."""
    if fill_mode == "constant":
        return np.where((i >= 0) & (i < n), i, n)
    if fill_mode == "nearest":
        return np.clip(i, 0, n - 1)
    if fill_mode == "wrap":
        return i % n
    rest = i % (2 * n)
    return np.where(rest < n, rest, 2 * n - 1 - rest)


def _between(a: np.ndarray, b: np.ndarray, part: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(part == 0, a, a + part * (b - a))


def _reference(
    x: np.ndarray, matrix: np.ndarray, height: int, width: int, interpolation: str, fill_mode: str, fill_value: float
) -> np.ndarray:
    batch, rows, columns, channels = x.shape
    if batch == 0 or height == 0 or width == 0:
        return np.zeros((batch, height, width, channels), x.dtype)
    m = matrix.astype(np.float64)[:, :, None, None]
    i, j = np.arange(height, dtype=np.float64)[:, None], np.arange(width, dtype=np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        points = [(m[:, k] * i + m[:, k + 2]) + m[:, k + 1] * j for k in (0, 3)]
    row, column = (np.where(p > -FAR, np.minimum(p, FAR), -FAR) for p in points)
    padded = np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)), constant_values=fill_value).astype(np.float64)
    b = np.arange(batch)[:, None, None]

    def pixel(r: np.ndarray, c: np.ndarray) -> np.ndarray:
        return padded[b, _index(r.astype(np.int64), rows, fill_mode), _index(c.astype(np.int64), columns, fill_mode)]

    if interpolation == "nearest":
        return pixel(np.floor(row + 0.5), np.floor(column + 0.5)).astype(x.dtype)
    r, c = np.floor(row), np.floor(column)
    right, down = (column - c)[..., None], (row - r)[..., None]
    upper, lower = (_between(pixel(at, c), pixel(at, c + 1), right) for at in (r, r + 1))
    return _between(upper, lower, down).astype(x.dtype)


def _arguments(node: Node) -> tuple[list[int], list[float]]:
    batch, height, width, channels = node.inputs[0].shape
    attributes = node.attributes
    modes = INTERPOLATIONS.index(attributes["interpolation"]), FILL_MODES.index(attributes["fill_mode"])
    return [batch, height, width, channels, attributes["height"], attributes["width"], *modes], [
        attributes["fill_value"]
    ]


def _samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    whole = np.array([[1, 0, 0, 0, 1, 0], [-1, 0, 4, 0, 1, 3], [1, 0, -2, 0, -1, 6], [1, 0, 0.5, 0, 1, 0]], dtype)
    for fill_mode in FILL_MODES:
        for interpolation in INTERPOLATIONS:
            kind = {"interpolation": interpolation, "fill_mode": fill_mode, "fill_value": 0.25}
            x = rng.standard_normal((4, 5, 7, 3)).astype(dtype)
            yield [x, whole], {"height": 5, "width": 7, **kind}
            matrix = rng.normal(0, 1, (4, 6)).astype(dtype) * np.array([1, 1, 4, 1, 1, 4], dtype)
            yield [x, matrix], {"height": 6, "width": 3, **kind}
    kind = {"interpolation": "bilinear", "fill_mode": "reflect", "fill_value": 0.0}
    yield [rng.standard_normal((1, 1, 1, 1)).astype(dtype), matrix[:1]], {"height": 3, "width": 3, **kind}
    yield [np.zeros((0, 5, 5, 1), dtype), np.zeros((0, 6), dtype)], {"height": 5, "width": 5, **kind}
    yield [rng.standard_normal((2, 4, 4, 1)).astype(dtype), matrix[:2]], {"height": 0, "width": 2, **kind}
    strange = np.array([[np.nan, 0, 0, 0, 1e30, 0], [1, 0, np.inf, 0, 1, -1e12]], dtype)
    yield [rng.standard_normal((2, 4, 4, 1)).astype(dtype), strange], {"height": 4, "width": 4, **kind}


define(
    name="affine_image", inputs=("x", "matrix"), kind="shape", formula="y[i, j] = x at row m0 i + m1 j + m2, column m3 i + m4 j + m5, between pixels interpolated",
    infer=_infer, reference=_reference, gradient=NOT_DIFFERENTIABLE, kernel="affine_image", arguments=_arguments,
    flops=lambda n: 20.0 * prod(n.output.shape), tolerance="sum", samples=_samples,
)  # fmt: skip
