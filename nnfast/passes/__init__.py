"""Passes: functions from Graph to Graph that keep what the reference computes. PIPELINE lists all of them, in order.

Passes marked forward run before differentiation, the others on the whole step. `without` switches passes off by name; the two
that plans cannot do without ignore that.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass

from nnfast.environment import debug_words
from nnfast.errors import unknown_name
from nnfast.graph.check import check
from nnfast.graph.ir import Graph
from nnfast.graph.show import show
from nnfast.passes.cheap import recompute_cheap
from nnfast.passes.fuse import fuse_elementwise, fuse_epilogues
from nnfast.passes.layout import assign_layouts
from nnfast.passes.recompute import recompute_marked
from nnfast.passes.simplify import (
    decompose,
    decompose_late,
    drop_broadcasts,
    drop_dead,
    fold_constants,
    share_common,
    stable_losses,
)
from nnfast.passes.sparse import sparse_updates


@dataclass(frozen=True)
class Pass:
    """One pass: its function, when it runs, and what it does in one line."""

    function: Callable[[Graph], Graph]
    forward: bool
    line: str
    needed: bool = False

    @property
    def name(self) -> str:
        return self.function.__name__


PIPELINE = (
    Pass(stable_losses, True, "cross-entropy of softmax or sigmoid becomes the stable, fused form on logits"),
    Pass(decompose, True, "ops without a kernel become the ops that they are made of", needed=True),
    Pass(recompute_marked, False, "values inside marked layers are computed again for the backward pass, not kept"),
    Pass(decompose_late, False, "so do those that were differentiated as a whole", needed=True),
    Pass(fold_constants, False, "what is known is computed now; arithmetic with one number becomes scale or shift"),
    Pass(drop_broadcasts, False, "elementwise ops read small tensors in place of repeated copies"),
    Pass(share_common, False, "equal ops on equal inputs are computed once"),
    Pass(sparse_updates, False, "updates of tables touch only the rows of the batch"),
    Pass(drop_dead, False, "what no result needs is left out"),
    Pass(assign_layouts, False, "matrices that products read lie in panels", needed=True),
    Pass(share_common, False, "conversions between layouts are shared too"),
    Pass(fuse_epilogues, False, "products take over bias, activation and its derivative"),
    Pass(
        recompute_cheap,
        False,
        "cheap ops on one tensor and a few numbers are computed again by each elementwise reader",
    ),
    Pass(fuse_elementwise, False, "chains of elementwise ops become one program"),
)
IN_PLACE = "reuse_in_place"  # done by the memory plan, on nnfast.passes.reuse; switched off by this name


def names() -> list[str]:
    """The names that `without` takes."""
    return [*dict.fromkeys(step.name for step in PIPELINE), IN_PLACE]


def run(graph: Graph, *, forward: bool, without: Collection[str] = ()) -> Graph:
    """Run the forward passes, or the others, in order."""
    for name in without:
        if name not in names():
            raise unknown_name("pass", name, names())
    words = debug_words()
    for step in PIPELINE:
        if step.forward != forward or (step.name in without and not step.needed):
            continue
        before = len(graph.nodes)
        graph = step.function(graph)
        if "passes" in words:
            check(graph)
            print(f"pass {step.name}: {before} -> {len(graph.nodes)} nodes ({step.line})", file=sys.stderr)
    if "passes" in words and not forward:
        print(show(graph), file=sys.stderr)
    return graph
