"""Division of work: how many threads and parts a step is worth, and where the team must wait for each other.

A step is divided when its estimated time is well above the cost of passing its data between cores: in a long plan, whose data is spread
over the cores anyway, and where it is alone, smaller ones than in a short plan. A barrier stands before a step that touches bytes which another thread may
have written, or may still be reading, since the last barrier.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nnfast.plan.memory import Place
from nnfast.plan.steps import Step

# Estimates for one core, in flops and bytes per nanosecond; they decide between one thread and all, never results.
# From profiles (NNFAST_DEBUG=time) of small plans on an Intel Xeon with AVX-512, 2026-11.
FLOPS_PER_NS = {"contraction": 100.0, "attention": 60.0, "update": 30.0, "elementwise": 30.0, "reduction": 30.0}
OTHER_FLOPS_PER_NS = 16.0
BYTES_PER_NS = 20.0

# On the same processor, training steps of 17 and 21 us with one thread took 30 us divided, 88 us became 83, 148 us 103;
# alone in its plan, a product of 25.7 us became 14.5, one of 12.4 us 6.9, one of 7.7 us 4.4 to 6.
LONG_PLAN_NS = 60000.0
DIVIDE_FROM_NS = {"one step": 5000.0, "short plan": 10000.0, "long plan": 2000.0}
SERIAL = ("record", "advance")

# Long steps of these kernels have several parts per thread, so that a thread which other work slows down is helped: beside other
# programs the convolutions of `predict` took 1.09 to 1.17 times as long with one part each (64 and 32 images, two threads, 21 rounds).
# Products and weight gradients, which would copy their operands once more for each part, became slower: a GPT's step 1.12 times.
FURTHER_DIVIDED = ("conv",)
PART_NS = 50000.0
MOST_PARTS = 8


def estimate_ns(step: Step) -> float:
    """Rough time of a step on one thread."""
    return max(step.flops / FLOPS_PER_NS.get(step.kind, OTHER_FLOPS_PER_NS), step.nbytes / BYTES_PER_NS)


def divide(steps: Sequence[Step], threads: int) -> int:
    """Set each step's threads, parts and barrier; returns how many threads the plan uses."""
    short = "one step" if len(steps) == 1 else "short plan"
    least = DIVIDE_FROM_NS[short if sum(map(estimate_ns, steps)) < LONG_PLAN_NS else "long plan"]
    for step in steps:
        worth = estimate_ns(step) >= least and step.kernel not in SERIAL
        step.threads = threads if worth else 1
        if step.threads > 1 and step.kernel in FURTHER_DIVIDED:
            step.parts = max(1, min(MOST_PARTS, int(estimate_ns(step) / threads / PART_NS)))
    used = max((step.threads for step in steps), default=1)
    _set_barriers(steps)
    return used


def _set_barriers(steps: Sequence[Step]) -> None:
    written: dict[tuple[Place, bool], None] = {}  # since the last barrier: place, by the first thread alone
    read: dict[tuple[Place, bool], None] = {}  # (each once: a recurrent net has thousands of steps on the same places)
    for step in steps:
        alone = step.threads == 1
        conflict = (
            _meets(step.reads(), written, alone)
            or _meets(step.writes(), written, alone)
            or _meets(step.writes(), read, alone)
        )
        step.barrier = conflict
        if conflict:
            written, read = {}, {}
        written.update(dict.fromkeys((place, alone) for place in step.writes()))
        read.update(dict.fromkeys((place, alone) for place in step.reads()))


def _meets(places: Sequence[Place], before: Iterable[tuple[Place, bool]], alone: bool) -> bool:
    return any(
        place.overlaps(other) for place in places for other, other_alone in before if not (alone and other_alone)
    )
