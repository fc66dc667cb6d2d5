"""Nodes -> steps: which kernel runs, on which bytes, with which sizes.

A step is one kernel call. Updates of neighbouring weights with the same attributes become one step over all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from nnfast.graph.ir import FLOATS, Graph, Node
from nnfast.ops.registry import Operation
from nnfast.plan.memory import Layout, Place, aligned

TABLE_OF_INTEGERS = {"int32": "float32", "int64": "float64"}  # copies of integers run as copies of equally wide floats


@dataclass
class Step:
    """One kernel call. Buffers are outputs, then inputs; None where the kernel does without one."""

    kernel: str
    dtype: str  # of the table that the kernel comes from
    buffers: list[Place | None]
    written: int  # the first so many buffers are written
    sizes: list[int]
    scalars: list[float] = field(default_factory=list)
    program: Sequence[Operation] = ()
    title: str = ""
    flops: float = 0.0
    kind: str = ""
    threads: int = 1
    parts: int = 1  # shares per thread
    barrier: bool = False
    read_written: tuple[int, ...] = ()  # further buffers that are written (updates)
    portion: float = 1.0  # of the buffers' bytes that the step moves

    @property
    def nbytes(self) -> int:
        """Bytes that the step reads and writes, each buffer once."""
        return int(self.portion * sum(place.nbytes for place in self.buffers if place is not None))

    def writes(self) -> list[Place]:
        places = [self.buffers[i] for i in (*range(self.written), *self.read_written)]
        return [place for place in places if place is not None]

    def reads(self) -> list[Place]:
        return [place for place in self.buffers[self.written :] if place is not None]


def make_steps(graph: Graph, layout: Layout) -> list[Step]:
    """The steps of a graph, in its order."""
    steps: list[Step] = []
    for node in graph.nodes:
        if not node.op.view:
            steps += _node_steps(node, layout)
    return merge_updates(steps)


def _node_steps(node: Node, layout: Layout) -> list[Step]:
    steps = []
    calls = node.op.kernel_calls(node)
    for call in calls:
        outputs = range(len(node.outputs)) if call.outputs is None else call.outputs
        inputs = range(len(node.inputs)) if call.inputs is None else call.inputs
        made = [None if i is None else layout.places[node.outputs[i]] for i in outputs]
        read = [None if i is None else layout.places[node.inputs[i]] for i in inputs]
        step = Step(
            call.kernel, call.dtype or _table(node), [*made, *read], len(made), list(call.sizes), list(call.scalars), call.program,
            _title(node), node.op.flops(node) / len(calls), node.op.kind, portion=call.portion,
        )  # fmt: skip
        if node.op.kind == "update":
            step.read_written = tuple(place for place, i in enumerate(inputs) if i in node.op.updates)
        steps.append(step)
    return steps


def _table(node: Node) -> str:
    """The floating type of the node, or the table that moves its integers."""
    dtypes = [value.dtype for value in (*node.outputs, *node.inputs)]
    floats = [dtype for dtype in dtypes if dtype in FLOATS]
    return floats[0] if floats else TABLE_OF_INTEGERS[dtypes[0]]


def _title(node: Node) -> str:
    body = node.attributes.get("body")
    name = node.op.name
    if name == "matmul":
        name = node.op.kernel_calls(node)[0].kernel
    if body is None:
        return name
    parts = " ".join(part.op for part in body)
    return f"{node.op.kernel_calls(node)[0].kernel} + {parts}" if node.op.kind == "contraction" else parts


def merge_updates(steps: Sequence[Step]) -> list[Step]:
    """Neighbouring updates by one rule on neighbouring memory -> one step."""
    merged: list[Step] = []
    for step in steps:
        if merged and step.kind == "update":
            joined = _join(merged[-1], step)
            if joined is not None:
                merged[-1] = joined
                continue
        merged.append(step)
    return merged


def _join(first: Step, second: Step) -> Step | None:
    same = (first.kernel, first.dtype, first.scalars, first.kind) == (
        second.kernel,
        second.dtype,
        second.scalars,
        second.kind,
    )
    if not same or len(first.buffers) != len(second.buffers) or len(first.sizes) != 1:  # sparse updates have more
        return None
    buffers: list[Place | None] = []
    gaps = set()
    for a, b in zip(first.buffers, second.buffers, strict=True):
        if a is None or b is None or a == b:  # a slot that is not there; learning rate and counters
            if a != b:
                return None
            buffers.append(a)
            continue
        if a.space != b.space or a.offset + aligned(a.nbytes) != b.offset:
            return None
        gaps.add(aligned(a.nbytes) - a.nbytes)
        buffers.append(Place(a.space, a.offset, aligned(a.nbytes) + b.nbytes))
    if len(gaps) != 1:
        return None
    itemsize = 4 if first.dtype == "float32" else 8
    count = first.sizes[0] + gaps.pop() // itemsize + second.sizes[0]
    title = first.title.split(" x")[0]
    total = int(first.title.split(" x")[1]) + 1 if " x" in first.title else 2
    return replace(first, buffers=buffers, sizes=[count], title=f"{title} x{total}", flops=first.flops + second.flops)
