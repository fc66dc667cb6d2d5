"""Sequences of whole numbers: what a path of CTC reads as, and how far two sequences are apart. A negative number is none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from nnfast.errors import ShapeError
from nnfast.graph.ir import Node
from nnfast.ops.elementwise import call
from nnfast.ops.registry import NOT_DIFFERENTIABLE, Call, Sample, Specs, define
from nnfast.ops.shaping import cast

MOST_NUMBERS = 1_000_000  # of a sequence: the kernel's row must fit its scratch


def _check(node: Node) -> None:
    shapes = [value.shape for value in node.inputs]
    if any(len(shape) != 2 for shape in shapes) or len({shape[0] for shape in shapes}) != 1:
        raise ShapeError(f"{node.op.name}: expected sequences (batch, numbers), got {' and '.join(map(str, shapes))}")
    if any(value.dtype != "int32" for value in node.inputs):
        raise ShapeError(f"{node.op.name}: numbers must be int32; use nnfast.ops.cast(numbers, 'int32')")
    if max(shape[1] for shape in shapes) > MOST_NUMBERS:
        raise ShapeError(f"{node.op.name}: sequences of {shapes[-1][1]} numbers; at most {MOST_NUMBERS} are supported")


def _infer_collapse(node: Node) -> Specs:
    _check(node)
    return [(node.inputs[0].shape, "int32")]


def _infer_distance(node: Node) -> Specs:
    _check(node)
    return [(node.inputs[0].shape[:1], "int32")]


def _collapse(path: np.ndarray, blank: int, merge: bool) -> np.ndarray:
    y = np.full(path.shape, -1, np.int32)
    for row, x in zip(y, path, strict=True):
        kept = (x >= 0) & (x != blank)
        if merge:
            kept[1:] &= x[1:] != x[:-1]
        row[: kept.sum()] = x[kept]
    return y


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.array([_distance_of(x[x >= 0], y[y >= 0]) for x, y in zip(a, b, strict=True)], np.int32).reshape(len(a))


def _distance_of(a: np.ndarray, b: np.ndarray) -> int:
    table = np.zeros((len(a) + 1, len(b) + 1), int)
    table[:, 0], table[0] = np.arange(len(a) + 1), np.arange(len(b) + 1)
    for i in range(len(a)):
        for j in range(len(b)):
            ways = table[i, j] + (a[i] != b[j]), table[i, j + 1] + 1, table[i + 1, j] + 1
            table[i + 1, j + 1] = min(ways)
    return int(table[-1, -1])


def _numbers(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(-1, 4, shape).astype(np.int32)


def _collapse_samples(rng: np.random.Generator, _: str) -> Iterable[Sample]:
    for shape in ((1, 1), (3, 17), (0, 4), (2, 0), (40, 9)):
        for merge in (False, True):
            yield [_numbers(rng, *shape)], {"blank": int(rng.integers(0, 4)), "merge": merge}


def _distance_samples(rng: np.random.Generator, _: str) -> Iterable[Sample]:
    for batch, n, m in ((1, 1, 1), (5, 7, 9), (33, 4, 3), (0, 2, 3), (2, 0, 5), (2, 6, 0)):
        yield [_numbers(rng, batch, n), _numbers(rng, batch, m)], {}


_common: dict[str, Any] = {
    "kind": "row",
    "gradient": NOT_DIFFERENTIABLE,
    "kernel": None,
    "tolerance": "exact",
    "promotes": False,
}
define(
    name="ctc_collapse", inputs=("path",), formula="the path without blanks and (with merge) repetitions, -1 behind", infer=_infer_collapse,
    reference=_collapse, samples=_collapse_samples, flops=lambda n: 4.0 * n.inputs[0].size,
    calls=lambda n: [Call("ctc_collapse", [*n.output.shape, n.attributes["blank"], int(n.attributes["merge"])], dtype="float32")], **_common,
)  # fmt: skip
define(
    name="edit_distance", inputs=("a", "b"), formula="fewest insertions, deletions and replacements from a to b", infer=_infer_distance,
    reference=_distance, samples=_distance_samples, flops=lambda n: 6.0 * n.inputs[0].size * n.inputs[1].shape[1],
    calls=lambda n: [Call("edit_distance", [*n.inputs[0].shape, n.inputs[1].shape[1]], dtype="float32")], **_common,
)  # fmt: skip


def edit_distance(a: Any, b: Any) -> Any:
    """Fewest insertions, deletions and replacements that make one sequence of the other: (batch,) int32 from (batch, n) and (batch, m).

    Negative numbers are padding and do not count (Levenshtein 1966).

    >>> edit_distance(np.array([[1, 2, 3]]), np.array([[1, 3, -1, -1]])).tolist()
    [1]
    """
    return call("edit_distance", whole_numbers(a), whole_numbers(b))


def whole_numbers(x: Any) -> Any:
    """x in int32: a symbolic value, or an array of any kind of numbers."""
    return cast(np.asarray(x).astype(np.int32) if isinstance(x, np.ndarray | list | tuple) else x, "int32")
