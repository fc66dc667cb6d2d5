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
# Before a sample: the threads of a pool are woken on one core and move to their own within some milliseconds.
WARM_SECONDS = 0.02


def warm_sample(run: Callable[[int], object], count: int) -> float:
    """Seconds of run(1), from runs of `count` after a time of warming up."""
    start = time.perf_counter()
    run(1)
    while time.perf_counter() - start < WARM_SECONDS:
        run(count)
    return statistics.median(sample(lambda: run(count), 1) for _ in range(PARTS)) / count


def count_for(run: Callable[[int], object]) -> int:
    """How often one part of a sample does the work."""
    run(1)
    count = 1
    while sample(lambda: run(count), 1) < SAMPLE_SECONDS:
        count *= 2
    return count


def interleaved_medians(calls: Mapping[str, Callable[[], object]], rounds: int = 15) -> dict[str, float]:
    """Median seconds per call.

    Args:
        calls: name to function without arguments; each is called once before, to warm up.
        rounds: samples of each.

    >>> sorted(interleaved_medians({"a": lambda: None, "b": lambda: sum(range(100))}, rounds=3))
    ['a', 'b']
    """
    repeats = {name: repeats_for(call) for name, call in calls.items()}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            if name == next(iter(calls)):
                time.sleep(PAUSE_SECONDS)
                call()
            samples[name].append(sample(call, repeats[name]))
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


def repeats_for(call: Callable[[], object]) -> int:
    """How often a sample repeats the call."""
    call()
    count = 1
    while sample(call, count) * count < SAMPLE_SECONDS:
        count *= 2
    return count


def sample(call: Callable[[], object], count: int) -> float:
    """Seconds per call over `count` calls."""
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count
