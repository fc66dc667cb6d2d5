"""One case, all sides: results are compared first, then times are taken in turns.

In: a case, nnfast's process and those of the peers. Out: a Line of the table.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nnfast.benchmark.cases import Case
from nnfast.benchmark.limits import Limits
from nnfast.benchmark.process import Process
from nnfast.benchmark.statistics import Ratio, ratio
from nnfast.errors import NnfastError

# Largest difference of a result, relative to the largest number in it. float32 sums are taken in another order; the training of a
# network carries such differences from step to step. The tests of the library are the strict ones.
TOLERANCE = 1e-4
TOLERANCE_OF_LOSSES = 2e-3


@dataclass(frozen=True)
class Effort:
    """How much a measurement may cost, and where results pass from one process to the other."""

    rounds: int
    quick: bool
    folder: Path


@dataclass
class Line:
    """What was found for one case. Seconds are medians; a peer that was not timed stands in `notes` with the reason."""

    case: str
    group: str
    seconds: float = 0.0
    flops: float = 0.0
    nbytes: float = 0.0
    bound: str = ""  # "flops", or the level of the memory whose bandwidth is the limit
    fraction: float = 0.0  # of that limit
    peers: dict[str, float] = field(default_factory=dict)
    ratios: dict[str, Ratio] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def wrong(self) -> bool:
        return any(note.startswith("WRONG") for note in self.notes.values())

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def limit_of(case: Case, limits: Limits) -> tuple[float, str]:
    """Least seconds that a case can take on this machine, and what limits it: the roofline.

    A byte that is written costs half of what one costs that is read and written back; what is only read, the time to read it.
    """
    read, written = case.traffic
    level = limits.level_of(case.memory)
    moving = 2 * written / level.update + max(read - written, 0.0) / level.read
    computing = case.flops / limits.flops
    return (computing, "flops") if computing >= moving else (moving, level.name)


def measure(case: Case, own: Process, others: Sequence[Process], limits: Limits, effort: Effort) -> Line:
    """Check a case, and time it in rounds.

    Raises:
        NnfastError: nnfast itself failed.
    """
    line = Line(case.name, case.group)
    sides = [own, *_equal_sides(case, own, others, line, effort.folder)]
    times: dict[Process, list[float]] = {side: [] for side in sides}
    for number in range(effort.rounds):
        first = number % len(sides)
        for side in sides[first:] + sides[:first]:  # each side comes first in turn
            for other in sides:
                other.wait_until_quiet()
            times[side].append(side.ask("time", quick=effort.quick))
    line.seconds = statistics.median(times[own])
    line.flops, line.nbytes = case.flops, sum(case.traffic)
    least, line.bound = limit_of(case, limits)
    line.fraction = least / line.seconds
    for side in sides[1:]:
        line.peers[side.name] = statistics.median(times[side])
        line.ratios[side.name] = ratio(times[own], times[side])
    return line


def _equal_sides(case: Case, own: Process, others: Sequence[Process], line: Line, folder: Path) -> list[Process]:
    """The sides that do the case, with the same result."""
    own.ask("make", case=case.name)
    expected = _result(own, folder)
    sides = []
    for side in others:
        try:
            if not side.ask("make", case=case.name):
                line.notes[side.name] = "not done by this library"
                continue
            problem = difference(_result(side, folder), expected, case)
        except NnfastError as error:
            line.notes[side.name] = f"failed: {error}"
            continue
        if problem:
            line.notes[side.name] = f"WRONG: {problem}"
            continue
        sides.append(side)
    return sides


def _result(side: Process, folder: Path) -> list[Any]:
    path = folder / "result.npz"
    side.ask("result", path=str(path))
    with np.load(path) as arrays:
        return [arrays[name] for name in arrays.files]


def difference(found: Sequence[Any], expected: Sequence[Any], case: Case) -> str:
    """What is wrong with a side's results; empty where nothing is."""
    tolerance = TOLERANCE_OF_LOSSES if case.group == "steps" else TOLERANCE
    if [array.shape for array in found] != [array.shape for array in expected]:
        return f"shapes {[array.shape for array in found]}, in nnfast {[array.shape for array in expected]}"
    for a, b in zip(found, expected, strict=True):
        most = float(np.abs(a - b).max(initial=0.0))
        if not most <= tolerance * float(np.abs(b).max(initial=1e-30)):
            return f"differs from nnfast by up to {most:.3g}"
    return ""
