"""The memory plan: where every value lives, from lifetimes to offsets in one arena.

In: a graph and which outputs may lie over which inputs. Out: a Place (space, byte offset, bytes) for each value. Views and in-place
results share the place of their source. Gradients that updates read get a region of their own, in the order of the weights, so
that one sweep can update neighbouring weights together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nnfast.graph.ir import Graph, Value
from nnfast.ops.registry import stored_size
from nnfast.passes.reuse import root

ALIGNMENT = 64
ARENA, CONSTANTS = 0, 1


@dataclass(frozen=True)
class Place:
    """Bytes in a space; a space is one piece of memory."""

    space: int
    offset: int
    nbytes: int

    @property
    def end(self) -> int:
        return self.offset + self.nbytes

    def overlaps(self, other: Place) -> bool:
        return self.space == other.space and self.offset < other.end and other.offset < self.end


@dataclass
class Layout:
    """The result of the memory plan."""

    places: dict[Value, Place] = field(default_factory=dict)
    homes: list[Any] = field(default_factory=list)  # memory of space 2, 3, ...: what the variables live in
    arena_bytes: int = 0
    constant_bytes: int = 0
    values_bytes: int = 0  # what the arena would take without reuse


@dataclass
class _Block:
    """Values that share one piece of the arena, with its lifetime in nodes."""

    nbytes: int
    first: int
    last: int
    offset: int = -1


def nbytes_of(value: Value) -> int:
    return stored_size(value) * np.dtype(value.dtype).itemsize


def aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def plan_memory(graph: Graph, reuse: Mapping[Value, Value], bound: bool = False) -> Layout:
    """Assign a place to every value of the graph.

    bound: inputs and outputs lie in memory that is bound at each run, one space each behind the others; an output that shares the memory
    of another value stays where that is.
    """
    layout = Layout()
    _place_variables(graph, layout)
    _place_constants(graph, layout)
    source = _sources(graph, reuse)
    if bound:
        _place_bound(graph, source, layout)
    blocks = _blocks(graph, source, layout)
    gradients = _reserve_gradients(graph, source, blocks)
    layout.arena_bytes = _pack([b for b in blocks.values() if b.offset < 0], gradients)
    layout.values_bytes = sum(aligned(nbytes_of(v)) for v in blocks)
    for node in graph.nodes:
        for output in node.outputs:
            _place(output, source, blocks, layout)
    for value in graph.inputs:
        _place(value, source, blocks, layout)
    return layout


def _place_variables(graph: Graph, layout: Layout) -> None:
    for value in graph.variables.values():
        variable = value.payload
        known = [home is variable.home for home in layout.homes]
        if not any(known):
            layout.homes.append(variable.home)
            known.append(True)
        layout.places[value] = Place(
            2 + known.index(True), variable.address - variable.home.address, variable.stored_bytes
        )


def _place_constants(graph: Graph, layout: Layout) -> None:
    for value in graph.constants.values():
        layout.places[value] = Place(CONSTANTS, layout.constant_bytes, nbytes_of(value))
        layout.constant_bytes += aligned(nbytes_of(value))


def _place_bound(graph: Graph, source: dict[Value, Value], layout: Layout) -> None:
    first = 2 + len(layout.homes)
    for i, value in enumerate((*graph.inputs, *graph.outputs)):
        if value not in source and value not in layout.places and value.layout == "row":
            layout.places[value] = Place(first + i, 0, nbytes_of(value))


def _sources(graph: Graph, reuse: Mapping[Value, Value]) -> dict[Value, Value]:
    """For each value made by a node, the value whose memory it has."""
    source: dict[Value, Value] = {}

    def final(value: Value) -> Value:
        while value in source and source[value] is not value:
            value = source[value]
        return value

    for node in graph.nodes:
        for i, output in enumerate(node.outputs):
            if node.op.view:
                source[output] = final(node.inputs[0])
            elif i < len(node.op.updates):
                source[output] = final(node.inputs[node.op.updates[i]])
            elif output in reuse:
                source[output] = final(reuse[output])
    return source


def _blocks(graph: Graph, source: dict[Value, Value], layout: Layout) -> dict[Value, _Block]:
    """One block per value that owns arena memory; the graph's inputs are written before node 0."""
    blocks = {value: _Block(nbytes_of(value), -1, -1) for value in graph.inputs if value not in layout.places}
    for i, node in enumerate(graph.nodes):
        for value in (*node.inputs, *node.outputs):
            owner = source.get(value, value)
            if owner in layout.places:
                continue
            if owner not in blocks:
                blocks[owner] = _Block(nbytes_of(owner), i, i)
            blocks[owner].last = i
    for value in graph.results():
        owner = source.get(value, value)
        if owner in blocks:
            blocks[owner].last = len(graph.nodes)
    return blocks


def _reserve_gradients(graph: Graph, source: dict[Value, Value], blocks: dict[Value, _Block]) -> int:
    """Give the gradients of all updates the first bytes of the arena; returns how many."""
    offset = 0
    for node in graph.nodes:
        if node.op.kind != "update":
            continue
        gradient = node.inputs[1]
        owner = source.get(gradient, gradient)
        block = blocks.get(owner)
        if block is not None and block.offset < 0 and owner.kind == "node" and root(gradient) is not None:
            block.offset = offset
            offset += aligned(block.nbytes)
    return offset


def _pack(blocks: list[_Block], start: int) -> int:
    """Largest first, each at the lowest offset that no block alive at the same time takes; returns the arena's size."""
    placed: list[_Block] = []
    end = start
    for block in sorted(blocks, key=lambda b: -b.nbytes):
        offset = start
        rivals = [b for b in placed if b.first <= block.last and block.first <= b.last]
        for rival in sorted(rivals, key=lambda b: b.offset):
            if offset + aligned(block.nbytes) <= rival.offset:
                break
            offset = max(offset, rival.offset + aligned(rival.nbytes))
        block.offset = offset
        placed.append(block)
        end = max(end, offset + aligned(block.nbytes))
    return end


def _place(value: Value, source: dict[Value, Value], blocks: dict[Value, _Block], layout: Layout) -> None:
    owner = source.get(value, value)
    if owner in layout.places:
        place = layout.places[owner]
        layout.places[value] = Place(place.space, place.offset, nbytes_of(value))
    else:
        layout.places[value] = Place(ARENA, blocks[owner].offset, nbytes_of(value))
