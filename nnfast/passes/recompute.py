"""Recomputation: what the backward pass reads of a marked part of the forward pass is computed a second time, right before it is needed.

Only what enters and leaves such a part is kept from the forward to the backward pass; a step takes less memory and more time (Chen et
al. 2016, "Training deep nets with sublinear memory cost"). Ops are functions of their inputs, random ones of the counters, so the second
values have the bits of the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nnfast.graph.ir import BACKWARD, Graph, Node, Value
from nnfast.passes.rewrite import rewrite


def recompute_marked(graph: Graph) -> Graph:
    """Nodes of the backward pass read second computations of values inside the segments that layers have marked."""
    places = {node: i for i, node in enumerate(graph.nodes)}
    backward = next((i for i, node in enumerate(graph.nodes) if node.segment == BACKWARD), None)
    marked = [node for node in graph.nodes[:backward] if node.segment > 0]
    if backward is None or not marked:
        return graph
    # What layers have changed by then cannot be read again.
    changed = {old for old, new in graph.updates if new.node is not None and places[new.node] < backward}
    changed.update(output for node in marked if node.op.kind == "update" for output in node.outputs)
    repeatable = {node for node in marked if node.op.kind != "update" and not changed.intersection(node.inputs)}
    kept = _kept(graph, graph.nodes[:backward])
    known: dict[Value, Value] = {}  # in the new graph
    again: dict[Value, Value] = {}  # second computations

    def is_inner(value: Value) -> bool:
        return value.node in repeatable and value not in kept

    def visit(new: Graph, node: Node, inputs: list[Value]) -> Sequence[Value] | None:
        known.update(zip(node.inputs, inputs, strict=True))
        if node.segment != BACKWARD or not any(map(is_inner, node.inputs)):
            return None
        for value in node.inputs:
            if is_inner(value) and value not in again:
                _repeat(new, value, is_inner, places, known, again)
        return new.copy(node, [again.get(value, now) for value, now in zip(node.inputs, inputs, strict=True)])

    return rewrite(graph, visit)


def _kept(graph: Graph, forward: Sequence[Node]) -> set[Value]:
    """Values that leave their segment: outputs, and what other parts of the forward pass read."""
    kept = graph.results()
    for node in forward:
        kept.update(value for value in node.inputs if value.node is not None and value.node.segment != node.segment)
    return kept


def _repeat(
    new: Graph,
    wanted: Value,
    is_inner: Callable[[Value], bool],
    places: dict[Node, int],
    known: dict[Value, Value],
    again: dict[Value, Value],
) -> None:
    """Compute a value a second time, and what it is made of as far as that is not kept."""
    needed: set[Node] = set()
    waiting = [wanted]
    while waiting:
        value = waiting.pop()
        if is_inner(value) and value not in again and value.node is not None and value.node not in needed:
            needed.add(value.node)
            waiting += value.node.inputs
    for node in sorted(needed, key=places.__getitem__):
        outputs = new.copy(node, [again.get(value, known[value]) for value in node.inputs])
        new.nodes[-1].segment = BACKWARD - node.segment
        again.update(zip(node.outputs, outputs, strict=True))
