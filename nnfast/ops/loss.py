"""Cross-entropies, fused with their gradients, and membership in the k best.

The `_of_probabilities` ops are what a user writes who ends a model in softmax or sigmoid. The pass `stable_losses` turns them into
the form on logits where the probabilities come from such a layer; elsewhere the pass `decompose` computes them from clipped
probabilities, as Keras does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from nnfast.errors import GraphError, ShapeError
from nnfast.graph.ir import Node, Value
from nnfast.ops.elementwise import call
from nnfast.ops.registry import NOT_DIFFERENTIABLE, Sample, Specs, define
from nnfast.ops.softmax import _log_softmax, _softmax

PROBABILITY_EPSILON = 1e-7  # Keras' backend epsilon

SHAPES = ((1, 1), (0, 3), (3, 2), (5, 10), (4, 64), (3, 65), (2, 1000))


def _check_rows(node: Node, labels: bool) -> tuple[int, int]:
    z, target = node.inputs
    wanted = z.shape[:1] if labels else z.shape
    if z.ndim != 2 or target.shape != wanted:
        raise ShapeError(
            f"{node.op.name}: expected {node.op.inputs[0]} [rows, classes] and {node.op.inputs[1]} {list(wanted)}, got {list(z.shape)} and {list(target.shape)}"
        )
    if labels and target.dtype != "int32":
        raise ShapeError(
            f"{node.op.name}: labels must be int32, got {target.dtype}; use nnfast.ops.cast(labels, 'int32')"
        )
    return z.shape[0], z.shape[1]


def _infer(labels: bool, with_gradient: bool) -> Any:
    def infer(node: Node) -> Specs:
        rows, classes = _check_rows(node, labels)
        dtype = node.inputs[0].dtype
        loss = ((rows,), dtype)
        return [loss, ((rows, classes), dtype)] if with_gradient else [loss]

    return infer


def _arguments(node: Node) -> tuple[list[int], list[float]]:
    return list(node.inputs[0].shape), []


def _rows_gradient(node: Node, dloss: Value | None, dz: Value | None) -> list[Value | None]:
    if dz is not None:
        raise GraphError(f"{node.op.name}: no second derivative is defined; build the loss from nnfast.ops.log_softmax")
    assert dloss is not None
    column = call("reshape", dloss, shape=(*dloss.shape, 1))
    return [call("multiply", node.outputs[1], column), None]


def _categorical_gradient(node: Node, dloss: Value | None, dz: Value | None) -> list[Value | None]:
    gradient, _ = _rows_gradient(node, dloss, dz)
    assert dloss is not None
    column = call("reshape", dloss, shape=(*dloss.shape, 1))
    return [gradient, call("negative", call("multiply", call("log_softmax", node.inputs[0]), column))]


def _sparse_reference(z: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    valid = (labels >= 0) & (labels < z.shape[1])
    safe = np.where(valid, labels, 0)
    rows = np.arange(len(z))
    if not len(z):
        return np.zeros(0, z.dtype), np.zeros_like(z)
    loss = -_log_softmax(z.astype(np.float64))[rows, safe]
    dz = _softmax(z.astype(np.float64))
    dz[rows, safe] -= 1
    loss[~valid] = np.nan
    dz[~valid] = np.nan
    return loss.astype(z.dtype), dz.astype(z.dtype)


def _categorical_reference(z: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    z64, t64 = z.astype(np.float64), target.astype(np.float64)
    loss = -(t64 * _log_softmax(z64)).sum(-1)
    dz = _softmax(z64) * t64.sum(-1, keepdims=True) - t64
    return loss.astype(z.dtype), dz.astype(z.dtype)


def _sparse_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for shape in SHAPES:
        labels = rng.integers(0, shape[1], shape[0]).astype(np.int32)
        yield [(rng.standard_normal(shape) * 4).astype(dtype), labels], {}
    yield [rng.standard_normal((3, 4)).astype(dtype), np.array([-1, 2, 4], np.int32)], {}


def _target(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return _softmax(rng.standard_normal(shape).astype(dtype) * 2)


def _categorical_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for shape in SHAPES:
        yield [(rng.standard_normal(shape) * 4).astype(dtype), _target(rng, shape, dtype)], {}


_rows: dict[str, Any] = {
    "kind": "loss",
    "promotes": False,
    "tolerance": "sum",
    "flops": lambda n: 18.0 * n.inputs[0].size,
}
define(
    name="sparse_cross_entropy", inputs=("logits", "labels"), formula="loss = -log softmax(logits)[label]; second output softmax(logits) - onehot",
    infer=_infer(True, True), reference=_sparse_reference, gradient=_rows_gradient, kernel="sparse_cross_entropy", arguments=_arguments,
    samples=_sparse_samples, **_rows,
)  # fmt: skip
define(
    name="categorical_cross_entropy", inputs=("logits", "target"), formula="loss = -sum(target * log softmax(logits)); second output its gradient",
    infer=_infer(False, True), reference=_categorical_reference, gradient=_categorical_gradient, kernel="categorical_cross_entropy", arguments=_arguments,
    samples=_categorical_samples, **_rows,
)  # fmt: skip


# On probabilities: Keras normalises each row, limits to [epsilon, 1 - epsilon], and takes -log.
def _clipped_rows(p: Value) -> Value:
    from nnfast.ops.softmax import row_sum

    normalised = call("divide", p, row_sum(p, p.ndim - 1))
    return call("clip", normalised, low=PROBABILITY_EPSILON, high=1 - PROBABILITY_EPSILON)


def _decompose_categorical(node: Node) -> list[Value]:
    p, target = node.inputs
    product = call("multiply", target, call("log", _clipped_rows(p)))
    return [call("negative", call("sum", product, start=1, stop=2))]


def _decompose_sparse(node: Node) -> list[Value]:
    p, labels = node.inputs
    picked = call(
        "sum", call("multiply", p, call("one_hot", labels, classes=p.shape[1], dtype=p.dtype)), start=1, stop=2
    )
    clipped = call("clip", picked, low=PROBABILITY_EPSILON, high=1 - PROBABILITY_EPSILON)
    return [call("negative", call("log", clipped))]


def _decompose_binary(node: Node) -> list[Value]:
    p, target = node.inputs
    clipped = call("clip", p, low=PROBABILITY_EPSILON, high=1 - PROBABILITY_EPSILON)
    hit = call("multiply", target, call("log", clipped))
    miss = call("multiply", call("subtract", 1.0, target), call("log", call("subtract", 1.0, clipped)))
    return [call("negative", call("add", hit, miss))]


def _clip(p: np.ndarray) -> np.ndarray:
    epsilon = PROBABILITY_EPSILON
    return np.clip(p, p.dtype.type(epsilon), p.dtype.type(1 - epsilon))


def _probability_categorical(p: np.ndarray, target: np.ndarray) -> np.ndarray:
    clipped = _clip(p / p.sum(-1, keepdims=True, dtype=p.dtype))
    return -(target.astype(np.float64) * np.log(clipped.astype(np.float64))).sum(-1).astype(p.dtype)


def _probability_sparse(p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    valid = (labels >= 0) & (labels < p.shape[1])
    picked = np.where(valid, p[np.arange(len(p)), np.where(valid, labels, 0)], 0).astype(p.dtype)
    return -np.log(_clip(picked))


def _probability_binary(p: np.ndarray, target: np.ndarray) -> np.ndarray:
    q = _clip(p).astype(np.float64)
    return -(target * np.log(q) + (1 - target.astype(np.float64)) * np.log(1 - q)).astype(p.dtype)


def _never(node: Node, *_: Any) -> list[Value | None]:
    raise GraphError(
        f"{node.op.name} is rewritten before differentiation; the passes 'stable_losses' and 'decompose' cannot both be off"
    )


def _probability_samples(labels: bool) -> Any:
    def samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
        for shape in SHAPES[2:]:
            p = _target(rng, shape, dtype)
            target = rng.integers(0, shape[1], shape[0]).astype(np.int32) if labels else _target(rng, shape, dtype)
            yield [p, target], {}

    return samples


def _binary_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for shape in ((1,), (7, 1), (5, 33)):
        yield [rng.random(shape).astype(dtype), (rng.random(shape) < 0.5).astype(dtype)], {}


_on_probabilities: dict[str, Any] = {
    "kind": "loss",
    "promotes": False,
    "tolerance": "sum",
    "kernel": None,
    "gradient": _never,
    "flops": lambda n: 20.0 * n.inputs[0].size,
}
define(
    name="sparse_cross_entropy_of_probabilities", inputs=("probabilities", "labels"), formula="-log(p[label]), p limited to [1e-7, 1 - 1e-7]",
    infer=_infer(True, False), reference=_probability_sparse, decompose=_decompose_sparse, samples=_probability_samples(True), **_on_probabilities,
)  # fmt: skip
define(
    name="categorical_cross_entropy_of_probabilities", inputs=("probabilities", "target"), formula="-sum(target * log(p / sum(p)))",
    infer=_infer(False, False), reference=_probability_categorical, decompose=_decompose_categorical, samples=_probability_samples(False), **_on_probabilities,
)  # fmt: skip
define(
    name="binary_cross_entropy_of_probabilities", inputs=("probabilities", "target"), formula="-(t log p + (1 - t) log(1 - p)) per element",
    infer=lambda n: [(n.inputs[0].shape, n.inputs[0].dtype)], reference=_probability_binary, decompose=_decompose_binary, samples=_binary_samples,
    **_on_probabilities,
)  # fmt: skip


def _top_k_reference(predictions: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    valid = (labels >= 0) & (labels < predictions.shape[1])
    own = predictions[np.arange(len(labels)), np.where(valid, labels, 0)]
    better = (predictions > own[:, None]).sum(-1)
    return ((better < k) & valid).astype(predictions.dtype)


def _top_k_samples(rng: np.random.Generator, dtype: str) -> Iterable[Sample]:
    for (predictions, labels), _ in _sparse_samples(rng, dtype):
        for k in (1, 3):
            yield [predictions, labels], {"k": k}


define(
    name="in_top_k", inputs=("predictions", "labels"), formula="1 if fewer than k predictions of the row exceed the label's", kind="row",
    infer=_infer(True, False), reference=_top_k_reference, gradient=NOT_DIFFERENTIABLE, kernel="in_top_k",
    arguments=lambda n: ([*n.inputs[0].shape, n.attributes["k"]], []), flops=lambda n: 2.0 * n.inputs[0].size, tolerance="exact",
    samples=_top_k_samples, promotes=False,
)  # fmt: skip
