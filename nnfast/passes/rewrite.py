"""The one way in which passes rebuild a graph: copy it node by node, letting `visit` replace nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nnfast.errors import GraphError
from nnfast.graph.ir import Graph, Node, Value

# (new graph, old node, its inputs in the new graph) -> replacements of its outputs, or None to copy the node
Visit = Callable[[Graph, Node, list[Value]], Sequence[Value] | None]


def rewrite(graph: Graph, visit: Visit) -> Graph:
    """A new graph with the same inputs, outputs and updates; the old one stays as it was."""
    new = Graph()
    copies: dict[Value, Value] = {}
    for value in graph.inputs:
        copies[value] = new.input(value.shape, value.dtype, value.name)

    def copy(value: Value) -> Value:
        if value not in copies:
            if value.kind not in ("variable", "constant"):
                raise GraphError(f"{value} is read before it is made")
            copies[value] = (
                new.variable(value.payload) if value.kind == "variable" else new.constant(value.payload, value.dtype)
            )
        return copies[value]

    for variable in graph.variables.values():
        copy(variable)
    for node in graph.nodes:
        inputs = [copy(value) for value in node.inputs]
        new.segment = node.segment
        outputs = visit(new, node, inputs)
        if outputs is None:
            outputs = copy_node(new, node, inputs)
        copies.update(zip(node.outputs, outputs, strict=True))
    new.segment = 0
    new.outputs = [copy(value) for value in graph.outputs]
    new.updates = [(copy(variable), copy(value)) for variable, value in graph.updates]
    return new


def copy_node(new: Graph, node: Node, inputs: Sequence[Value]) -> list[Value]:
    """The same node on other inputs, with the layouts of its outputs."""
    return new.copy(node, inputs)
