"""The graph checker: is every value made before it is read, do shapes and dtypes follow the op's rule, are updates in order?

In: a graph, after tracing and after every pass in tests and with NNFAST_DEBUG=passes. Out: nothing, or a GraphError.
"""

from __future__ import annotations

from nnfast.errors import GraphError
from nnfast.graph.ir import Graph, Node, Value


def check(graph: Graph) -> None:
    """Raise GraphError where the graph is not well formed."""
    known: set[Value] = {*graph.inputs, *graph.constants.values(), *graph.variables.values()}
    overwritten: dict[Value, Node] = {}
    replaced = {new: variable for variable, new in graph.updates}
    for node in graph.nodes:
        for value in node.inputs:
            if value.graph is not graph:
                raise GraphError(f"{node}: reads {value}, which belongs to another graph")
            if value not in known:
                raise GraphError(f"{node}: reads {value} before it is made")
            if value in overwritten:
                raise GraphError(f"{node}: reads {value} after {overwritten[value]} wrote its new content")
        specs = [(value.shape, value.dtype) for value in node.outputs]
        rule = [(tuple(shape), dtype) for shape, dtype in node.op.infer(node)]
        if specs != rule:
            raise GraphError(f"{node}: has outputs {specs}, the op's rule says {rule}")
        known.update(node.outputs)
        for value in node.outputs:
            if value in replaced:
                overwritten[replaced[value]] = node
    for value in graph.results():
        if value not in known:
            raise GraphError(f"result {value} is not made by the graph")
    for variable, new in graph.updates:
        if variable.kind != "variable":
            raise GraphError(f"update of {variable}: only a variable has new content")
        if (variable.shape, variable.dtype, variable.layout) != (new.shape, new.dtype, new.layout):
            raise GraphError(f"update of {variable} by {new}: shape, dtype and layout must be equal")
