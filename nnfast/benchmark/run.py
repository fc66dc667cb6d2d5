"""`nnfast bench`: chooses cases and peers, runs them, and gives what was found to the table, a file and a chart.

In: Options. Out: the exit status, 0, or 1 where a result was wrong.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nnfast.benchmark import chart, machine, table
from nnfast.benchmark.cases import CASES, GROUPS, Case
from nnfast.benchmark.footprint import footprints
from nnfast.benchmark.limits import Limits
from nnfast.benchmark.peers import does, missing
from nnfast.benchmark.process import Process
from nnfast.benchmark.rounds import Effort, Line, measure
from nnfast.benchmark.statistics import LEAST_ROUNDS
from nnfast.config import get_num_threads
from nnfast.errors import SettingError, unknown_name

KERNELS = tuple(group for group in GROUPS if group not in ("steps", "inference"))
SECTIONS = ("limits", *GROUPS, "overhead", "threads", "footprint")
ALIASES = {"kernels": KERNELS}
ROUNDS, QUICK_ROUNDS = 7, LEAST_ROUNDS
Say = Callable[[str], None]


@dataclass
class Options:
    """What the command line asks for."""

    against: Sequence[str] = ("numpy",)
    only: Sequence[str] = ()
    quick: bool = False
    threads: int | None = None
    rounds: int | None = None
    json: str | None = None  # a file, or - for standard output
    chart: str | None = None


@dataclass
class Report:
    """All that was found."""

    machine: dict[str, Any]
    versions: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    limits: list[Limits] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    threads: list[Line] = field(default_factory=list)  # nnfast on one thread as the "peer"
    footprint: dict[str, dict[str, Any]] = field(default_factory=dict)
    fit_overhead: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        parts = {name: getattr(self, name) for name in ("machine", "versions", "skipped", "footprint", "fit_overhead")}
        for name in ("limits", "lines", "threads"):
            parts[name] = [part.as_dict() for part in getattr(self, name)]
        return parts | {"geometric_means": table.means(self.lines)}


def run(options: Options) -> int:
    """Measure what is asked for, and print it as it comes."""
    sections = chosen(options.only, options.quick)
    threads = options.threads or get_num_threads()
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    if rounds < LEAST_ROUNDS:
        raise SettingError(f"--rounds {rounds}: expected {LEAST_ROUNDS} or more, for an interval of 95 %")
    report = Report(machine.facts(threads))
    report.skipped = {name: f"{package} is not installed" for name in options.against if (package := missing(name))}
    say: Say = (lambda text: print(text, file=sys.stderr)) if options.json == "-" else print
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        effort = Effort(rounds, options.quick, Path(folder))
        own = stack.enter_context(Process("nnfast", threads))
        names = [name for name in options.against if name not in report.skipped]
        others = [stack.enter_context(Process(name, threads)) for name in names]
        for side in (own, *others):
            report.versions |= side.ask("versions")
        for line in table.head(report.machine, report.versions, report.skipped):
            say(line)
        limits = Limits.from_dict(own.ask("limits", simd=None, quick=options.quick))
        report.limits.append(limits)
        if "limits" in sections:
            _limits(report, own, options.quick)
            for line in (*table.limits(report.limits), *table.other_levels(report.machine["flops"])):
                say(line)
        cases = [case for case in CASES if case.group in sections and (case.quick or not options.quick)]
        _lines(report.lines, cases, own, others, limits, effort, say)
        if "overhead" in sections:
            report.fit_overhead = own.ask("fit_overhead", rounds=rounds)
            say(
                f"\nfit, shuffled, 30-64-2, batch 256: {report.fit_overhead:.1%} of the time is not the steps' arithmetic"
            )
        if "threads" in sections and threads > 1:
            alone = stack.enter_context(Process("nnfast", 1))
            alone.name = "one thread"
            say("\nnnfast on its own number of threads, and on one:")
            cases = [case for case in CASES if scales(case) and (case.quick or not options.quick)]
            _lines(report.threads, cases, own, [alone], limits, effort, say)
    if "footprint" in sections:
        report.footprint = footprints(["nnfast", *names], threads)
        for line in table.footprint(report.footprint):
            say(line)
    for line in table.summary(report.lines):
        say(line)
    _write(report, options)
    return 1 if any(line.wrong for line in [*report.lines, *report.threads]) else 0


def chosen(only: Sequence[str], quick: bool) -> set[str]:
    """The sections of the table; all of them, without "footprint" in the short run, where none is named."""
    if not only:
        return set(SECTIONS) - ({"footprint"} if quick else set())
    sections: set[str] = set()
    for name in only:
        found = ALIASES.get(name, (name.replace("-", " "),))
        if found[0] not in SECTIONS:
            raise unknown_name("--only", name, [*ALIASES, *(section.replace(" ", "-") for section in SECTIONS)])
        sections.update(found)
    return sections


def scales(case: Case) -> bool:
    """Cases that are compared on several threads and on one: networks, and some products."""
    return case.group in ("steps", "inference") or (case.group == "products" and (case.quick or case.sizes[0] == 128))


def _limits(report: Report, own: Process, quick: bool) -> None:
    """The same limits on one thread, and multiply-adds of the other levels."""
    threads, level = report.machine["threads"], report.machine["level"]
    if threads > 1:
        with Process("nnfast", 1) as alone:
            report.limits.append(Limits.from_dict(alone.ask("limits", simd=None, quick=quick)))
    report.machine["flops"] = {
        simd: {count: own.ask("flops", simd=simd, threads=count) for count in sorted({1, threads})}
        for simd in report.machine["levels"]
        if simd != level
    }


def _lines(
    found: list[Line], cases: Sequence[Case], own: Process, others: Sequence[Process], limits: Limits, effort: Effort,
    say: Say,
) -> None:  # fmt: skip
    group = ""
    for case in cases:
        sides = [side for side in others if does(side.name, case.group)]
        if case.group != group:
            group = case.group
            say(table.title(group, [side.name for side in sides]))
        line = measure(case, own, sides, limits, effort)
        found.append(line)
        say(table.row(line, [side.name for side in sides]))


def _write(report: Report, options: Options) -> None:
    if options.json:
        text = json.dumps(report.as_dict(), indent=1)
        if options.json == "-":
            print(text)
        else:
            Path(options.json).write_text(text + "\n")
    if options.chart:
        chart.write(report.as_dict(), options.chart)
