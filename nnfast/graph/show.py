"""Prints a graph, one node a line, with stable names: for NNFAST_DEBUG=passes and the golden plans of the tests."""

from __future__ import annotations

from typing import Any

from nnfast.graph.ir import Graph, Value


def show(graph: Graph) -> str:
    """The graph as text."""
    names: dict[Value, str] = {}
    lines = []
    for value in (*graph.inputs, *graph.variables.values()):
        names[value] = value.name
        lines.append(f"{value.kind:9} {value.name}: {spec(value)}")
    for node in graph.nodes:
        for output in node.outputs:
            names[output] = f"%{len(names)}"
        made = ", ".join(f"{names[v]}: {spec(v)}" for v in node.outputs)
        read = ", ".join(_name(v, names) for v in node.inputs)
        attributes = "".join(f", {key}={_attribute(value)}" for key, value in node.attributes.items())
        lines.append(f"{made} = {node.op.name}({read}{attributes})")
    lines.append("output    " + ", ".join(_name(v, names) for v in graph.outputs))
    lines += [f"update    {_name(variable, names)} <- {_name(new, names)}" for variable, new in graph.updates]
    return "\n".join(lines)


def spec(value: Value) -> str:
    """dtype, shape and layout in short, such as float32[128, 10] or float32[784, 512]/panel."""
    return f"{value.dtype}{list(value.shape)}" + ("" if value.layout == "row" else f"/{value.layout}")


def _name(value: Value, names: dict[Value, str]) -> str:
    if value.kind == "constant":
        return value.name if value.size == 1 else f"constant{list(value.shape)}"
    return names[value]


def _attribute(value: Any) -> str:
    if isinstance(value, tuple) and value and hasattr(value[0], "op"):
        return "[" + " ".join(part.op for part in value) + "]"
    return repr(value)
