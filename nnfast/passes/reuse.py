"""In-place reuse: an op writes over an input that nothing reads any more.

Out: `reuse_in_place(graph)` maps an output to the input whose memory it takes over; nnfast.plan.memory gives both one place.
"""

from __future__ import annotations

from nnfast.graph.ir import Graph, Node, Value
from nnfast.ops.registry import stored_size


def root(value: Value) -> Value:
    """The value whose memory a chain of views shows."""
    while value.node is not None and value.node.op.view:
        value = value.node.inputs[0]
    return value


def last_reads(graph: Graph) -> dict[Value, int]:
    """Index of the last node that reads each value, through views too; results are read at the end."""
    last: dict[Value, int] = {}
    for i, node in enumerate(graph.nodes):
        for value in node.inputs:
            last[root(value)] = i
    for value in graph.results():
        last[root(value)] = len(graph.nodes)
    return last


def reuse_in_place(graph: Graph) -> dict[Value, Value]:
    """Which output may lie over which input."""
    last = last_reads(graph)
    reuse: dict[Value, Value] = {}
    for i, node in enumerate(graph.nodes):
        for output, place in _candidates(node):
            if output >= len(node.outputs) or node.outputs[output] in reuse:
                continue
            value, result = node.inputs[place], node.outputs[output]
            source = root(value)
            same = (
                stored_size(value) == stored_size(result)
                and value.dtype == result.dtype
                and value.layout == result.layout
            )
            if (
                same
                and value.shape == result.shape
                and source.kind == "node"
                and last[source] == i
                and source not in reuse.values()
            ):
                reuse[result] = source
    return reuse


def _candidates(node: Node) -> list[tuple[int, int]]:
    """Pairs of an output and an input."""
    if node.op.name == "elementwise_program":
        return [(0, place) for place in range(len(node.inputs))]
    return [*((0, place) for place in node.op.in_place), *node.op.overwrites]
