"""Updates of tables that touch only the rows of the batch.

The gradient of an embedding is zero outside these rows. Where an optimizer would leave the others as they are (no momentum, no decay),
or the layer allows it to (`sparse`: state and weight of a row stand still while no id names it, as in PyTorch's SparseAdam), the
matrix of gradients is never made, and a step costs as much as its batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from nnfast.graph.ir import Graph, Node, Value
from nnfast.ops.elementwise import call
from nnfast.ops.lookup import MOST_SORTED
from nnfast.ops.registry import OPS
from nnfast.passes.rewrite import rewrite
from nnfast.passes.simplify import is_named

STANDS_STILL = ("update_sgd", "update_adagrad")  # where the gradient is zero, without weight decay


def sparse_updates(graph: Graph) -> Graph:
    """update(w, embedding_gradient(dy, ids), ...) -> sparse_update(w, dy, ..., ids, order of the ids)."""
    users, results = graph.users(), graph.results()
    chosen = {node for node in graph.nodes if node.op.kind == "update" and _may_be_sparse(node, users, results)}
    makers: dict[Value, Node] = {}

    def visit(new: Graph, node: Node, inputs: list[Value]) -> Sequence[Value] | None:
        if node.op.name == "embedding_gradient":
            makers[node.output] = Node(node.op, inputs, node.attributes)
        if node not in chosen:
            return None
        made = makers[node.inputs[1]]
        dy, ids = made.inputs
        rows = made.attributes["rows"]
        order = call("sort_ids", ids, rows=rows)
        return new.add(OPS[f"sparse_{node.op.name}"], [inputs[0], dy, *inputs[2:], ids, order], node.attributes)

    return rewrite(graph, visit)


def _may_be_sparse(node: Node, users: dict[Value, list[Node]], results: set[Value]) -> bool:
    gradient = node.inputs[1]
    if not is_named(gradient, "embedding_gradient") or len(users[gradient]) != 1 or gradient in results:
        return False
    assert gradient.node is not None
    if node.inputs[0].layout != "row" or prod(gradient.node.inputs[1].shape) > MOST_SORTED:
        return False
    still = node.op.name in STANDS_STILL and not node.attributes["weight_decay"]
    worth = gradient.shape[0] >= 2 * prod(gradient.node.inputs[1].shape)
    return bool(gradient.node.attributes["sparse"]) or (still and worth)
