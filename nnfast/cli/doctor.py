"""`nnfast doctor`: what on this machine and in this process slows nnfast down or changes its results, and what to do about it.

In: facts about the process and the system (`collect`). Out: one finding per matter, ok, note or warning, each with the way out; 1 where
there is a warning. `judge` is a pure function of the facts, so that tests can fake every machine.
"""

from __future__ import annotations

import json
import os
import platform
import struct
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from nnfast import environment
from nnfast._core import runtime
from nnfast._core.executor import openmp_version
from nnfast._version import __version__
from nnfast.errors import NnfastError, unknown_name

OPENMP = ("libgomp", "libiomp", "libomp", "vcomp")  # names of OpenMP runtimes, as their files begin
BUSY = 0.5  # processors that others keep busy beyond those that are free: from then on a warning
LOOKS = 5  # at what runs now; the middle one counts


@dataclass(frozen=True)
class Facts:
    """What was found; the defaults are a machine with nothing to say about."""

    versions: dict[str, str] = field(default_factory=dict)
    level: str = "avx512"
    levels: list[dict[str, Any]] = field(default_factory=list)
    threads: int = 2
    threads_from: str = "physical cores"
    available: int = 2  # what hardware_thread_count gives
    available_from: str = "physical cores"
    processors: int = 2  # of the machine
    affinity: int = 2  # this process may run on
    quota: float | None = None
    load: float | None = 0.0  # runnable threads of others, mean of the last minute
    openmp: int = 201511
    runtimes: list[str] = field(default_factory=list)
    flush_to_zero: bool = False
    denormals_are_zero: bool = False
    huge_pages: str | None = "madvise"
    variables: dict[str, str] = field(default_factory=dict)  # NNFAST_*, OMP_*, GOMP_*, KMP_* that are set
    setting_error: str | None = None


@dataclass(frozen=True)
class Finding:
    """One matter: "ok", "note" (worth knowing) or "warning" (costs time, or is not what was meant)."""

    state: str
    matter: str
    text: str
    advice: str | None = None


def run(as_json: bool) -> int:
    """Collect, judge, print; returns 1 where there is a warning."""
    facts = collect()
    findings = judge(facts)
    failed = any(finding.state == "warning" for finding in findings)
    if as_json:
        found = {"healthy": not failed, "findings": [asdict(f) for f in findings], "facts": asdict(facts)}
        json.dump(found, sys.stdout, indent=2)
        print()
    else:
        for finding in findings:
            print(f"{finding.state:8} {finding.matter}: {finding.text}")
            if finding.advice is not None:
                print(f"{'':8} -> {finding.advice}")
        print("something to mend, see the warnings" if failed else "nothing to mend")
    return 1 if failed else 0


def collect(root: str = "/") -> Facts:
    """The facts of this process and machine; `root` is for tests."""
    error = None
    try:
        threads, threads_from = environment.default_thread_count(root=root)
        environment.debug_words()
        environment.data_folder()
    except NnfastError as wrong:
        error = str(wrong)
        threads, threads_from = environment.hardware_thread_count(root)
    available, available_from = environment.hardware_thread_count(root)
    ftz, daz = denormal_state()
    return Facts(
        versions={
            "nnfast": __version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "platform": f"{platform.system()} {platform.machine()}",
        },
        level=runtime.level(),
        levels=runtime.levels(),
        threads=threads if openmp_version() else 1,
        threads_from=threads_from,
        available=available,
        available_from=available_from,
        processors=os.cpu_count() or 1,
        affinity=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        quota=environment.cgroup_quota(root),
        load=_load(root),
        openmp=openmp_version(),
        runtimes=openmp_runtimes(root),
        flush_to_zero=ftz,
        denormals_are_zero=daz,
        huge_pages=_chosen(environment.text_of(os.path.join(root, "sys/kernel/mm/transparent_hugepage/enabled"))),
        variables=environment.related(),
        setting_error=error,
    )


def judge(facts: Facts) -> list[Finding]:
    """The findings, in the order in which they are printed."""
    return [
        Finding("ok", "versions", ", ".join(f"{name} {value}" for name, value in facts.versions.items())),
        _simd(facts),
        *_threads(facts),
        _busy(facts),
        *_openmp(facts),
        _denormals(facts),
        _huge_pages(facts),
        *_variables(facts),
    ]


def _simd(facts: Facts) -> Finding:
    usable = [level["name"] for level in facts.levels if level["available"]]
    if usable and facts.level != usable[-1]:
        return Finding(
            "warning",
            "SIMD level",
            f"{facts.level}, although this machine has {usable[-1]}",
            "unset NNFAST_ISA: results are the same on every level, only slower",
        )
    if facts.level == "scalar":
        return Finding(
            "warning", "SIMD level", "scalar: no SIMD level of this build runs here",
            "; ".join(f"{level['name']}: {level['reason']}" for level in facts.levels if not level["available"]) or None,
        )  # fmt: skip
    return Finding("ok", "SIMD level", facts.level)


def _threads(facts: Facts) -> list[Finding]:
    found = []
    if facts.threads > facts.available:
        found.append(
            Finding(
                "warning",
                "threads",
                f"{facts.threads} ({facts.threads_from}), more than the {facts.available} that can run ({facts.available_from})",
                "unset the variable, or set it to at most that number: threads that wait for a processor hold up the others",
            )
        )
    else:
        found.append(Finding("ok", "threads", f"{facts.threads} ({facts.threads_from})"))
    if facts.quota is not None and facts.quota < facts.affinity:
        state = "note" if facts.threads <= max(1, int(facts.quota)) else "warning"
        found.append(
            Finding(
                state,
                "cgroup quota",
                f"{facts.quota:g} of {facts.affinity} processors",
                "nnfast uses as many threads as the quota has whole processors; raise the container's CPU limit for more",
            )
        )
    if facts.affinity < facts.processors:
        found.append(
            Finding(
                "note",
                "affinity",
                f"this process may run on {facts.affinity} of {facts.processors} processors",
                "set from outside (taskset, numactl, a scheduler, or a library that pins threads); start it without, for more",
            )
        )
    return found


def _busy(facts: Facts) -> Finding:
    if facts.load is None:
        return Finding("note", "load", "the system does not say")
    free = max(0, facts.affinity - facts.threads)
    if facts.load > free + BUSY:
        return Finding(
            "warning",
            "load",
            f"{facts.load:.1f} threads of others are running, {facts.threads} of nnfast come on top, "
            f"on {facts.affinity} processors",
            "stop the others, or set NNFAST_NUM_THREADS to the number of processors that are free",
        )
    return Finding("ok", "load", f"{facts.load:.1f} on {facts.affinity} processors")


def _openmp(facts: Facts) -> list[Finding]:
    if not facts.openmp:
        return [
            Finding(
                "warning",
                "OpenMP",
                "none: this build runs on one thread",
                "install a wheel, or build with a compiler that has OpenMP",
            )
        ]
    found = [Finding("ok", "OpenMP", f"{facts.openmp}")]
    if len(facts.runtimes) > 1:
        found.append(
            Finding(
                "note",
                "OpenMP runtimes",
                f"{len(facts.runtimes)} in this process: {', '.join(facts.runtimes)}",
                "each has threads of its own; where two of them work at once, limit one (threadpoolctl), "
                "and set OMP_WAIT_POLICY=passive so that idle threads do not spin",
            )
        )
    if facts.variables.get("OMP_WAIT_POLICY", "").lower() == "active":
        found.append(
            Finding(
                "warning",
                "OpenMP waiting",
                "OMP_WAIT_POLICY=active lets idle threads of every OpenMP library hold their processors",
                "unset OMP_WAIT_POLICY",
            )
        )
    return found


def _denormals(facts: Facts) -> Finding:
    modes = [name for name, is_set in (("FTZ", facts.flush_to_zero), ("DAZ", facts.denormals_are_zero)) if is_set]
    if not modes:
        return Finding("ok", "denormal numbers", "kept, as IEEE 754 says")
    return Finding(
        "warning",
        "denormal numbers",
        f"another library has switched them off in this thread ({', '.join(modes)})",
        "load without the library that was compiled with -ffast-math, or switch it off there "
        "(torch.set_flush_denormal(False)): numbers below 1.2e-38 become 0",
    )


def _huge_pages(facts: Facts) -> Finding:
    if facts.huge_pages == "never":
        return Finding(
            "note",
            "huge pages",
            "switched off",
            "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled: large models read their weights faster",
        )
    return Finding("ok", "huge pages", facts.huge_pages or "the system does not say")


def _variables(facts: Facts) -> list[Finding]:
    found = []
    if facts.setting_error is not None:
        found.append(Finding("warning", "environment", facts.setting_error))
    known = [name for name in environment.VARIABLES if name.startswith("NNFAST_")]
    for name in sorted(facts.variables):
        if name.startswith("NNFAST_") and name not in known:
            message = str(unknown_name("variable", name, known))
            found.append(
                Finding("warning", "environment", message, f"correct or unset {name}: nnfast does not read it")
            )
    used = {name: value for name, value in facts.variables.items() if name in environment.VARIABLES}
    found.append(
        Finding("ok", "environment", ", ".join(f"{k}={v}" for k, v in sorted(used.items())) or "no variable is set")
    )
    return found


def denormal_state() -> tuple[bool, bool]:
    """Whether this thread flushes denormal results to zero, and reads denormal numbers as zero.

    >>> denormal_state()
    (False, False)
    """
    smallest_normal = float.fromhex("0x1p-1022")
    half = float("0.5")  # a variable: the product below is computed when it runs
    flushed = struct.pack("<d", smallest_normal * half) == bytes(8)
    denormal = struct.unpack("<d", struct.pack("<q", 1))[0]
    return flushed, denormal == float("0")


def openmp_runtimes(root: str = "/") -> list[str]:
    """Names of the OpenMP runtimes' files that are mapped into this process, where the system tells."""
    text = environment.text_of(os.path.join(root, "proc/self/maps")) or ""
    paths = {line.split(maxsplit=5)[5] for line in text.splitlines() if len(line.split(maxsplit=5)) == 6}
    return sorted(os.path.basename(path) for path in paths if os.path.basename(path).startswith(OPENMP))


def _load(root: str) -> float | None:
    """Threads that ran over the last minute or, where that is less, run now beside this one: the minute may be the user's own training."""
    path, now, minute = os.path.join(root, "proc/loadavg"), [], 0.0
    for _ in range(LOOKS):
        words = (environment.text_of(path) or "").split()
        if len(words) < 4:
            return None
        minute = float(words[0])
        now.append(max(0, int(words[3].partition("/")[0]) - 1))
        time.sleep(0.02)
    return min(minute, float(sorted(now)[LOOKS // 2]))


def _chosen(text: str | None) -> str | None:
    """The word in brackets: "always [madvise] never" -> madvise."""
    return text[text.index("[") + 1 : text.index("]")] if text and "[" in text and "]" in text else None
