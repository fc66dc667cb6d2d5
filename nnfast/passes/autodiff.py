"""Reverse-mode differentiation: adds the backward nodes to a graph, from one gradient rule per op.

In: a scalar value and the values to differentiate with respect to. Out: one gradient per value, in its shape and dtype.
The engine sums over broadcast axes, adds up the gradients of values that are read several times, and gives zeros where there is
no path; rules need not think of these.
"""

from __future__ import annotations

from collections.abc import Sequence

from nnfast.errors import GraphError, ShapeError
from nnfast.graph.ir import BACKWARD, FLOATS, Graph, Node, Value
from nnfast.ops import functions, shaping
from nnfast.ops.elementwise import call


def gradients(loss: Value, wrt: Sequence[Value]) -> list[Value]:
    """d loss / d value for each value in wrt."""
    if loss.size != 1:
        raise ShapeError(f"the loss has shape {list(loss.shape)}: expected a scalar; take nnfast.ops.mean or sum of it")
    graph = loss.graph
    forward = list(graph.nodes)
    graph.segment = BACKWARD
    active = _depends_on(forward, set(wrt))
    found: dict[Value, Value] = {loss: shaping.broadcast_to(graph.constant(1.0, loss.dtype), loss.shape)}
    for node in reversed(forward):
        if not any(output in found for output in node.outputs) or not any(v in active for v in node.inputs):
            continue
        for value, gradient in zip(node.inputs, _apply_rule(node, found), strict=False):
            if gradient is None or value not in active:
                continue
            gradient = _fit(gradient, value)
            found[value] = call("add", found[value], gradient) if value in found else gradient
    results = [found[v] if v in found else _zeros(graph, v) for v in wrt]
    graph.segment = 0
    return results


def _depends_on(nodes: Sequence[Node], start: set[Value]) -> set[Value]:
    """Floating values that a change of the start values changes."""
    active = set(start)
    for node in nodes:
        if any(value in active for value in node.inputs):
            active.update(output for output in node.outputs if output.dtype in FLOATS)
    return active


def _apply_rule(node: Node, found: dict[Value, Value]) -> Sequence[Value | None]:
    rule = node.op.gradient
    if isinstance(rule, str):
        return [None] * len(node.inputs)  # a step function or a draw: no gradient flows, as in other frameworks
    results = rule(node, *(found.get(output) for output in node.outputs))
    if len(results) != len(node.inputs):
        raise GraphError(f"{node.op.name}: its gradient rule gave {len(results)} values for {len(node.inputs)} inputs")
    return results


def _fit(gradient: Value, value: Value) -> Value:
    """Sum a gradient over the axes along which the value was broadcast."""
    if gradient.shape == value.shape:
        return gradient
    extra = gradient.ndim - value.ndim
    axes = [i for i in range(gradient.ndim) if i < extra or (value.shape[i - extra] == 1 and gradient.shape[i] != 1)]
    if axes:
        gradient = functions.sum(gradient, axes)
    return shaping.reshape(gradient, value.shape)


def _zeros(graph: Graph, value: Value) -> Value:
    return shaping.broadcast_to(graph.constant(0.0, value.dtype), value.shape)
