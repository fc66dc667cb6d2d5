"""Small passes that leave fewer or cheaper nodes: stable losses, decomposition, constants, shared and dead nodes, broadcasts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnfast.graph import trace
from nnfast.graph.ir import BACKWARD, FLOATS, Graph, Node, Value
from nnfast.ops.elementwise import call
from nnfast.ops.registry import OPS
from nnfast.passes.rewrite import copy_node, rewrite

FOLD_LIMIT = 1 << 16  # elements; a larger constant is cheaper to compute than to keep

STABLE = {
    "sparse_cross_entropy_of_probabilities": ("softmax", "sparse_cross_entropy"),
    "categorical_cross_entropy_of_probabilities": ("softmax", "categorical_cross_entropy"),
}


def stable_losses(graph: Graph) -> Graph:
    """Cross-entropy of a softmax or sigmoid -> the fused form on logits, which neither overflows nor loses digits."""

    def visit(new: Graph, node: Node, inputs: list[Value]) -> Sequence[Value] | None:
        source = inputs[0].node if inputs else None
        if source is None:
            return None
        if node.op.name in STABLE:
            producer, fused = STABLE[node.op.name]
            if source.op.name == producer:
                return [call(fused, source.inputs[0], inputs[1])[0]]
        if node.op.name == "binary_cross_entropy_of_probabilities" and source.op.name == "sigmoid":
            logits, target = source.inputs[0], inputs[1]
            return [call("subtract", call("softplus", logits), call("multiply", target, logits))]
        return None

    return rewrite(graph, visit)


def decompose(graph: Graph) -> Graph:
    """Ops without a kernel and without a gradient of their own -> the ops that they are made of."""
    return _decomposed(graph, late=False)


def decompose_late(graph: Graph) -> Graph:
    """Ops without a kernel that are differentiated as a whole -> the ops that they are made of."""
    return _decomposed(graph, late=True)


def _decomposed(graph: Graph, late: bool) -> Graph:
    def visit(new: Graph, node: Node, inputs: list[Value]) -> Sequence[Value] | None:
        if node.op.decompose is None or node.op.late != late:
            return None
        moved = Node(node.op, inputs, node.attributes)
        return node.op.decompose(moved)

    return rewrite(graph, visit)


def fold_constants(graph: Graph) -> Graph:
    """Compute nodes whose inputs are all known; arithmetic with one number -> scale and shift."""

    def visit(new: Graph, node: Node, inputs: list[Value]) -> Sequence[Value] | None:
        known = inputs and all(value.kind == "constant" for value in inputs)
        if node.op.name in ("multiply", "add", "divide", "subtract") and not known:
            return _with_number(node, inputs)
        if node.op.name == "scale" and node.attributes["factor"] == 1.0:
            return [inputs[0]]
        small = all(output.size <= FOLD_LIMIT for output in node.outputs)
        if not known or not small or node.op.kind in ("random", "update", "layout") or trace.eager is None:
            return None
        results = trace.eager(node.op, [value.payload for value in inputs], node.attributes)
        results = results if isinstance(results, list) else [results]
        return [new.constant(array, output.dtype) for array, output in zip(results, node.outputs, strict=True)]

    return rewrite(graph, visit)


def _with_number(node: Node, inputs: list[Value]) -> Sequence[Value] | None:
    """x * c, x + c, x - c with a one-element constant that does not change the shape. x / c stays: 1 / c rounds."""
    a, b = inputs
    if node.op.name in ("multiply", "add") and a.kind == "constant":
        a, b = b, a
    if b.kind != "constant" or b.size == 0 or a.shape != node.output.shape or a.dtype not in FLOATS:
        return None
    number = float(b.payload.flat[0])
    if not (b.payload == b.payload.flat[0]).all():
        return None
    if not np.isfinite(number):
        return None
    if node.op.name == "multiply":
        return [a] if number == 1.0 else [call("scale", a, factor=number)]
    if node.op.name == "divide":
        return [a] if number == 1.0 else None
    return [call("shift", a, amount=number if node.op.name == "add" else -number)]


def share_common(graph: Graph) -> Graph:
    """Equal ops on equal inputs are computed once."""
    seen: dict[Any, list[Value]] = {}

    def visit(new: Graph, node: Node, inputs: list[Value]) -> Sequence[Value] | None:
        if node.op.kind == "update":
            return None
        again = min(node.segment, BACKWARD)  # what is computed a second time is not shared with the first
        key = (
            node.op.name,
            tuple(inputs),
            _key(node.attributes),
            tuple(output.layout for output in node.outputs),
            again,
        )
        if key not in seen:
            seen[key] = copy_node(new, node, inputs)
        return seen[key]

    return rewrite(graph, visit)


def _key(attributes: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(sorted((name, repr(value)) for name, value in attributes.items()))


def drop_broadcasts(graph: Graph) -> Graph:
    """An elementwise op broadcasts by itself: it reads the small tensor, not a repeated copy. Reshapes there and back go."""

    def visit(new: Graph, node: Node, inputs: list[Value]) -> Sequence[Value] | None:
        if node.op.name in ("reshape", "broadcast_to") and inputs[0].shape == node.output.shape:
            return [inputs[0]]
        if node.op.name == "reshape" and is_named(inputs[0], "reshape"):
            source = _before_reshape(inputs[0])
            return [source] if source.shape == node.output.shape else new.add(node.op, [source], node.attributes)
        if node.op.kind != "elementwise":
            return None
        smaller = [_before_broadcast(value) for value in inputs]
        if smaller == inputs or np.broadcast_shapes(*(value.shape for value in smaller)) != node.output.shape:
            return None
        return new.add(node.op, smaller, node.attributes)

    return rewrite(graph, visit)


def _before_reshape(value: Value) -> Value:
    while value.node is not None and value.node.op.name == "reshape":
        value = value.node.inputs[0]
    return value


def _before_broadcast(value: Value) -> Value:
    while value.node is not None and value.node.op.name == "broadcast_to":
        value = value.node.inputs[0]
    return value


def drop_dead(graph: Graph) -> Graph:
    """Nodes that no result needs are left out."""
    needed = graph.results()
    alive: set[Node] = set()
    for node in reversed(graph.nodes):
        if any(output in needed for output in node.outputs):
            alive.add(node)
            needed.update(node.inputs)
    kept = Graph()
    kept.nodes = [node for node in graph.nodes if node in alive]
    kept.inputs, kept.outputs, kept.updates = graph.inputs, graph.outputs, graph.updates
    kept.variables = {variable: value for variable, value in graph.variables.items() if value in needed}
    kept.constants = {key: value for key, value in graph.constants.items() if value in needed}
    return rewrite(kept, lambda new, node, inputs: None)


def is_named(value: Value, name: str) -> bool:
    """Is the value made by the op of this name?"""
    return value.node is not None and value.node.op is OPS[name]
