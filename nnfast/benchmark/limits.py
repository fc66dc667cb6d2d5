"""What this machine can do at most: multiply-adds, bandwidth of each level of the memory, cost of regions and barriers.

In: a number of threads. Out: Limits, which every rate in the table is a fraction of. The kernels are csrc/kernels/limits.h, run by the
executor that runs plans.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nnfast._core import runtime
from nnfast._core.executor import Executor

REAL = 4  # bytes of a float32
KEPT = 64 * REAL  # bytes per thread for a result that must be kept: NNF_VIRTUAL_LANES
FMAS_PER_ROUND = 48  # LIMIT_ROUND in csrc/kernels/limits.h
SAMPLE_SECONDS = 0.005
SAMPLES = 30
WARM_SECONDS = 0.05  # a second thread is woken on the core of the first and stays there for some milliseconds
BYTES_PER_RUN = 16 << 20  # of each thread: beside it, waiting for the other threads counts little
FILL = 0.5  # of a cache: the rest is for what else there is
HOLDS = 0.9  # data up to this part of a cache count as held by it
MOST_BYTES = 1 << 29  # of memory that the measure takes
USUAL_CACHES = {"L1": 32 << 10, "L2": 512 << 10, "L3": 16 << 20}  # where the system does not say


@dataclass(frozen=True)
class Level:
    """A level of the memory: its size for one core (L1, L2) or for all (L3), and bandwidths of all threads together."""

    name: str
    nbytes: int | None  # None: main memory
    shared: bool
    read: float  # bytes per second
    update: float  # bytes per second, read and written in place


@dataclass(frozen=True)
class Limits:
    """Limits of one SIMD level on a number of threads."""

    simd: str
    threads: int
    flops: float  # float32, per second
    levels: tuple[Level, ...]
    region: float  # seconds: enter and leave a parallel region
    barrier: float  # seconds: one barrier within

    def level_of(self, nbytes: float, threads: int | None = None) -> Level:
        """The level that holds so many bytes, divided over the threads."""
        threads = threads or self.threads
        for level in self.levels:
            share = nbytes if level.shared else nbytes / threads
            if level.nbytes is None or share <= HOLDS * level.nbytes:
                return level
        return self.levels[-1]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> Limits:
        return cls(**{**facts, "levels": tuple(Level(**level) for level in facts["levels"])})


def measure(threads: int, simd: str | None = None, quick: bool = False) -> Limits:
    """Measure all limits; takes about a second, a tenth of it with quick."""
    simd = simd or runtime.level()
    levels = []
    most = flops(threads, simd)
    for name, nbytes, shared in [*caches(), ("memory", None, True)]:
        size = _measured_bytes(nbytes, shared, threads, quick)
        levels.append(Level(name, nbytes, shared, *bandwidth(size, threads, simd)))
    region, barrier = synchronization(threads)
    most = max(most, flops(threads, simd))  # a second look: other guests of a host can halve a core for half a second
    return Limits(simd, threads, most, tuple(levels), region, barrier)


def flops(threads: int, simd: str) -> float:
    """Float32 multiplications and additions per second, from chains of fused multiply-adds in registers."""
    team = _Team(threads, simd)
    rounds = 10_000
    team.add("limit_fma", [0], [rounds])
    lanes = runtime.lanes("float32", simd)
    return 2.0 * FMAS_PER_ROUND * lanes * rounds * threads / team.seconds()


def bandwidth(nbytes: int, threads: int, simd: str) -> tuple[float, float]:
    """Bytes per second read, and read and written, by all threads over one array of so many bytes."""
    count = nbytes // REAL
    rounds = max(1, BYTES_PER_RUN * threads // nbytes)
    team = _Team(threads, simd, nbytes)
    team.add("limit_update", [1], [count, rounds])
    update = 2 * nbytes * rounds / team.seconds()
    team.steps.clear()  # read last: pages that were never written may all be the same one, which lies in a cache
    team.add("limit_read", [0, 1], [count, rounds])
    return nbytes * rounds / team.seconds(), update


def synchronization(threads: int) -> tuple[float, float]:
    """Seconds of a parallel region beyond a call on one thread, and of one barrier."""
    if threads == 1:
        return 0.0, 0.0
    steps = 100
    team = _Team(threads, None)
    for _ in range(steps):
        team.add("limit_nothing", [], [])
    one = _Team(threads, None)
    one.add("limit_nothing", [], [])
    alone = _Team(1, None)
    alone.add("limit_nothing", [], [])
    region = one.seconds(inside=False)
    return max(region - alone.seconds(inside=False), 0.0), max(team.seconds() / steps, 0.0)


class _Team:
    """A plan by hand: limit kernels on a result line per thread (space 0) and an array (space 1)."""

    def __init__(self, threads: int, simd: str | None, nbytes: int = 64) -> None:
        self.threads, self.simd = threads, simd
        self.memory = [runtime.Memory(threads * KEPT), runtime.Memory(max(nbytes, 64))]
        self.steps: list[tuple[Any, ...]] = []

    def add(self, kernel: str, spaces: Sequence[int], sizes: list[int]) -> None:
        address = runtime.kernel(kernel, "float32", self.simd)
        self.steps.append((address, [(space, 0) for space in spaces], sizes, [], [], self.threads, 1, 1))

    def seconds(self, inside: bool = True) -> float:
        """Least seconds of all steps, among samples; inside: within one region, else with a region each time."""
        executor = Executor(self.steps, len(self.memory), self.threads)
        for space, memory in enumerate(self.memory):
            executor.bind(space, memory.address, memory)
        start = time.perf_counter()
        while time.perf_counter() - start < WARM_SECONDS:
            executor.run(1)
        count, best = 1, 0.0
        while True:  # so often that a sample lasts long enough
            best = _time(executor, count, inside)
            if best * count >= SAMPLE_SECONDS:
                break
            count *= 2
        return min([best, *(_time(executor, count, inside) for _ in range(SAMPLES - 1))])


def _time(executor: Any, count: int, inside: bool) -> float:
    start = time.perf_counter()
    if inside:
        executor.run(count)
    else:
        for _ in range(count):
            executor.run(1)
    return (time.perf_counter() - start) / count


def _measured_bytes(nbytes: int | None, shared: bool, threads: int, quick: bool) -> int:
    """How large an array stands for a level: half of a cache, or four times the largest cache that a process can have."""
    if nbytes is not None:
        size = int(nbytes * FILL) * (1 if shared else threads)
        return min(size, 32 << 20 if quick else MOST_BYTES // 4)
    largest = max(size for _, size, _ in caches())
    return min(4 * largest, 128 << 20 if quick else MOST_BYTES)


def caches() -> list[tuple[str, int, bool]]:
    """Name, bytes, and whether all cores share it, of each data cache of the first core."""
    found = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            if (folder / "type").read_text().strip() == "Instruction":
                continue
            level = int((folder / "level").read_text())
            text = (folder / "size").read_text().strip()
        except (OSError, ValueError):
            continue
        unit = {"K": 1 << 10, "M": 1 << 20}.get(text[-1], 1)
        found[f"L{level}"] = int(text.rstrip("KM")) * unit
    sizes = found or USUAL_CACHES
    return [(name, sizes[name], name > "L2") for name in sorted(sizes)]


def available_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
