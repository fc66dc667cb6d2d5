"""A plan as text: the table that `model.plan()` returns, and the times of NNFAST_DEBUG=time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from nnfast.plan.memory import ARENA, CONSTANTS, Place
from nnfast.plan.plan import Plan
from nnfast.plan.steps import Step


def show(plan: Plan) -> str:
    """One line per step (per run of steps on the same memory), then peak bytes, flops and bytes moved."""
    rows = [("step", "what", "kernel", "sizes", "writes", "reads", "threads", "wait")]
    for i, step, count in _runs(plan.steps):
        reads = [_place(p, plan) for p in step.buffers[step.written :]]
        writes = [_place(p, plan) for p in step.buffers[: step.written]]
        sizes = " ".join(str(size) for size in step.sizes[:8]) + (" ..." if len(step.sizes) > 8 else "")
        rows.append(
            (
                str(i),
                step.title if count == 1 else f"{step.title}, {count} steps",
                step.kernel,
                sizes,
                " ".join(writes),
                " ".join(reads),
                str(step.threads) if step.parts == 1 else f"{step.threads} x {step.parts}",
                "barrier" if step.barrier else "",
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    saved = plan.layout.values_bytes - plan.layout.arena_bytes
    lines.append(
        f"peak bytes {plan.peak_bytes:,} (reuse saves {saved:,}), flops {plan.flops:,.0f}, bytes moved {plan.bytes_moved:,}, threads {plan.threads}"
    )
    return "\n".join(lines)


def _runs(steps: Sequence[Step]) -> Iterator[tuple[int, Step, int]]:
    """Steps with their place; those that differ in their sizes alone (the time steps of a recurrent net) as one with a count."""
    i = 0
    while i < len(steps):
        key = _without_sizes(steps[i])
        end = i + 1
        while end < len(steps) and _without_sizes(steps[end]) == key:
            end += 1
        yield i, steps[i], end - i
        i = end


def _without_sizes(step: Step) -> Any:
    return step.title, step.kernel, step.buffers, step.threads, step.parts, step.barrier, step.program


def _place(place: Place | None, plan: Plan) -> str:
    if place is None:
        return "-"
    bound = place.space - 2 - len(plan.layout.homes)
    if bound >= 0 and plan.streams is None:
        inputs = len(plan.graph.inputs)
        return f"input{bound}" if bound < inputs else f"output{bound - inputs}"
    if bound >= 0:
        return ("order", "log")[bound] if bound < 2 else f"source{bound - 2}"
    name = {ARENA: "a", CONSTANTS: "c"}.get(place.space, f"v{place.space - 2}:")
    return f"{name}{place.offset}"


def show_times(plan: Plan, batches: int) -> str:
    """Where the time of a profiled run went, longest first."""
    times = sorted(plan.profile(), key=lambda pair: -pair[1])
    total = max(sum(ns for _, ns in times), 1)
    lines = [f"{ns / batches / 1000:10.2f} us  {100 * ns / total:5.1f} %  {title}" for title, ns in times]
    return "\n".join([*lines, f"{total / batches / 1000:10.2f} us per batch, {batches} batches"])
