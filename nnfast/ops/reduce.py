"""Sums, means, extrema and their places along a range of neighbouring axes.

An op reduces the axes start to stop - 1 and drops them; nnfast.ops.sum and the like bring other axes into that form.
Sums follow the fixed order of the numeric contract: 64 virtual lanes along rows, chunks of 512 down columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import prod
from typing import Any

import numpy as np

from nnfast.graph.ir import Node, Value
from nnfast.ops.elementwise import call
from nnfast.ops.registry import NOT_DIFFERENTIABLE, Sample, Specs, define

SHAPES = [((7,), 0, 1), ((1,), 0, 1), ((64,), 0, 1), ((65,), 0, 1), ((9001,), 0, 1), ((5, 17), 1, 2), ((5, 17), 0, 1), ((128, 10), 0, 1), ((600, 33), 0, 1), ((3, 4, 5), 1, 2), ((3, 4, 5), 0, 3), ((0, 4), 1, 2), ((3, 2, 70), 0, 2)]  # fmt: skip


def _infer_as(dtype: str | None) -> Callable[[Node], Specs]:
    def infer(node: Node) -> Specs:
        x = node.inputs[0]
        start, stop = node.attributes["start"], node.attributes["stop"]
        return [(x.shape[:start] + x.shape[stop:], dtype or x.dtype)]

    return infer


def _arguments(node: Node) -> tuple[list[int], list[float]]:
    shape = node.inputs[0].shape
    start, stop = node.attributes["start"], node.attributes["stop"]
    return [prod(shape[:start]), prod(shape[start:stop]), prod(shape[stop:])], []


def spread(node: Node, value: Value) -> Value:
    """Bring a reduced value back to the shape of the input."""
    shape = node.inputs[0].shape
    start, stop = node.attributes["start"], node.attributes["stop"]
    kept = shape[:start] + (1,) * (stop - start) + shape[stop:]
    return call("broadcast_to", call("reshape", value, shape=kept), shape=shape)


def _extremum_gradient(node: Node, dy: Value) -> list[Value]:
    """Shared equally among equal extrema, as NumPy-based libraries do."""
    hit = call("equal", node.inputs[0], spread(node, node.output))
    count = spread(node, call("sum", hit, **node.attributes))
    return [call("multiply", spread(node, dy), call("divide", hit, count))]


def _samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for shape, start, stop in SHAPES:
        yield [rng.standard_normal(shape).astype(dtype)], {"start": start, "stop": stop}


def _nonempty_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for arrays, attributes in _samples(rng, dtype):
        yield arrays, attributes
        if arrays[0].size > 3:
            with_nan = arrays[0].copy()
            with_nan.flat[arrays[0].size // 2] = np.nan
            yield [with_nan], attributes


def _axes(start: int, stop: int) -> tuple[int, ...]:
    return tuple(range(start, stop))


def _reference(function: Callable[..., Any]) -> Callable[..., Any]:
    def reference(x: np.ndarray, start: int, stop: int) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.asarray(function(x.astype(np.float64), axis=_axes(start, stop))).astype(x.dtype)

    return reference


def _arg_reference(function: Callable[..., Any]) -> Callable[..., Any]:
    def reference(x: np.ndarray, start: int, stop: int) -> np.ndarray:
        merged = x.reshape(*x.shape[:start], prod(x.shape[start:stop]), *x.shape[stop:])
        return function(merged, axis=start).astype(np.int32)

    return reference


def _per_input(node: Node) -> float:
    return float(node.inputs[0].size)


def _reduction(
    name: str,
    formula: str,
    reference: Callable[..., Any],
    gradient: Any,
    tolerance: str,
    dtype: str | None = None,
    samples: Any = _samples,
) -> None:
    define(
        name=name,
        inputs=("x",),
        formula=formula,
        kind="reduction",
        infer=_infer_as(dtype),
        reference=reference,
        gradient=gradient,
        kernel=name,
        arguments=_arguments,
        flops=_per_input,
        tolerance=tolerance,
        samples=samples,
    )


def _mean_gradient(node: Node, dy: Value) -> list[Value]:
    count = prod(node.inputs[0].shape[node.attributes["start"] : node.attributes["stop"]])
    return [spread(node, call("scale", dy, factor=1.0 / max(count, 1)))]


_reduction("sum", "sum over the axes", _reference(np.sum), lambda n, d: [spread(n, d)], "sum")
_reduction("mean", "sum over the axes / number of elements", _reference(np.mean), _mean_gradient, "sum")
_reduction("max", "greatest; NaN if any is", _reference(np.max), _extremum_gradient, "exact", samples=_nonempty_samples)
_reduction("min", "smallest; NaN if any is", _reference(np.min), _extremum_gradient, "exact", samples=_nonempty_samples)
_reduction(
    "argmax",
    "place of the first greatest",
    _arg_reference(np.argmax),
    NOT_DIFFERENTIABLE,
    "exact",
    "int32",
    _nonempty_samples,
)
_reduction(
    "argmin",
    "place of the first smallest",
    _arg_reference(np.argmin),
    NOT_DIFFERENTIABLE,
    "exact",
    "int32",
    _nonempty_samples,
)
