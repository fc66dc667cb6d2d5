"""What is cheap to compute from one tensor and a few numbers is computed again by each elementwise reader, and never stored.

(x - mean) of a batch normalisation is read by its output and by its gradient: as a tensor of its own it is written once and read twice,
computed again x is read in its place. Readers then fuse with it.
"""

from __future__ import annotations

from collections.abc import Sequence

from nnfast.graph.ir import Graph, Node, Value
from nnfast.passes.rewrite import copy_node, rewrite

CHEAP = 2.0  # operations per element
FEW = 8  # other operands are so many times smaller, at least
MOST_READERS = 4


def recompute_cheap(graph: Graph) -> Graph:
    """Elementwise ops of one whole tensor that several elementwise ops read: one copy for each of them."""
    users, results = graph.users(), graph.results()
    cheap: set[Node] = set()
    for node in reversed(graph.nodes):
        if not _is_cheap(node) or node.output in results:
            continue
        readers = set(users.get(node.output, []))
        several = 1 < len(readers) <= MOST_READERS or (len(readers) == 1 and readers <= cheap)
        if several and all(_beside(node, reader) for reader in readers):
            cheap.add(node)
    arguments: dict[Node, list[Value]] = {}

    def visit(new: Graph, node: Node, inputs: list[Value]) -> Sequence[Value] | None:
        if node in cheap:
            arguments[node] = inputs
            return node.outputs  # a stand-in, until it is read
        return copy_node(new, node, [_again(new, value) for value in inputs])

    def _again(new: Graph, value: Value) -> Value:
        if value.node not in cheap:
            return value
        return copy_node(new, value.node, [_again(new, operand) for operand in arguments[value.node]])[0]

    return rewrite(graph, visit)


def _is_cheap(node: Node) -> bool:
    if node.op.function is None or node.op.flops(node) > CHEAP * node.output.size:
        return False
    others = [value for value in node.inputs if value.shape != node.output.shape]
    return len(node.inputs) - len(others) == 1 and all(FEW * value.size <= node.output.size for value in others)


def _beside(node: Node, reader: Node) -> bool:
    """Would they run in one program?"""
    a = node.output
    return reader.op.function is not None and all(
        (b.shape, b.dtype, b.layout) == (a.shape, a.dtype, a.layout) for b in reader.outputs
    )
