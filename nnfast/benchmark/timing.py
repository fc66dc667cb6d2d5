"""Time per call, on a machine that is never quite still.

In: functions. Out: seconds. `sample` is one measurement of one side; `interleaved_medians` compares several functions in one process.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

# OpenBLAS' threads spin for about 120 ms after a call; the first function is timed when that is over.
PAUSE_SECONDS = 0.15
# A sample repeats the call until it lasts this long, so that the clock's own cost does not count.
SAMPLE_SECONDS = 0.002
PARTS = 5  # of a sample; its median is not moved by one interruption
LONG_SECONDS = 0.1  # a part that takes longer is enough by itself
# Before a sample. The threads of a pool are woken on one core, and move to their own within some milliseconds: after a pause of 0.15 s
# a product of 256 x 256 x 256 on two threads took 280 us in the first 50 ms, 120 us afterwards (Intel Xeon, 2026-11).
WARM_SECONDS, WARM_TEAM_SECONDS = 0.01, 0.1
TEAM_WORK_SECONDS = 10e-6  # shorter work is not divided over threads, or not by a library that is to be fast


def warm_sample(run: Callable[[int], object], count: int, team: bool) -> float:
    """Seconds of run(1), from runs of `count` after a time of warming up."""
    start = time.perf_counter()
    run(count)
    team = team and (time.perf_counter() - start) / count > TEAM_WORK_SECONDS
    while time.perf_counter() - start < (WARM_TEAM_SECONDS if team else WARM_SECONDS):
        run(count)
    parts = [sample(run, count)]
    while len(parts) < PARTS and parts[0] * count < LONG_SECONDS:
        parts.append(sample(run, count))
    return statistics.median(parts)


def count_for(run: Callable[[int], object]) -> int:
    """How often a sample repeats the work; it is done once before."""
    run(1)
    count = 1
    while sample(run, count) * count < SAMPLE_SECONDS:
        count *= 2
    return count


def sample(run: Callable[[int], object], count: int) -> float:
    """Seconds of the work, done `count` times."""
    start = time.perf_counter()
    run(count)
    return (time.perf_counter() - start) / count


def repeated(call: Callable[[], object]) -> Callable[[int], object]:
    """A function that calls so many times.

    >>> calls = []
    >>> repeated(lambda: calls.append(1))(3)
    >>> len(calls)
    3
    """

    def run(count: int) -> None:
        for _ in range(count):
            call()

    return run


def interleaved_medians(calls: Mapping[str, Callable[[], object]], rounds: int = 15) -> dict[str, float]:
    """Median seconds per call.

    Args:
        calls: name to function without arguments; each is called once before, to warm up.
        rounds: samples of each.

    >>> sorted(interleaved_medians({"a": lambda: None, "b": lambda: sum(range(100))}, rounds=3))
    ['a', 'b']
    """
    runs = {name: repeated(call) for name, call in calls.items()}
    counts = {name: count_for(run) for name, run in runs.items()}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, run in runs.items():
            if name == next(iter(runs)):
                time.sleep(PAUSE_SECONDS)
                run(1)
            samples[name].append(sample(run, counts[name]))
    return {name: statistics.median(times) for name, times in samples.items()}


def format_seconds(seconds: float) -> str:
    """A time with three digits and its unit.

    >>> format_seconds(0.0000123456), format_seconds(0.25)
    ('12.3 us', '250 ms')
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"
