"""Fusion: a product takes over the bias and activation that follow it; chains of elementwise ops become one program.

A fused node has the bits of its parts, because every part still rounds on its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nnfast.graph.ir import Graph, Node, Value
from nnfast.ops.fused import MAX_BUFFERS, MAX_TEMPORARIES, Part
from nnfast.ops.registry import OPS
from nnfast.passes.layout import CONVOLUTIONS
from nnfast.passes.rewrite import rewrite

MAX_PROGRAM = 32  # parts of one program
MAX_EPILOGUE_OPERANDS = 4


Build = Callable[[Graph, list[Node], dict[Value, Value]], list[Value]]


def fuse_epilogues(graph: Graph) -> Graph:
    """matmul or conv -> add bias -> activation, and dy w^T -> derivative of the activation: one node."""
    users, results = graph.users(), graph.results()
    taken: set[Node] = set()  # nodes that a later node has taken over
    heads: dict[Node, list[Node]] = {}  # last node of a chain -> the whole chain, product first
    claimed: set[Node] = set()  # followers in a chain: the sum of two products belongs to the first of them
    for node in graph.nodes:
        if node.op.name not in ("matmul", *CONVOLUTIONS) or node.attributes.get("transpose_a"):
            continue
        chain = [node]
        while len(chain) <= MAX_EPILOGUE_OPERANDS:
            follower = _single_reader(chain[-1].output, users, results)
            if follower is None or follower in claimed or not _fits_epilogue(chain[-1], follower):
                break
            chain.append(follower)
            claimed.add(follower)
        if len(chain) > 1:
            heads[chain[-1]] = chain
            taken.update(chain[:-1])
    return _merge(graph, taken, heads, _product_node)


def _single_reader(value: Value, users: dict[Value, list[Node]], results: set[Value]) -> Node | None:
    readers = users.get(value, [])
    return readers[0] if len(readers) == 1 and value not in results else None


def _fits_epilogue(before: Node, node: Node) -> bool:
    """The running value is the first operand (or either, of an addition); the other is a row or a full matrix."""
    running = before.output
    if (
        node.op.function is None
        or node.output.shape != running.shape
        or running.layout != "row"
        or len(node.inputs) > 2
    ):
        return False
    others = [value for value in node.inputs if value is not running]
    if len(others) != len(node.inputs) - 1:
        return False
    if node.inputs[0] is not running and node.op.name not in ("add", "multiply"):
        return False
    row = running.shape[-1:]
    rows = (*((1,) * i + row for i in range(running.ndim)), running.shape)
    return all(value.shape in rows and value.layout == "row" and value.dtype == running.dtype for value in others)


def _product_node(new: Graph, chain: list[Node], copies: dict[Value, Value]) -> list[Value]:
    product = chain[0]
    operands: list[Value] = []
    body: list[Part] = []
    for node, before in zip(chain[1:], chain, strict=False):
        others = [value for value in node.inputs if value is not before.output]
        operands += [copies[value] for value in others]
    running = len(operands)
    used = 0
    for node in chain[1:]:
        extra = len(node.inputs) - 1
        body.append(Part(node.op.name, tuple(node.attributes.items()), (running, *range(used, used + extra))))
        used += extra
        running += 1
    inputs = [copies[value] for value in product.inputs]
    return new.add(
        OPS["product_with_epilogue"],
        [*inputs, *operands],
        {**product.attributes, "product": product.op.name, "body": tuple(body)},
    )


def fuse_elementwise(graph: Graph) -> Graph:
    """Elementwise ops whose value only one other elementwise op of the same shape reads run as one program."""
    users, results = graph.users(), graph.results()
    groups: dict[Node, list[Node]] = {}  # last node -> its group, in order
    taken: set[Node] = set()
    order = {node: i for i, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        if not _is_elementwise(node):
            continue
        group = [node]
        for value in node.inputs:
            source = value.node
            if source is None or source not in groups or _single_reader_node(value, users, results) is not node:
                continue
            if (
                value.shape != node.output.shape
                or value.layout != node.output.layout
                or value.dtype != node.output.dtype
            ):
                continue
            joined = list(dict.fromkeys([*groups[source], *group]))
            if _small_enough(joined):
                group = joined
                taken.add(source)
                del groups[source]
        groups[node] = sorted(group, key=order.__getitem__)
    heads = {head: group for head, group in groups.items() if len(group) > 1}
    return _merge(graph, taken, heads, _program_node)


def _single_reader_node(value: Value, users: dict[Value, list[Node]], results: set[Value]) -> Node | None:
    readers = set(users.get(value, []))
    return readers.pop() if len(readers) == 1 and value not in results else None


def _is_elementwise(node: Node) -> bool:
    return node.op.function is not None and all(value.dtype == node.output.dtype for value in node.inputs)


def _small_enough(group: list[Node]) -> bool:
    made = {node.output for node in group}
    inputs = {value for node in group for value in node.inputs if value not in made}
    return len(group) <= min(MAX_PROGRAM, MAX_TEMPORARIES) and len(inputs) + 1 <= MAX_BUFFERS


def _program_node(new: Graph, group: list[Node], copies: dict[Value, Value]) -> list[Value]:
    made = {node.output for node in group}
    inputs = list(dict.fromkeys(value for node in group for value in node.inputs if value not in made))
    places = {value: i for i, value in enumerate(inputs)}
    body = []
    for node in group:
        body.append(Part(node.op.name, tuple(node.attributes.items()), tuple(places[value] for value in node.inputs)))
        places[node.output] = len(places)
    outputs = new.add(OPS["elementwise_program"], [copies[value] for value in inputs], {"body": tuple(body)})
    outputs[0].layout = group[-1].output.layout
    return outputs


def _merge(graph: Graph, taken: set[Node], heads: dict[Node, list[Node]], build: Build) -> Graph:
    """Rebuild the graph: taken nodes vanish, the last node of a group becomes the fused node."""
    copies: dict[Value, Value] = {}

    def visit(new: Graph, node: Node, inputs: list[Value]) -> Sequence[Value] | None:
        copies.update(zip(node.inputs, inputs, strict=True))
        if node in taken:
            return node.outputs  # stand-ins: nothing that stays reads them
        return build(new, heads[node], copies) if node in heads else None

    return rewrite(graph, visit)
