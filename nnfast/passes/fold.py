"""Batch normalisation after a product with a weight becomes part of that weight and its bias, for inference with fixed weights.

(x w + b - mean) scale + shift = x (w scale) + ((b - mean) scale + shift): one rounding per weight, so results differ by a few units
of rounding. Not in PIPELINE, since it changes weights; nnfast.freezing runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from nnfast.graph.ir import Graph, Node, Value
from nnfast.ops.elementwise import call
from nnfast.ops.registry import OPS
from nnfast.passes.rewrite import rewrite

PRODUCTS = ("matmul", "conv")  # inputs x and w, with the output's channels as last axis of w
SMALL = 1 << 16  # elements of what is computed here besides weights

Replace = Callable[[np.ndarray, Value], Value]  # a new weight for an old one


class _Fold:
    """One normalisation and the product that takes it over."""

    def __init__(self, product: Node, bias: np.ndarray | float, scale: np.ndarray, shift: np.ndarray) -> None:
        weight: Value = product.inputs[1]
        self.weight = _variable(weight).payload.numpy().astype(np.float64).reshape(weight.shape) * scale
        self.bias = bias * scale + shift


def fold_norms(graph: Graph, replace: Replace) -> Graph:
    """Fold each `standardize` whose numbers are all known, and whose input nothing else reads."""
    found: dict[Node, _Fold] = {}  # by product
    passed: dict[Node, int] = {}  # nodes that go: the input that stands for their output
    users, results = graph.users(), graph.results()
    for node in graph.nodes:
        if node.op.name == "standardize":
            _find(node, users, results, found, passed)

    def visit(new: Graph, node: Node, inputs: list[Value]) -> Sequence[Value] | None:
        if node in passed:
            return [inputs[passed[node]]]
        if node not in found:
            return None
        x, weight = inputs
        y = new.add(node.op, [x, replace(found[node].weight, weight)], node.attributes)[0]
        return [call("add", y, replace(found[node].bias, y))]

    return rewrite(graph, visit)


def _find(
    norm: Node, users: dict[Value, list[Node]], results: set[Value], found: dict[Node, _Fold], passed: dict[Node, int]
) -> None:
    """Follow the normalisation's input back to a product with a weight, over reshapes and one bias."""
    mean, scale, shift = (_known(value) for value in norm.inputs[1:])
    if mean is None or scale is None or shift is None or mean.ndim != 1:
        return
    value, bias, gone = norm.inputs[0], None, {norm: 0}
    while len(users[value]) == 1 and value not in results and value.node is not None:
        node = value.node
        if node.op.name in PRODUCTS:
            weight = node.inputs[1]
            if (
                _variable(weight).kind == "variable"
                and weight.shape[-1] == mean.size
                and not node.attributes.get("transpose_b")
            ):
                found[node] = _Fold(node, 0.0 if bias is None else bias, scale, shift - mean * scale)
                passed.update(gone)
            return
        if node.op.name == "reshape" and node.inputs[0].shape[-1:] == value.shape[-1:]:
            value = node.inputs[0]
            continue
        if node.op.name != "add" or bias is not None:
            return
        terms = [_known(v) if v.shape == mean.shape else None for v in node.inputs]
        place = 1 if terms[1] is not None else 0
        bias = terms[place]
        if bias is None or node.inputs[1 - place].shape != value.shape:
            return
        gone[node] = 1 - place
        value = node.inputs[1 - place]


def _variable(weight: Value) -> Value:
    """What a weight is a reshape of, as that of a depthwise convolution is, or itself."""
    node = weight.node
    return node.inputs[0] if node is not None and node.op.name == "reshape" else weight


def _known(value: Value) -> np.ndarray | None:
    """What a value is, in float64, where it depends on constants and variables alone."""
    if value.size > SMALL or value.kind == "input":
        return None
    if value.node is None:
        array = value.payload if value.kind == "constant" else value.payload.numpy()
        return np.asarray(array, np.float64)
    if value.node.op.kind not in ("elementwise", "shape") or len(value.node.outputs) != 1:
        return None
    inputs = [_known(v) for v in value.node.inputs]
    if any(array is None for array in inputs):
        return None
    return np.asarray(OPS[value.node.op.name].reference(*inputs, **value.node.attributes), np.float64)
