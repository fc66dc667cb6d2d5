"""Which matrices lie in memory as panels: what the products read from panels gets there, what others read comes back.

Weights are kept as panels (Variable.layout), so no step repacks them: products read them, weight gradients are born as panels, and
elementwise ops between a gradient and its update run on panels where f(0, ...) = 0 keeps the padding zero.
"""

from __future__ import annotations

from collections.abc import Sequence

from nnfast.graph.ir import Graph, Node, Value
from nnfast.ops.conv import geometry, in_panels, is_depthwise, needs_turned_weight
from nnfast.ops.elementwise import call
from nnfast.passes.rewrite import copy_node, rewrite

CONVOLUTIONS = ("conv", "conv_input_gradient")


def assign_layouts(graph: Graph) -> Graph:
    """Choose row-major or panels for every matrix and insert the conversions that are left."""
    wanted = _wanted_as_panels(graph)

    def visit(new: Graph, node: Node, inputs: list[Value]) -> Sequence[Value] | None:
        if "matmul" in (node.op.name, node.attributes.get("product")):
            return _product(new, node, inputs, node.output in wanted)
        if node.attributes.get("product", node.op.name) in CONVOLUTIONS:
            return _convolution(new, node, inputs)
        if node.op.name == "conv_weight_gradient":
            outputs = new.add(node.op, [_as(v, "row") for v in inputs], node.attributes)
            outputs[0].layout = "panel" if node.output in wanted else "row"
            return outputs
        if node.op.kind == "layout":
            return copy_node(new, node, [_as(inputs[0], "row" if node.op.name == "pack_panels" else "panel")])
        if node.op.kind == "update":
            panel = inputs[0].layout == "panel"
            inputs = [_as(v, "panel") if panel and v.shape == inputs[0].shape else _as(v, "row") for v in inputs]
            return new.add(node.op, inputs, node.attributes)
        if node.output in wanted and node.op.kind == "elementwise":
            outputs = new.add(node.op, [v if v.size == 1 else _as(v, "panel") for v in inputs], node.attributes)
            outputs[0].layout = "panel"
            return outputs
        return copy_node(new, node, [_as(v, "panel" if i in node.op.panels else "row") for i, v in enumerate(inputs)])

    new = rewrite(graph, visit)
    new.outputs = [_as(value, "row") for value in new.outputs]
    return new


def _as(value: Value, layout: str) -> Value:
    if value.layout == layout:
        return value
    if layout == "row":
        return call("unpack_panels", value)
    return call("pack_panels", value, transpose=False)


def _product(new: Graph, node: Node, inputs: list[Value], as_panels: bool) -> list[Value]:
    """The kernels read a weight from its panels, other matrices row-major; none of them is transposed, but a for the weight gradient."""
    a, b, *operands = inputs
    attributes = dict(node.attributes)
    if attributes["transpose_a"] and attributes["transpose_b"]:
        a, attributes["transpose_a"] = call("transpose", _as(a, "row"), axes=(1, 0)), False
    a = _as(a, "row")
    operands = [_as(v, "row") for v in operands]
    if attributes["transpose_a"]:
        outputs = new.add(node.op, [a, _as(b, "row"), *operands], attributes)
        outputs[0].layout = "panel" if as_panels and node.op.name == "matmul" else "row"
        return outputs
    if b.layout == "row" and attributes["transpose_b"]:
        b, attributes["transpose_b"] = call("pack_panels", b, transpose=True), False
    return new.add(node.op, [a, b, *operands], attributes)


def _convolution(new: Graph, node: Node, inputs: list[Value]) -> list[Value]:
    """The kernels read a weight from its panels, turned for most gradients of inputs; a depthwise one row-major."""
    x, w, *operands = inputs
    if w.ndim > 1:
        w = _as(w, "row" if is_depthwise(node) else "panel")
        if "weight_shape" in node.attributes and needs_turned_weight(node):
            w = call("turn_weight", w, **geometry(node.attributes))
    return new.add(node.op, [_as(x, "row"), w, *(_as(v, "row") for v in operands)], node.attributes)


def _wanted_as_panels(graph: Graph) -> set[Value]:
    """Gradients of panel weights, and the elementwise values they are made of, as far as all their readers take panels."""
    wanted: set[Value] = set()
    users = graph.users()
    results = graph.results()
    for node in reversed(graph.nodes):
        for output in node.outputs:
            readers = users.get(output, [])
            if output.ndim < 2 or not readers or output in results:
                continue
            if all(_takes_panel(reader, output, wanted) for reader in readers) and _can_give_panel(node):
                wanted.add(output)
    return wanted


def _takes_panel(reader: Node, value: Value, wanted: set[Value]) -> bool:
    if reader.op.kind == "update":
        return reader.inputs[0].layout == "panel"
    return reader.op.kind == "elementwise" and reader.output in wanted


def _can_give_panel(node: Node) -> bool:
    if node.op.name == "matmul":
        return bool(node.attributes["transpose_a"]) and not node.attributes["transpose_b"]
    if node.op.name == "conv_weight_gradient":
        return in_panels(node)
    same = all(value.shape == node.output.shape or value.size == 1 for value in node.inputs)
    return node.op.kind == "elementwise" and node.op.keeps_zero and same and _keeps_padding_zero(node)


def _keeps_padding_zero(node: Node) -> bool:
    """With a one-element operand only a product keeps zeros: x + c does not."""
    return node.op.name == "multiply" or all(value.shape == node.output.shape for value in node.inputs)
